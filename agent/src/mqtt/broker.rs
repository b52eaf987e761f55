//! One broker's task: its connection, and what the bridge has for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use longrein_io::clock;
use longrein_proto::base::{Channel, Class, MonoTime, Name};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Duration, sleep};

use super::bridge::{Bridge, BridgeEvent, Handed};
use super::link::{Connection, Fact};
use super::outbox::{Settled, Voids};

/// What a function's adapter and its broker's task know of each other.
#[derive(Debug)]
pub(crate) struct Standing {
    /// What makes commands void that wait.
    pub(crate) voids: Arc<Voids>,
    /// The devices are to be in their safe state.
    pub(crate) fail_safe: AtomicBool,
    /// Since when the broker is away, in µs of the monotonic clock; 0 while it is there, the highest number before it was there
    /// at all.
    pub(crate) away_since_us: AtomicU64,
    /// Told when one of the first two has changed.
    pub(crate) news: Arc<Notify>,
}

impl Standing {
    /// Of a broker that was not there yet.
    pub(crate) fn new(news: Arc<Notify>) -> Standing {
        Standing {
            voids: Arc::default(),
            fail_safe: AtomicBool::new(false),
            away_since_us: AtomicU64::new(u64::MAX),
            news,
        }
    }
}

/// Words for a broker's task.
#[derive(Debug)]
pub(crate) enum Work {
    /// A command passed the last checks.
    Command { channel: Channel, handed: Handed },
    /// A command was refused elsewhere.
    Refused { channel: Channel, why: &'static str },
    /// What was counted elsewhere, in all.
    Counted {
        channel: Channel,
        what: &'static str,
        count: u64,
    },
    /// Somebody has come to watch.
    Watcher { channel: Channel },
}

/// What became of a command.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) ticket: u64,
    pub(crate) settled: Settled,
}

/// What observers of a function are told.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) channel: Channel,
    pub(crate) class: Class,
    pub(crate) lines: Vec<u8>,
}

/// A function of the agent, as its broker's task knows it.
pub(crate) struct Member {
    pub(crate) channel: Channel,
    pub(crate) standing: Arc<Standing>,
    pub(crate) outcomes: mpsc::Sender<Outcome>,
    /// Wakes the control thread.
    pub(crate) wake: Box<dyn Fn() + Send>,
}

/// Keeps a broker connected until its functions' adapters are gone.
pub(crate) struct Broker {
    pub(crate) name: Name,
    pub(crate) connection: Connection,
    pub(crate) bridge: Bridge,
    pub(crate) members: Vec<Member>,
    pub(crate) work: mpsc::Receiver<Work>,
    pub(crate) news: Arc<Notify>,
    pub(crate) reports: mpsc::Sender<Report>,
    /// Changes when the agent ends, also with a control thread that is stuck and has its adapters still.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Broker {
    /// Until all that hands over work is gone, or the agent ends; then the devices are told to be safe, and the connection ends in
    /// good order.
    pub(crate) async fn serve(mut self) {
        loop {
            let now = clock::now();
            self.take_standing(now);
            self.bridge.on_timeout(now);
            self.transmit(now);
            if let Some(why) = self.take_events() {
                self.connection.lose(&why);
                self.on_lost();
                continue;
            }
            let wait = self.bridge.next_timeout(now).map(|at| at.since(now));
            let wait = wait.map_or(WAIT_MAX, |wait| wait.min(WAIT_MAX));
            let turn = tokio::select! {
                work = self.work.recv() => match work {
                    Some(work) => Turn::Work(work),
                    None => break,
                },
                _ = self.ending.changed() => break,
                () = self.news.notified() => Turn::Look,
                () = sleep(wait) => Turn::Look,
                fact = self.connection.step() => Turn::Fact(fact),
            };
            match turn {
                Turn::Work(work) => self.on_work(work),
                Turn::Look => {}
                Turn::Fact(Fact::Connected) => self.bridge.on_connected(clock::now()),
                Turn::Fact(Fact::Read(count)) => {
                    self.bridge
                        .on_bytes(clock::now(), self.connection.bytes(count));
                }
                Turn::Fact(Fact::Lost) => self.on_lost(),
            }
        }
        let now = clock::now();
        // [SAFE-124]
        for member in &self.members {
            self.bridge.on_fail_safe(now, member.channel, true);
        }
        self.bridge.on_end(now);
        self.transmit(now);
        self.connection.end().await;
    }

    fn transmit(&mut self, now: MonoTime) {
        while let Some(bytes) = self.bridge.poll_transmit(now) {
            self.connection.push(&bytes);
        }
    }

    fn take_standing(&mut self, now: MonoTime) {
        for member in &self.members {
            let fail_safe = member.standing.fail_safe.load(Ordering::Acquire);
            self.bridge.on_fail_safe(now, member.channel, fail_safe);
        }
    }

    fn on_work(&mut self, work: Work) {
        let now = clock::now();
        match work {
            Work::Command { channel, handed } => self.bridge.on_command(now, channel, handed),
            Work::Refused { channel, why } => self.bridge.on_refused(channel, why),
            Work::Counted {
                channel,
                what,
                count,
            } => self.bridge.on_counted(channel, what, count),
            Work::Watcher { channel } => self.bridge.on_watcher(now, channel),
        }
    }

    /// Carries what the bridge has to say; why the connection is to be closed, if it is.
    fn take_events(&mut self) -> Option<String> {
        let mut close = None;
        while let Some(event) = self.bridge.poll_event() {
            match event {
                BridgeEvent::Settled {
                    channel,
                    ticket,
                    settled,
                } => {
                    let member = self.members.iter().find(|m| m.channel == channel);
                    if let Some(member) = member {
                        // There is a place for each command that may be under way.
                        let _ = member.outcomes.try_send(Outcome { ticket, settled });
                        (member.wake)();
                    }
                }
                BridgeEvent::Report {
                    channel,
                    class,
                    lines,
                } => {
                    let report = Report {
                        channel,
                        class,
                        lines,
                    };
                    // Who does not take it must not hold up commands.
                    if self.reports.try_send(report).is_err() {
                        self.bridge.on_refused(channel, "reports_dropped");
                    }
                }
                BridgeEvent::Up => {
                    self.connection.on_welcome();
                    self.note_away(0);
                }
                BridgeEvent::Close { why } => close = Some(why),
                BridgeEvent::Complaint { why } => {
                    tracing::warn!(broker = %self.name, %why, "broker complains");
                }
            }
        }
        close
    }

    fn on_lost(&mut self) {
        let now = clock::now();
        if self.bridge.is_up() {
            self.note_away(now.as_us().max(1));
        }
        self.bridge.on_closed(now);
    }

    fn note_away(&self, since_us: u64) {
        for member in &self.members {
            let standing = &member.standing;
            standing.away_since_us.store(since_us, Ordering::Release);
            (member.wake)();
        }
    }
}

/// What a broker's task does next.
enum Turn {
    Work(Work),
    Fact(Fact),
    /// Whatever is due.
    Look,
}

/// Reports that wait for the network thread: with 8 KiB each, 4 MiB.
pub(crate) const REPORTS_MAX: usize = 512;
/// Nobody waits longer than this: what waits on nothing is looked at as often.
const WAIT_MAX: Duration = Duration::from_secs(1);
