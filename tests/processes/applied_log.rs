//! What the agent wrote of the commands that it applied.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::until::until;

/// An agent's applied log, which still grows.
pub struct AppliedLog(PathBuf);

/// Its lines so far.
#[derive(Debug, Default)]
pub struct Applied {
    /// Commands, in the order in which they took effect.
    pub commands: Vec<Command>,
    /// Stages, in the order in which they were entered.
    pub stages: Vec<Entered>,
}

/// A command that took effect. All programs of a test are on one machine, so all times are of one clock.
#[derive(Clone, Debug, Deserialize)]
pub struct Command {
    /// Its number in its flow.
    pub number: u64,
    /// The fencing token that it came under.
    pub token: u64,
    /// When the controller sent it.
    pub sent_there_us: u64,
    /// When it took effect.
    pub applied_at_us: u64,
}

/// A stage that was entered.
#[derive(Clone, Debug, Deserialize)]
pub struct Entered {
    /// Its name.
    pub stage: String,
    /// When.
    pub at_us: u64,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Applied(Command),
    Stage(Entered),
}

impl AppliedLog {
    /// The log in this file.
    pub fn new(file: PathBuf) -> AppliedLog {
        AppliedLog(file)
    }

    /// Its whole lines so far.
    pub fn read(&self) -> Applied {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut applied = Applied::default();
        for line in whole.lines() {
            match serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")) {
                Line::Applied(command) => applied.commands.push(command),
                Line::Stage(entered) => applied.stages.push(entered),
            }
        }
        applied
    }

    /// Waits until this stage is entered after this moment.
    pub fn enters(&self, stage: &str, after_us: u64) -> Entered {
        until(&format!("{stage} is entered"), || {
            let stages = self.read().stages.into_iter();
            stages
                .filter(|entered| entered.at_us >= after_us)
                .find(|entered| entered.stage == stage)
        })
    }
}

impl Applied {
    /// What holds in every drive: nothing twice, nothing at or after its time to live, no token after a larger one.
    pub fn check(&self) {
        assert!(!self.commands.is_empty(), "nothing was applied");
        let mut seen = BTreeSet::new();
        let mut token = 0;
        for command in &self.commands {
            assert!(
                seen.insert((command.token, command.number)),
                "applied twice: {command:?}"
            );
            let age_us = command.applied_at_us.saturating_sub(command.sent_there_us);
            assert!(age_us < TTL_US, "applied late: {command:?}");
            assert!(command.token >= token, "an older token: {command:?}");
            token = command.token;
        }
    }

    /// Commands that took effect from this moment on.
    pub fn since(&self, us: u64) -> Vec<Command> {
        let commands = self.commands.iter();
        commands
            .filter(|command| command.applied_at_us >= us)
            .cloned()
            .collect()
    }

    /// The newest fencing token.
    pub fn token(&self) -> u64 {
        self.commands.last().map_or(0, |command| command.token)
    }

    /// Names of the stages that were entered from this moment on; the same one twice in a row counts once.
    pub fn stages_since(&self, us: u64) -> Vec<&str> {
        let entered = self.stages.iter().filter(|entered| entered.at_us >= us);
        let mut names: Vec<&str> = entered.map(|entered| entered.stage.as_str()).collect();
        names.dedup();
        names
    }
}

/// Time to live of the commands of `longrein drive`.
const TTL_US: u64 = 200_000;
