//! Input from a file or a pipe.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use longrein_proto::base::MonoTime;

use super::{Controls, InputError, Playback, Reach, ScriptLine};

/// Input from a file or a pipe: JSON lines such as
/// `{"at_ms":0,"speed_mm_s":500,"curvature_per_km":0,"dead_man":true,"resume":true}`. What a line does not say is zero or
/// false; empty lines are passed over.
#[derive(Debug)]
pub struct Script {
    name: String,
    playback: Playback,
    lines: Receiver<Result<ScriptLine, InputError>>,
}

impl Script {
    /// The file, or stdin for `-`. A file is read whole; of a pipe a thread of its own reads ahead, so that a slow one holds
    /// nothing up.
    ///
    /// # Errors
    /// [`InputError::Script`] when the file cannot be read, [`InputError::NoLine`] when it is empty,
    /// [`InputError::ScriptLine`] when a line of it is wrong.
    pub fn open(path: &Path, reach: Reach) -> Result<Script, InputError> {
        if path.as_os_str() == "-" {
            return Ok(Script::read("stdin", io::stdin(), reach));
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.is_file(), file)));
        match opened {
            Ok((true, file)) => Script::whole(&name, file, reach),
            Ok((false, file)) => Ok(Script::read(&name, file, reach)),
            Err(source) => Err(InputError::Script { name, source }),
        }
    }

    /// All lines at once: what is wrong in a file is said before anything moves.
    fn whole(name: &str, reader: impl Read, reach: Reach) -> Result<Script, InputError> {
        let mut parsed = Vec::new();
        read_lines(name, reader, |line| {
            parsed.push(line);
            parsed.len() <= FILE_LINES_MAX
        });
        if parsed.len() > FILE_LINES_MAX {
            return Err(InputError::ScriptLine {
                name: name.to_string(),
                line: FILE_LINES_MAX as u64,
                why: format!("more than {FILE_LINES_MAX} lines: pipe it in with --input -"),
            });
        }
        if parsed.is_empty() {
            let name = name.to_string();
            return Err(InputError::NoLine { name });
        }
        let (sender, lines) = sync_channel(parsed.len());
        for line in parsed {
            // There is room for all, and the receiver is here.
            sender.send(Ok(line?)).ok();
        }
        Ok(Script {
            name: name.to_string(),
            playback: Playback::new(reach),
            lines,
        })
    }

    /// Lines from a reader, which errors call by this name.
    pub fn read(name: &str, reader: impl Read + Send + 'static, reach: Reach) -> Script {
        let (sender, lines) = sync_channel(LINES_AHEAD_MAX);
        let name = name.to_string();
        let named = name.clone();
        // Ends with the input, or at the next line after the script is dropped.
        thread::spawn(move || {
            read_lines(&named, reader, |line| sender.send(line).is_ok());
        });
        Script {
            name,
            playback: Playback::new(reach),
            lines,
        }
    }

    /// What is wanted now; does not wait.
    ///
    /// # Errors
    /// [`InputError::ScriptLine`], [`InputError::Script`], when the wrong line would be the next.
    pub fn poll(&mut self, now: MonoTime) -> Result<Controls, InputError> {
        for _ in 0..LINES_AHEAD_MAX {
            if self.playback.wants_line() {
                match self.lines.try_recv() {
                    Ok(line) => self.playback.on_line(line?),
                    Err(TryRecvError::Disconnected) => self.playback.on_end(),
                    Err(TryRecvError::Empty) => {}
                }
            }
            if !self.playback.advance(now) {
                break;
            }
        }
        Ok(self.playback.controls(now))
    }

    /// What is played back.
    pub fn notice(&self) -> String {
        format!("plays {}; the last line ends the drive", self.name)
    }
}

/// Hands out lines until one is wrong or no more are wanted.
fn read_lines(
    name: &str,
    reader: impl Read,
    mut take: impl FnMut(Result<ScriptLine, InputError>) -> bool,
) {
    let mut reader = BufReader::new(reader);
    let mut last_ms = 0;
    for line in 1.. {
        let mut text = String::new();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_line(&mut text)
            .map_err(|source| InputError::Script {
                name: name.to_string(),
                source,
            });
        let wrong = |why| InputError::ScriptLine {
            name: name.to_string(),
            line,
            why,
        };
        let parsed = match read {
            Ok(0) => return,
            Ok(length) if length as u64 >= LINE_BYTES_MAX => {
                Err(wrong(format!("longer than {LINE_BYTES_MAX} bytes")))
            }
            Ok(_) if text.trim().is_empty() => continue,
            Ok(_) => parse(&text, last_ms).map_err(wrong),
            Err(error) => Err(error),
        };
        last_ms = parsed.as_ref().map_or(last_ms, |line| line.at_ms);
        let last = parsed.is_err();
        if !take(parsed) || last {
            return;
        }
    }
}

fn parse(text: &str, last_ms: u64) -> Result<ScriptLine, String> {
    let line: ScriptLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if line.at_ms < last_ms {
        return Err(format!(
            "at_ms is {}, before the {last_ms} of an earlier line",
            line.at_ms
        ));
    }
    Ok(line)
}

/// Lines read ahead: 20 s of commands at 50 Hz.
const LINES_AHEAD_MAX: usize = 1_000;
/// Lines of a file: eleven hours of commands at 50 Hz, 64 MB of memory.
const FILE_LINES_MAX: usize = 2_000_000;
/// Bytes of one line: ten times what a line with all fields has.
const LINE_BYTES_MAX: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach = Reach {
        speed_max_mm_s: 2_000,
        curvature_max_per_km: 200,
    };

    /// All lines, as the thread reads them.
    fn lines(text: &'static str) -> Vec<Result<ScriptLine, String>> {
        let script = Script::read("test", text.as_bytes(), REACH);
        let lines = script.lines.iter();
        lines.map(|line| line.map_err(|e| e.to_string())).collect()
    }

    #[test]
    fn what_a_line_does_not_say_is_zero_or_false() {
        let text = "{\"at_ms\":0,\"speed_mm_s\":500,\"curvature_per_km\":-20,\"dead_man\":true,\"resume\":true}\n\n\
                    {\"at_ms\":20}";
        let full = ScriptLine {
            at_ms: 0,
            speed_mm_s: 500,
            curvature_per_km: -20,
            dead_man: true,
            resume: true,
            stop: false,
        };
        let bare = ScriptLine {
            at_ms: 20,
            ..ScriptLine::default()
        };
        assert_eq!(lines(text), [Ok(full), Ok(bare)]);
    }

    #[test]
    fn a_wrong_line_is_named_and_ends_the_script() {
        for (text, why) in [
            ("{\"at_ms\":0}\nnonsense\n{\"at_ms\":9}", "test, line 2: "),
            ("{\"at_ms\":0,\"speed\":1}", "unknown field `speed`"),
            ("{\"at_ms\":0,\"speed_mm_s\":40000}", "40000"),
            (
                "\n{\"at_ms\":9}\n{\"at_ms\":8}",
                "line 3: at_ms is 8, before",
            ),
        ] {
            let lines = lines(text);
            let error = lines.last().unwrap().as_ref().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let endless = Script::read("test", io::repeat(b' '), REACH);
        let error = endless.lines.recv().unwrap().unwrap_err().to_string();
        assert_eq!(error, "test, line 1: longer than 2000 bytes");
    }

    #[test]
    fn a_script_that_is_read_is_played_to_its_end() {
        let mut script = Script::read("test", "{\"at_ms\":0}\n{\"at_ms\":40}".as_bytes(), REACH);
        // All lines are due at once, however late the thread is: the script is over as soon as all are read.
        script.poll(MonoTime::ZERO).unwrap();
        let late = MonoTime::from_us(1_000_000);
        while !script.poll(late).unwrap().quit {
            thread::yield_now();
        }
    }

    #[test]
    fn a_wrong_line_of_a_file_is_found_before_anything_is_played() {
        let file = std::env::temp_dir().join(format!("longrein-script-{}", std::process::id()));
        std::fs::write(&file, "{\"at_ms\":0}\n{\"at_ms\":40}\nnonsense\n").unwrap();
        let error = Script::open(&file, REACH).unwrap_err().to_string();
        assert!(error.contains(", line 3: "), "{error}");
        std::fs::write(&file, "{\"at_ms\":0}\n{\"at_ms\":40}\n").unwrap();
        let mut script = Script::open(&file, REACH).unwrap();
        std::fs::remove_file(&file).unwrap();
        script.poll(MonoTime::ZERO).unwrap();
        assert!(script.poll(MonoTime::from_us(1_000_000)).unwrap().quit);
    }

    #[test]
    fn an_empty_file_is_no_script() {
        let error = Script::whole("empty.jsonl", "\n\n".as_bytes(), REACH).unwrap_err();
        assert!(error.to_string().starts_with("empty.jsonl has no line"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Script::open(Path::new("/nowhere/drive.jsonl"), REACH).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/drive.jsonl: "));
    }
}
