//! What the agent wrote of the commands that it applied.

use std::io::{BufRead, BufReader, Error, ErrorKind, Result};
use std::path::Path;

use serde::Deserialize;

/// The lines of an agent's applied log.
#[derive(Clone, Debug, Default)]
pub struct AppliedLines {
    /// Commands, in the order in which they took effect.
    pub commands: Vec<AppliedCommand>,
    /// Stages, in the order in which they were entered.
    pub stages: Vec<StageEntered>,
}

/// A command that took effect. Times are of the agent's clock unless said otherwise, in µs.
#[derive(Clone, Debug, Deserialize)]
pub struct AppliedCommand {
    /// The function's channel.
    pub channel: u8,
    /// Its number in its flow.
    pub number: u64,
    /// When it took effect.
    pub applied_at_us: u64,
    /// When it arrived.
    pub received_at_us: Option<u64>,
    /// When it was sent, on the controller's clock.
    pub sent_there_us: Option<u64>,
    /// The relay that the first copy came through.
    pub relay: Option<String>,
    /// The link that the first copy came over.
    pub link: Option<String>,
    /// Held by the controller.
    pub controller_us: Option<u64>,
    /// On the way to the relay.
    pub uplink_us: Option<u64>,
    /// Held by the relay.
    pub relay_us: Option<u64>,
    /// On the way from the relay.
    pub downlink_us: Option<u64>,
}

/// A stage that was entered.
#[derive(Clone, Debug, Deserialize)]
pub struct StageEntered {
    /// The function's channel.
    pub channel: u8,
    /// Its name.
    pub stage: String,
    /// When, on the agent's clock, in µs.
    pub at_us: u64,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Applied(AppliedCommand),
    Stage(StageEntered),
}

impl AppliedLines {
    /// Reads a log to its end. A last line that is not whole yet is left out.
    ///
    /// # Errors
    /// The file's, and any line that is none.
    pub fn read(file: &Path) -> Result<AppliedLines> {
        let mut lines = AppliedLines::default();
        let mut reader = BufReader::new(std::fs::File::open(file)?);
        let mut text = String::new();
        while reader.read_line(&mut text)? > 0 && text.ends_with('\n') {
            match serde_json::from_str(&text)
                .map_err(|error| Error::new(ErrorKind::InvalidData, error))?
            {
                Line::Applied(command) => lines.commands.push(command),
                Line::Stage(stage) => lines.stages.push(stage),
            }
            text.clear();
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_read_and_a_torn_one_is_left_out() {
        let file =
            std::env::temp_dir().join(format!("longrein-applied-{}.jsonl", std::process::id()));
        let text = concat!(
            r#"{"channel":1,"event":"applied","number":7,"applied_at_us":10,"relay":"relay-a","uplink_us":3}"#,
            "\n",
            r#"{"channel":1,"event":"stage","stage":"Hold","at_us":11}"#,
            "\n",
            r#"{"channel":1,"event":"st"#,
        );
        std::fs::write(&file, text).unwrap();
        let lines = AppliedLines::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((lines.commands.len(), lines.stages.len()), (1, 1));
        assert_eq!(
            (lines.commands[0].number, lines.commands[0].uplink_us),
            (7, Some(3))
        );
        assert_eq!(lines.stages[0].stage, "Hold");
    }
}
