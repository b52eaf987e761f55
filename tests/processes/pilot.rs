//! An operator at `longrein drive`, whose hands are a pipe.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use longrein::local_fleet::LocalFleet;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::fleet::connection;
use super::program::{Ended, Lines, Program};
use super::until::until;

/// A `longrein drive truck-17 --input - --json`.
pub struct Pilot {
    program: Program,
    hands: Arc<Mutex<Hands>>,
    feeder: Option<JoinHandle<()>>,
    heard: usize,
}

#[derive(Clone, Copy, Default)]
struct Hands {
    speed_mm_s: i16,
    insist: bool,
    away: bool,
}

impl Pilot {
    /// Sits down; the hands are on the dead-man and want a stand.
    pub fn start(fleet: &LocalFleet, controller: &str) -> Pilot {
        Pilot::start_with(fleet, controller, &[])
    }

    /// The same with further options.
    pub fn start_with(fleet: &LocalFleet, controller: &str, options: &[&str]) -> Pilot {
        let mut arguments: Vec<String> = ["drive", "truck-17", "--json", "--input", "-"]
            .map(String::from)
            .to_vec();
        arguments.extend(options.iter().map(|option| (*option).to_string()));
        arguments.extend(connection(fleet, controller));
        let mut program = Program::start("longrein", arguments);
        let hands = Arc::new(Mutex::new(Hands::default()));
        let (stdin, shown) = (program.stdin(), program.stdout());
        let shared = Arc::clone(&hands);
        let me = format!("controller/{controller}");
        let feeder = std::thread::spawn(move || feed(stdin, &shared, &shown, &me));
        Pilot {
            program,
            hands,
            feeder: Some(feeder),
            heard: 0,
        }
    }

    /// Resumes and drives until the vehicle says for the first time that it is this fast. From then on wants this speed, and
    /// resumes no more.
    pub fn drive(&mut self, speed_mm_s: i16) {
        self.insist(speed_mm_s);
        self.hears("the vehicle moves", |event| {
            event["speed_mm_s"].as_i64() == Some(speed_mm_s.into())
        });
        self.set(|hands| hands.insist = false);
    }

    /// Wants this speed, and to resume whenever that is needed, also by taking the lease again.
    pub fn insist(&self, speed_mm_s: i16) {
        self.set(|hands| (hands.speed_mm_s, hands.insist) = (speed_mm_s, true));
    }

    /// Waits for an event that fits, after the last one that did.
    pub fn hears(&mut self, fact: &str, fits: impl Fn(&Value) -> bool) {
        let heard = self.heard;
        self.heard = until(fact, || {
            let events = self.program.objects();
            let found = events.iter().skip(heard).position(&fits);
            found.map(|found| heard + found + 1)
        });
    }

    /// Waits for a line on standard error that contains this.
    pub fn says(&mut self, part: &str) {
        self.program.says(part);
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Ends it without a word.
    pub fn kill(self) {
        self.program.signal(Signal::KILL);
        let ended = self.end();
        assert_eq!(ended.code, None);
    }

    /// Takes the hands away, which ends the drive.
    pub fn end(self) -> Ended {
        self.set(|hands| hands.away = true);
        self.ended()
    }

    /// Waits until the drive ends by itself.
    pub fn ended(mut self) -> Ended {
        let ended = self.program.ended();
        let _ = self.feeder.take().map(JoinHandle::join);
        ended
    }

    fn set(&self, change: impl FnOnce(&mut Hands)) {
        change(&mut self.hands.lock().unwrap());
    }
}

/// Writes what the hands want every few milliseconds, until they are away or nobody reads.
fn feed(mut stdin: ChildStdin, hands: &Mutex<Hands>, shown: &Lines, me: &str) {
    loop {
        let now = *hands.lock().unwrap();
        let resume = now.insist && !shown.find_last(|line| obeys(line, me)).unwrap_or(false);
        // Every line is for at once, so that a drive that begins later does not run behind.
        let line = json!({
            "at_ms": 0,
            "speed_mm_s": now.speed_mm_s,
            "dead_man": true,
            "resume": resume,
        });
        if now.away || writeln!(stdin, "{line}").is_err() {
            return;
        }
        sleep(FEED_EVERY);
    }
}

/// Whether the vehicle obeys without a resume, when the line tells that.
fn obeys(line: &str, me: &str) -> Option<bool> {
    let event: Value = serde_json::from_str(line).ok()?;
    match event["event"].as_str()? {
        "lease_lost" => Some(false),
        "status" => {
            let function = &event["functions"][0];
            let moves = function["stage"] == "Nominal" || function["stage"] == "Hold";
            Some(moves && function["holder"] == me)
        }
        _ => None,
    }
}

const FEED_EVERY: Duration = Duration::from_millis(10);
