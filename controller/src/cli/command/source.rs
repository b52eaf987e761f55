//! Where payloads come from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;
use std::time::Duration;

use longrein_io::exit::Exit;
use longrein_proto::base::limits::MESSAGE_BYTES_MAX;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::payload::{Form, Payload};
use crate::cli::failure::Failure;

/// Payloads, one after the other.
#[derive(Debug)]
pub(super) struct Source {
    payloads: Receiver<Result<Payload, Failure>>,
    pace: Option<Interval>,
    /// The pace allows one more.
    due: bool,
}

impl Source {
    /// The one of the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn text(form: &Form, text: &str) -> Result<Source, Failure> {
        let payload = form.payload(text.as_bytes());
        let payload = payload.map_err(|why| usage(&format!("PAYLOAD {why}")))?;
        Ok(Source::one(payload))
    }

    /// The one in a file.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than a command may be.
    pub(super) fn file(form: &Form, file: &Path) -> Result<Source, Failure> {
        let name = file.display();
        let mut bytes = Vec::new();
        File::open(file)
            .and_then(|opened| opened.take(BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|why| usage(&format!("--file {name}: {why}")))?;
        if bytes.len() as u64 > BYTES_MAX {
            let line = format!("--file {name}: longer than {BYTES_MAX} bytes");
            return Err(usage(&line));
        }
        let payload = form.payload(&bytes);
        let payload = payload.map_err(|why| usage(&format!("--file {name} {why}")))?;
        Ok(Source::one(payload))
    }

    /// One of each line of stdin, so many a second at most.
    pub(super) fn lines(form: Form, rate_hz: Option<u16>) -> Source {
        let (sender, payloads) = mpsc::channel(LINES_AHEAD_MAX);
        // Ends with the input, or at the next line after the source is dropped.
        thread::spawn(move || {
            read_lines(&form, io::stdin(), |payload| {
                sender.blocking_send(payload).is_ok()
            });
        });
        let pace = rate_hz.map(|hz| {
            let mut pace = interval(Duration::from_secs(1) / u32::from(hz.max(1)));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        Source {
            payloads,
            pace,
            due: false,
        }
    }

    /// The next; none after the last. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What is wrong with the next line; none follows.
    pub(super) async fn next(&mut self) -> Option<Result<Payload, Failure>> {
        if let Some(pace) = &mut self.pace
            && !self.due
        {
            pace.tick().await;
            self.due = true;
        }
        let payload = self.payloads.recv().await;
        self.due = false;
        payload
    }

    fn one(payload: Payload) -> Source {
        let (sender, payloads) = mpsc::channel(1);
        // There is room for it, and the receiver is here.
        sender.try_send(Ok(payload)).ok();
        Source {
            payloads,
            pace: None,
            due: false,
        }
    }
}

/// Hands out lines until one is wrong or no more are wanted; empty lines are passed over.
fn read_lines(
    form: &Form,
    reader: impl Read,
    mut take: impl FnMut(Result<Payload, Failure>) -> bool,
) {
    let mut reader = BufReader::new(reader);
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = (&mut reader)
            .take(BYTES_MAX + 2)
            .read_until(b'\n', &mut line);
        while line
            .last()
            .is_some_and(|last| matches!(last, b'\n' | b'\r'))
        {
            line.pop();
        }
        let wrong = |why: &str| usage(&format!("stdin, line {number}: {why}"));
        let payload = match read {
            Ok(0) => return,
            Ok(_) if line.is_empty() => continue,
            Ok(_) if line.len() as u64 > BYTES_MAX => {
                Err(wrong(&format!("longer than {BYTES_MAX} bytes")))
            }
            Ok(_) => form.payload_of_line(&line).map_err(|why| wrong(&why)),
            Err(why) => Err(Failure::from(why)),
        };
        let is_last = payload.is_err();
        if !take(payload) || is_last {
            return;
        }
    }
}

fn usage(line: &str) -> Failure {
    Failure::new(Exit::Usage, line)
}

/// Lines that are read ahead: what is read and not sent is of unknown age.
const LINES_AHEAD_MAX: usize = 1;
/// Bytes of a file or a line: no message is longer, and none of this one fits one with what goes around it.
const BYTES_MAX: u64 = MESSAGE_BYTES_MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<Result<Vec<u8>, String>> {
        let form = Form {
            hex: false,
            device: None,
        };
        let mut all = Vec::new();
        read_lines(&form, text, |payload| {
            let payload = payload.map(|payload| payload.bytes);
            all.push(payload.map_err(|failure| failure.to_string()));
            true
        });
        all
    }

    #[test]
    fn each_line_is_one_and_its_end_is_not_part_of_it() {
        assert_eq!(
            lines(b"on\r\n\noff\n\xff"),
            [Ok(b"on".to_vec()), Ok(b"off".to_vec()), Ok(vec![0xff])]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_ends_the_input() {
        let mut text = b"on\n".to_vec();
        text.extend(vec![b'7'; MESSAGE_BYTES_MAX]);
        text.extend(b"\noff\n");
        assert_eq!(lines(&text).len(), 3);
        text.splice(3..3, *b"8");
        let all = lines(&text);
        assert_eq!(all.len(), 2);
        let error = all[1].clone().unwrap_err();
        assert_eq!(error, "stdin, line 2: longer than 65536 bytes");
    }
}
