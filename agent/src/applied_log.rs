//! A file with one JSON line for each applied command and each stage that was entered: for demos, tests and investigations.

use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use longrein_proto::base::{Channel, MonoTime, Stage};
use serde::Serialize;

/// What is known of a command's way to the vehicle; it passes through the control thread into the log unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Journey {
    /// The command's number in its flow.
    pub number: u64,
    /// When it was sent, on the vehicle's clock, as well as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at_us: Option<u64>,
    /// When it arrived at the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_at_us: Option<u64>,
    /// How far the real `sent_at_us` may be from it, in µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_us: Option<u64>,
    /// When it was sent, on the controller's own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_there_us: Option<u64>,
    /// The promise of its flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'static str>,
    /// The fencing token that it came under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// The relay that the first copy came through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// The link that the first copy came over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Held by the controller, in µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_us: Option<u32>,
    /// On its way up to the relay, in µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink_us: Option<u32>,
    /// Held by the relay, in µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_us: Option<u32>,
    /// On its way down from the relay, in µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downlink_us: Option<u32>,
}

/// Writes the log on a thread of its own: the control thread never waits for a disk (SAFE-28). When the disk is too slow, lines
/// are dropped and counted in the next one that is not.
#[derive(Debug)]
pub struct AppliedLog {
    lines: Option<SyncSender<Line>>,
    writer: Option<JoinHandle<()>>,
    dropped: u64,
}

#[derive(Serialize)]
struct Line {
    channel: u8,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_lines: u64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Applied {
        #[serde(flatten)]
        journey: Journey,
        applied_at_us: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        age_us: Option<u64>,
    },
    Stage {
        stage: String,
        at_us: u64,
    },
}

impl AppliedLog {
    /// Appends to this file.
    ///
    /// # Errors
    /// When it cannot be opened or its thread cannot be started.
    pub fn open(path: &Path) -> std::io::Result<AppliedLog> {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let (lines, waiting) = sync_channel(LINES_WAITING_MAX);
        let writer = std::thread::Builder::new()
            .name("applied-log".to_string())
            .spawn(move || write_lines(&waiting, BufWriter::new(file)))?;
        Ok(AppliedLog {
            lines: Some(lines),
            writer: Some(writer),
            dropped: 0,
        })
    }

    /// A command was applied.
    pub fn on_applied(&mut self, at: MonoTime, channel: Channel, journey: Journey) {
        let applied_at_us = at.as_us();
        let age_us = journey
            .sent_at_us
            .map(|sent| applied_at_us.saturating_sub(sent));
        self.push(
            channel,
            Event::Applied {
                journey,
                applied_at_us,
                age_us,
            },
        );
    }

    /// A stage was entered.
    pub fn on_stage(&mut self, at: MonoTime, channel: Channel, stage: Stage) {
        self.push(
            channel,
            Event::Stage {
                stage: stage.to_string(),
                at_us: at.as_us(),
            },
        );
    }

    fn push(&mut self, channel: Channel, event: Event) {
        let line = Line {
            channel: channel.number(),
            dropped_lines: self.dropped,
            event,
        };
        let sent = self
            .lines
            .as_ref()
            .is_some_and(|l| l.try_send(line).is_ok());
        self.dropped = if sent { 0 } else { self.dropped + 1 };
    }
}

impl Drop for AppliedLog {
    /// Waits until what was logged is written.
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn write_lines(waiting: &Receiver<Line>, mut file: impl Write) {
    let write = |file: &mut dyn Write, line: &Line| {
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        file.write_all(text.as_bytes())
    };
    while let Ok(line) = waiting.recv() {
        let mut result = write(&mut file, &line);
        // What waits goes out together, and at once to the file: a killed agent loses at most what waits.
        while let Ok(line) = waiting.try_recv() {
            result = result.and_then(|()| write(&mut file, &line));
        }
        if let Err(error) = result.and_then(|()| file.flush()) {
            tracing::warn!(%error, "applied log cannot be written and ends");
            return;
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Lines that wait for the disk: 40 s of 50 Hz on one function.
const LINES_WAITING_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_applied_command_is_one_json_line() {
        let path = std::env::temp_dir().join(format!("applied-{}.jsonl", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut log = AppliedLog::open(&path).unwrap();
        let channel = Channel::new(1).unwrap();
        let journey = Journey {
            number: 17,
            sent_at_us: Some(1_000_000),
            relay: Some("east".to_string()),
            link: Some("modem-1".to_string()),
            uplink_us: Some(900),
            ..Journey::default()
        };
        log.on_applied(MonoTime::from_us(1_004_321), channel, journey);
        log.on_stage(MonoTime::from_us(1_204_321), channel, Stage::Hold);
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                r#"{"channel":1,"event":"applied","number":17,"sent_at_us":1000000,"relay":"east","link":"modem-1","uplink_us":900,"applied_at_us":1004321,"age_us":4321}"#,
                r#"{"channel":1,"event":"stage","stage":"Hold","at_us":1204321}"#
            ]
        );
    }
}
