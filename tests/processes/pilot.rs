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
use super::program::{Ended, Program};
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
    resume: bool,
    away: bool,
}

impl Pilot {
    /// Sits down; the hands are on the dead-man and want a stand.
    pub fn start(fleet: &LocalFleet, controller: &str) -> Pilot {
        let mut arguments: Vec<String> = ["drive", "truck-17", "--json", "--input", "-"]
            .map(String::from)
            .to_vec();
        arguments.extend(connection(fleet, controller));
        let mut program = Program::start("longrein", arguments);
        let hands = Arc::new(Mutex::new(Hands::default()));
        let (stdin, shared) = (program.stdin(), Arc::clone(&hands));
        let feeder = std::thread::spawn(move || feed(stdin, &shared));
        Pilot {
            program,
            hands,
            feeder: Some(feeder),
            heard: 0,
        }
    }

    /// Resumes, also by taking the lease again, until the vehicle says that it obeys.
    pub fn resume(&mut self) {
        self.heard = self.program.printed().len();
        self.set(|hands| hands.resume = true);
        self.hears("the vehicle resumes", |event| {
            event["event"] == "status" && event["functions"][0]["stage"] == "Nominal"
        });
        self.set(|hands| hands.resume = false);
    }

    /// Wants to resume, whatever comes of it.
    pub fn want_resume(&self) {
        self.set(|hands| hands.resume = true);
    }

    /// Wants this speed from now on.
    pub fn want(&self, speed_mm_s: i16) {
        self.set(|hands| hands.speed_mm_s = speed_mm_s);
    }

    /// Waits until the vehicle says that it is this fast.
    pub fn moves(&mut self, at_least_mm_s: i64) {
        self.hears("the vehicle moves", |event| {
            let speed = event["speed_mm_s"].as_i64();
            speed.is_some_and(|speed| speed >= at_least_mm_s)
        });
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
fn feed(mut stdin: ChildStdin, hands: &Mutex<Hands>) {
    loop {
        let now = *hands.lock().unwrap();
        // Every line is for at once, so that a drive that begins later does not run behind.
        let line = json!({
            "at_ms": 0,
            "speed_mm_s": now.speed_mm_s,
            "dead_man": true,
            "resume": now.resume,
        });
        if now.away || writeln!(stdin, "{line}").is_err() {
            return;
        }
        sleep(FEED_EVERY);
    }
}

const FEED_EVERY: Duration = Duration::from_millis(10);
