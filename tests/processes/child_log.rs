//! What a child vehicle wrote of what it did.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::until::until;

/// A child vehicle's log, which still grows.
pub struct ChildLog(PathBuf);

/// What a child vehicle did. Times are of the clock of the agent's deadlines.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Deed {
    /// It began.
    Start {
        /// When.
        at_us: u64,
        /// Its process id.
        pid: i32,
    },
    /// It obeyed a line.
    Obey {
        /// When.
        at_us: u64,
        /// Until when the line holds.
        deadline_us: u64,
        /// What it asks for; none without a command in force.
        speed_mm_s: Option<i32>,
    },
    /// It moves like this.
    Speed {
        /// When.
        at_us: u64,
        /// How fast.
        speed_mm_s: i32,
    },
}

impl ChildLog {
    /// The log in this file.
    pub fn new(file: PathBuf) -> ChildLog {
        ChildLog(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its whole lines so far.
    pub fn read(&self) -> Vec<Deed> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Waits until the vehicle moves this fast after this moment, and says when.
    pub fn moves(&self, at_least_mm_s: i32, after_us: u64) -> u64 {
        self.finds("the vehicle moves", after_us, |speed| {
            speed >= at_least_mm_s
        })
    }

    /// Waits until the vehicle stands after this moment, and says when.
    pub fn stands(&self, after_us: u64) -> u64 {
        self.finds("the vehicle stands", after_us, |speed| speed == 0)
    }

    fn finds(&self, fact: &str, after_us: u64, fits: impl Fn(i32) -> bool) -> u64 {
        until(fact, || {
            self.read().iter().find_map(|deed| match deed {
                Deed::Speed { at_us, speed_mm_s } if *at_us >= after_us && fits(*speed_mm_s) => {
                    Some(*at_us)
                }
                Deed::Speed { .. } | Deed::Start { .. } | Deed::Obey { .. } => None,
            })
        })
    }

    /// Process ids of the vehicles that began so far, the newest last.
    pub fn pids(&self) -> Vec<i32> {
        let deeds = self.read().into_iter();
        deeds
            .filter_map(|deed| match deed {
                Deed::Start { pid, .. } => Some(pid),
                Deed::Obey { .. } | Deed::Speed { .. } => None,
            })
            .collect()
    }

    /// Fails when a line was obeyed at or after its deadline.
    pub fn check(&self) {
        for deed in self.read() {
            if let Deed::Obey {
                at_us, deadline_us, ..
            } = deed
            {
                assert!(at_us < deadline_us, "obeyed too late: {deed:?}");
            }
        }
    }

    /// Fails when the vehicle moved, or was asked to, between two moments.
    pub fn stood(&self, from_us: u64, to_us: u64) {
        for deed in self.read() {
            let (at_us, speed) = match deed {
                Deed::Obey {
                    at_us, speed_mm_s, ..
                } => (at_us, speed_mm_s.unwrap_or(0)),
                Deed::Speed { at_us, speed_mm_s } => (at_us, speed_mm_s),
                Deed::Start { at_us, .. } => (at_us, 0),
            };
            let between = (from_us..to_us).contains(&at_us);
            assert!(
                !between || speed == 0,
                "from {from_us} to {to_us}: {deed:?}"
            );
        }
    }
}
