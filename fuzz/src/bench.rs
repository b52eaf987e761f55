//! A role between far ends, on virtual time. What holds for every role is asserted here.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::limits::PACKET_BYTES_MAX;
use longrein_proto::base::{MonoTime, PathId};
use longrein_proto::role::{Input, Role};

use crate::{Far, Script, forgery, papers};

pub struct Bench<R: Role> {
    pub role: R,
    pub now: MonoTime,
    pub far: Vec<Far>,
    /// Parcels that the role sent, with the number of the far end that has them.
    pub heard: Vec<(usize, Arc<[u8]>)>,
    /// What the role told, and when.
    pub events: Vec<(MonoTime, R::Event)>,
    /// Parcels of before, to be said again.
    said: Vec<Arc<[u8]>>,
    next_path: u32,
}

impl<R: Role> Bench<R> {
    pub fn new(mut role: R, far: &[&str]) -> Bench<R> {
        let now = MonoTime::from_us(1_000_000_000);
        let unix_ms = papers::Papers::UNIX_MS;
        role.handle(now, Input::Wall { unix_ms });
        Bench {
            role,
            now,
            far: far
                .iter()
                .map(|name| Far::new(&papers().name(name)))
                .collect(),
            heard: Vec::new(),
            events: Vec::new(),
            said: Vec::new(),
            next_path: 0,
        }
    }

    /// The wall clock shows something, and then the right time again, or nothing more is reached.
    pub fn wall(&mut self, script: &mut Script<'_>) {
        for unix_ms in [script.number(), papers::Papers::UNIX_MS] {
            self.role.handle(self.now, Input::Wall { unix_ms });
        }
    }

    /// A path to a far end stands.
    pub fn path_up(&mut self, far: usize, link: u8) {
        if self.far[far].paths.len() >= PATHS_MAX {
            return;
        }
        let path = PathId(self.next_path);
        self.next_path += 1;
        let link = LINKS[usize::from(link) % LINKS.len()];
        let input = Input::PathUp {
            path,
            link: link.parse().expect("a valid name"),
            peer: self.far[far].peer.clone(),
        };
        self.role.handle(self.now, input);
        self.far[far].on_path_up(path);
        self.settle();
    }

    /// What happens on the paths: what a network and whoever is at its other end can do.
    pub fn network(&mut self, script: &mut Script<'_>) {
        let far = usize::from(script.byte()) % self.far.len();
        let paths: Vec<PathId> = self.far[far].paths.iter().copied().collect();
        let path = paths.get(usize::from(script.byte()) % paths.len().max(1));
        match (script.byte() % 8, path.copied()) {
            (0, _) => self.path_up(far, script.byte()),
            (1, Some(path)) => {
                self.far[far].on_path_down(self.now, path);
                self.role.handle(self.now, Input::PathDown { path });
            }
            (2, Some(path)) => self.hand(path, script.bytes(2 * PACKET_BYTES_MAX)),
            (3 | 4, Some(path)) => {
                let packet = forgery::packet(script).encode();
                self.hand(path, &packet);
            }
            (5, _) => self.far[far].is_mute = script.flag(),
            (6, _) => self.far[far].restart(self.now),
            (7, _) => {
                let path = PathId(script.number() as u32);
                self.hand(path, script.bytes(100));
            }
            (_, None) | (8.., _) => {}
        }
        self.settle();
    }

    /// A far end sends a parcel.
    pub fn say(&mut self, script: &mut Script<'_>, parcel: Arc<[u8]>) {
        if self.said.len() < SAID_MAX {
            self.said.push(parcel.clone());
        }
        let far = usize::from(script.byte()) % self.far.len();
        self.far[far].send(self.now, parcel);
    }

    /// A far end sends something of before again, perhaps changed.
    pub fn repeat(&mut self, script: &mut Script<'_>) {
        let index = usize::from(script.byte()) % self.said.len().max(1);
        let Some(parcel) = self.said.get(index) else {
            return;
        };
        let mut parcel = parcel.to_vec();
        if script.flag() {
            let at = usize::from(script.u16()) % parcel.len();
            parcel[at] ^= 1 << (script.byte() % 8);
        }
        self.say(script, parcel.into());
    }

    /// A packet arrives.
    fn hand(&mut self, path: PathId, bytes: &[u8]) {
        self.role.handle(self.now, Input::Packet { path, bytes });
    }

    /// Carries packets until nobody has anything to say.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut is_quiet = true;
            while let Some(transmit) = self.role.poll_transmit() {
                is_quiet = false;
                // A path that is just gone has nobody at its end.
                let reached = self
                    .far
                    .iter_mut()
                    .enumerate()
                    .find(|(_, far)| far.paths.contains(&transmit.path));
                if let Some((index, far)) = reached {
                    let parcels = far.on_packet(self.now, transmit.path, &transmit.bytes);
                    self.heard
                        .extend(parcels.into_iter().map(|parcel| (index, parcel)));
                }
            }
            for index in 0..self.far.len() {
                while let Some((path, bytes)) = self.far[index].poll_transmit() {
                    is_quiet = false;
                    self.hand(path, &bytes);
                }
            }
            while let Some(event) = self.role.poll_event() {
                self.events.push((self.now, event));
            }
            while self.role.poll_redial().is_some() {}
            if is_quiet {
                return;
            }
        }
        panic!("at one moment the ends answer each other without end");
    }

    /// Time passes.
    pub fn pass(&mut self, script: &mut Script<'_>) {
        match script.byte() % 8 {
            0 => self.sleep(Duration::from_micros(script.number() >> 24)),
            1 => self.sleep(Duration::from_secs(61)),
            2 => self.run(Duration::from_secs(1)),
            3 => self.run(Duration::from_millis(200)),
            4 => self.run(Duration::from_micros(u64::from(script.u16()))),
            _ => self.run(Duration::from_millis(u64::from(script.byte() % 32))),
        }
    }

    /// With everything that is due meanwhile.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut still = 0;
        for _ in 0..STEPS_MAX {
            let due = self.far.iter().filter_map(Far::next_timeout);
            let due = due.chain(self.role.next_timeout()).min();
            let Some(at) = due.filter(|at| *at <= end) else {
                break;
            };
            still = if at > self.now { 0 } else { still + 1 };
            assert!(still < STILL_MAX, "time stands still at {:?}", self.now);
            self.now = self.now.max(at);
            self.ring();
        }
        self.now = end;
    }

    /// As a suspended machine: all that was due meanwhile is due at once.
    fn sleep(&mut self, span: Duration) {
        self.now = self.now + span;
        self.ring();
    }

    fn ring(&mut self) {
        if self.role.next_timeout().is_some_and(|at| at <= self.now) {
            self.role.handle(self.now, Input::Timeout);
        }
        for far in &mut self.far {
            if far.next_timeout().is_some_and(|at| at <= self.now) {
                far.on_timeout(self.now);
            }
        }
        self.settle();
    }
}

const LINKS: [&str; 3] = ["cable", "modem-1", "modem-2"];
/// Of one far end.
const PATHS_MAX: usize = 10;
/// Of one script.
const SAID_MAX: usize = 64;
/// Answers to answers at one moment.
const ROUNDS_MAX: usize = 200;
/// Steps of one span, so that an input is quick.
const STEPS_MAX: usize = 400;
/// Timers that ring one after the other without time in between.
const STILL_MAX: usize = 100;
