//! How soon messages arrive over a given network, end to end, on virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::{ApplicationId, Class, Entropy, Flow};
use longrein_proto::role::{Order, SendCommandError};
use longrein_proto::wire::Body;

use crate::{Clock, Link, Station, Vehicle, World};

/// One operator, one vehicle, and the network between them.
#[derive(Clone, Debug)]
pub struct Trial {
    /// How many relays.
    pub relays: usize,
    /// The vehicle's links, each to every relay.
    pub vehicle: Vec<Link>,
    /// The operator's links, each to every relay.
    pub desk: Vec<Link>,
    /// Reliable messages of 100 bytes a second.
    pub reliable_hz: u32,
    /// Drive commands a second.
    pub drive_hz: u32,
    /// How long messages are sent.
    pub span: Duration,
}

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Messages that were sent.
    pub sent: usize,
    /// From sending to arrival in milliseconds, sorted.
    pub delays_ms: Vec<f64>,
    /// From sending to effect of reliable messages, in order, in milliseconds, sorted; without the write to disk.
    pub applied_ms: Vec<f64>,
    /// At the end of each period of the drive flow, the age of the newest command that had arrived, in milliseconds, sorted.
    pub ages_ms: Vec<f64>,
    /// Bytes on the wire of all paths together, both ways, while messages were sent.
    pub bytes: u64,
    /// Of these, bits a second to and from the vehicle over its first path.
    pub kbit_s: [f64; 2],
    /// Copies of reliable messages that went to the vehicle, for each message and path.
    pub copies_each: f64,
    /// The longest queue before the vehicle's first link in the mean, in milliseconds.
    pub queue_ms: f64,
    /// Times that no lease was held when a message was to be sent.
    pub without_lease: usize,
}

impl Trial {
    /// One relay, the operator on a clean link, the vehicle on such links, 10 reliable messages a second for a minute.
    pub fn new(vehicle: Vec<Link>) -> Trial {
        Trial {
            relays: 1,
            vehicle,
            desk: vec![Link::good()],
            reliable_hz: 10,
            drive_hz: 0,
            span: Duration::from_secs(60),
        }
    }

    /// Runs it.
    pub fn run(&self, seed: u64) -> Figures {
        let mut world = World::new(seed);
        let relays: Vec<Station> = (0..self.relays)
            .map(|number| world.relay(&format!("relay-{number}")))
            .collect();
        let agent = world.agent("truck-17", Clock::default());
        let desk = world.controller("alice", Clock::default());
        let mut ways = Vec::new();
        for (station, links, name) in [(agent, &self.vehicle, "v"), (desk, &self.desk, "d")] {
            for (number, link) in links.iter().enumerate() {
                for relay in &relays {
                    let link_name = format!("{name}{number}");
                    ways.push(world.join(station, *relay, &link_name, *link));
                }
            }
        }
        world.open(desk, agent);
        for channel in [Vehicle::TUNNEL, Vehicle::DRIVE] {
            world.take(desk, agent, channel);
        }
        // The estimates settle, as they have in any session that is not brand-new.
        let mut figures = Figures::default();
        self.send(&mut world, (desk, agent), SETTLING, &mut figures);
        figures = Figures::default();
        let before: Vec<_> = ways.iter().map(|way| world.carried(*way)).collect();
        let first = before[0];
        let from = world.now();
        self.send(&mut world, (desk, agent), self.span, &mut figures);
        let vehicle_paths = self.vehicle.len() * self.relays;
        for (index, (way, before)) in ways.iter().zip(before).enumerate() {
            let after = world.carried(*way);
            figures.bytes += after.bytes() - before.bytes();
            if index < vehicle_paths {
                let copies = (after.down_copies - before.down_copies) as f64;
                figures.copies_each += copies / (figures.sent * vehicle_paths) as f64;
            }
        }
        let after = world.carried(ways[0]);
        figures.kbit_s = [
            after.down_bytes - first.down_bytes,
            after.up_bytes - first.up_bytes,
        ]
        .map(|bytes| bytes as f64 / 125.0 / self.span.as_secs_f64());
        world.run(TTL);
        self.judge(&world, (desk, agent), from, &mut figures);
        figures
    }

    fn send(
        &self,
        world: &mut World,
        (desk, agent): (Station, Station),
        span: Duration,
        figures: &mut Figures,
    ) {
        let mut chance = world.branch();
        let vehicle = world.name_of(agent).clone();
        let end = world.now() + span;
        let mut next = [world.now(); 2];
        let hz = [self.reliable_hz, self.drive_hz];
        while world.now() < end {
            for (which, channel) in [(0, Vehicle::TUNNEL), (1, Vehicle::DRIVE)] {
                if hz[which] == 0 || next[which] > world.now() {
                    continue;
                }
                next[which] = next[which] + Duration::from_secs(1) / hz[which];
                let mut id = ApplicationId([0; 8]);
                chance.fill(&mut id.0);
                let sent = if which == 0 {
                    let body = Vehicle::secret(&[0x5a; 74]);
                    let order = Order {
                        class: Class::Reliable,
                        ttl: TTL,
                        dead_man: false,
                        resume: false,
                        application_id: Some(id),
                        picture_age: None,
                        body: Body::Opaque(body),
                    };
                    world.command(desk, agent, channel, order)
                } else {
                    world.drive(desk, agent, 0, true)
                };
                match sent {
                    Err(SendCommandError::NoLease) => {
                        figures.without_lease += 1;
                        world.with_controller(desk, |role, now| {
                            role.take(now, &vehicle, channel);
                        });
                    }
                    _ => figures.sent += usize::from(which == 0 || self.reliable_hz == 0),
                }
            }
            let due = next.into_iter().zip(hz).filter(|(_, hz)| *hz > 0);
            let until = due.map(|(at, _)| at).min().unwrap_or(end);
            world.run(until.since(world.now()));
            let queue = world.queue_of(agent, "v0");
            figures.queue_ms = figures.queue_ms.max(queue.as_secs_f64() * 1_000.0);
        }
    }

    fn judge(
        &self,
        world: &World,
        (desk, agent): (Station, Station),
        from: longrein_proto::base::MonoTime,
        figures: &mut Figures,
    ) {
        let applied: BTreeMap<_, _> = world
            .vehicle(agent)
            .applied
            .iter()
            .filter_map(|command| Some((command.application_id?, command.at)))
            .collect();
        let mut commands = Vec::new();
        for (key, sent) in world.ledger().all() {
            if sent.by != desk || sent.at < from {
                continue;
            }
            let flow = Flow::new(key.channel, key.class);
            let at = world.arrived(agent).at(flow, key.number);
            let delay = at.map(|at| at.since(sent.at).as_secs_f64() * 1_000.0);
            if let Some(id) = sent.application_id {
                figures.delays_ms.extend(delay);
                if let Some(at) = applied.get(&id) {
                    let delay = at.since(sent.at).as_secs_f64() * 1_000.0;
                    figures.applied_ms.push(delay - WRITE_MS);
                }
            }
            if key.class == Class::Latest {
                commands.push((sent.at, at));
                if self.reliable_hz == 0 {
                    figures.delays_ms.extend(delay);
                }
            }
        }
        figures.delays_ms.sort_by(f64::total_cmp);
        figures.applied_ms.sort_by(f64::total_cmp);
        commands.sort();
        if self.drive_hz > 0 {
            let period = Duration::from_secs(1) / self.drive_hz;
            for (index, (sent, _)) in commands.iter().enumerate() {
                // A slot begins when its command would arrive on a clean path, and ends a period later.
                let end = *sent + period + CLEAN;
                let arrived = |(_, at): &&(_, Option<longrein_proto::base::MonoTime>)| {
                    at.is_some_and(|at| at <= end)
                };
                let newest = commands[..=index].iter().rev().find(arrived);
                if let Some((newest, _)) = newest {
                    figures
                        .ages_ms
                        .push(end.since(*newest).as_secs_f64() * 1_000.0);
                }
            }
            figures.ages_ms.sort_by(f64::total_cmp);
        }
    }
}

impl Figures {
    /// Mean delay in milliseconds.
    pub fn mean(&self) -> f64 {
        self.delays_ms.iter().sum::<f64>() / self.delays_ms.len() as f64
    }

    /// The delay that this share of messages does not exceed, in milliseconds.
    pub fn at(&self, share: f64) -> f64 {
        at(&self.delays_ms, share)
    }

    /// The age that this share of slots does not exceed, in milliseconds.
    pub fn age_at(&self, share: f64) -> f64 {
        at(&self.ages_ms, share)
    }

    /// Share of the slots that ended with their own command, per cent.
    pub fn covered(&self) -> f64 {
        let least = self.ages_ms.first().copied().unwrap_or_default() + 1.0;
        let covered = self.ages_ms.iter().filter(|age| **age < least).count();
        100.0 * covered as f64 / self.ages_ms.len() as f64
    }

    /// Share of messages that arrived, per cent.
    pub fn arrived(&self) -> f64 {
        100.0 * self.delays_ms.len() as f64 / self.sent as f64
    }

    /// Bytes on the wire for each message, over all paths and both ways.
    pub fn bytes_each(&self) -> f64 {
        self.bytes as f64 / self.sent as f64
    }

    /// One row of a table.
    pub fn row(&self, name: &str) -> String {
        let ages = if self.ages_ms.is_empty() {
            String::new()
        } else {
            format!(
                "   covered {:5.1} age p99 {:4.0} p99.9 {:4.0}",
                self.covered(),
                self.age_at(0.99),
                self.age_at(0.999)
            )
        };
        format!(
            "{name:<44}{:>7}{:>8.2}{:>8.1}{:>7.1}{:>7.1}{:>7.1}{:>7.1}{:>9.0}{:>6.0}{:>6.0}{:>7.1}{:>5}{:>7.2}{:>8.1}{ages}",
            self.sent,
            self.arrived(),
            self.mean(),
            self.at(0.5),
            self.at(0.99),
            self.at(0.999),
            self.at(1.0),
            self.bytes_each(),
            self.kbit_s[0],
            self.kbit_s[1],
            self.queue_ms,
            self.without_lease,
            100.0 * self.applied_ms.len() as f64 / self.sent as f64,
            at(&self.applied_ms, 0.99),
        )
    }

    /// The head of a table of rows.
    pub fn head() -> String {
        format!(
            "{:<44}{:>7}{:>8}{:>8}{:>7}{:>7}{:>7}{:>7}{:>9}{:>6}{:>6}{:>7}{:>5}{:>7}{:>8}",
            "ms",
            "sent",
            "arrived",
            "mean",
            "p50",
            "p99",
            "p99.9",
            "max",
            "bytes",
            "down",
            "up",
            "queue",
            "-",
            "appl",
            "p99"
        )
    }
}

fn at(sorted: &[f64], share: f64) -> f64 {
    let wanted = sorted.len() as f64 * share;
    let mut ranked = (1_u32..).zip(sorted);
    let found = ranked.find(|(rank, _)| f64::from(*rank) >= wanted);
    found.map_or(f64::NAN, |(_, value)| *value)
}

/// Until the estimates of all paths are made of packets of this session.
const SETTLING: Duration = Duration::from_secs(5);
/// Life of a reliable message: nothing is lost because of it.
const TTL: Duration = Duration::from_secs(20);
/// Two clean legs of 10 ms.
const CLEAN: Duration = Duration::from_millis(20);
/// What a write to the vehicle's disk takes.
const WRITE_MS: f64 = 3.0;
