//! The bridge to devices that speak MQTT.
//!
//! A function with `adapter = { kind = "mqtt", .. }` stands for all devices behind one broker whose topics fit its templates. Its
//! commands pass the same gate, lease, stop and deadline as any; then they go from the control thread to the broker's task, which
//! publishes them to devices that are there and says what became of each. What devices say goes to whoever observes the function.
//!
//! ```text
//! control thread                    thread `mqtt`, a task for each broker
//! Actuation ─▶ MqttAdapter ─ Work ─▶ Broker ─▶ Bridge (rules) ─▶ Client (protocol) ─▶ TCP or TLS
//!                   ▲───── Outcome ──┘  │
//!                         Report        ▼
//! network thread: role::Agent ◀─────────┘ telemetry, presence, counters
//! ```

mod batch;
mod bridge;
mod broker;
mod client;
pub mod config;
mod devices;
mod duplicates;
mod group;
mod link;
mod message;
mod operator;
mod operator_task;
mod outbox;
mod sign_of_life;
mod template;
mod word;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longrein_io::files::FileError;
use longrein_io::keys::{Identity, IdentityError};
use longrein_io::{clock, runtime};
use longrein_proto::base::{Channel, FencingToken, MonoTime, Name, Refusal};
use rustix::event::{PollFd, PollFlags};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::bridge::{Bridge, UNAVAILABLE};
use self::broker::{Broker, Member, Outcome, REPORTS_MAX, Standing, Work};
use self::config::BrokerSection;
use self::group::Group;
use self::link::{Connection, Dial};
use self::message::Hello;
use self::operator::Operator;
use self::operator_task::OperatorTask;
use self::outbox::COMMANDS_MAX;
use self::template::Template;
use crate::config::Config;
use crate::control_thread::Waker;
use crate::error::AgentError;

pub(crate) use self::bridge::Handed;
pub(crate) use self::broker::Report;
pub use self::link::BrokerError;
pub(crate) use self::outbox::Settled;

/// The bridges and operators of an agent.
pub(crate) struct Mqtt {
    pub(crate) workers: Workers,
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) farewell: Farewell,
}

/// The end of the thread that serves them.
pub(crate) struct Farewell {
    ending: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl Farewell {
    /// Ends operators and bridges, these with what they have to tell their devices, and waits for them for a moment.
    pub(crate) async fn say(self) {
        self.ending.send_replace(true);
        // Whether they ended or not, the process does.
        let _ = timeout(FAREWELL_MAX, self.ended).await;
    }
}

/// Each function's end of its bridge.
pub(crate) type Lines = BTreeMap<Channel, Line>;

/// A function's end of its bridge.
#[derive(Debug)]
pub struct Line {
    channel: Channel,
    outage_max: Duration,
    standing: Arc<Standing>,
    work: mpsc::Sender<Work>,
    outcomes: mpsc::Receiver<Outcome>,
    waker: Arc<Waker>,
}

/// Starts the bridges that the configuration asks for, and gives each function its end; none without any.
///
/// # Errors
/// Which section cannot be used, or that the system gives no thread.
pub(crate) fn start(config: &Config, agent: &Name) -> Result<Option<(Mqtt, Lines)>, AgentError> {
    let (reports, reported) = mpsc::channel(REPORTS_MAX);
    let (farewell, ending) = watch::channel(false);
    let operators = operators(config, agent)?;
    let mut brokers = Vec::new();
    let mut workers = BTreeMap::new();
    let mut lines = BTreeMap::new();
    for section in &config.mqtt {
        let failed = |source| AgentError::Broker {
            name: section.name.clone(),
            source,
        };
        let (work, worked) = mpsc::channel(WORK_MAX);
        let news = Arc::new(Notify::new());
        let mut groups = Vec::new();
        let mut members = Vec::new();
        for (channel, function) in config.functions() {
            let Some(devices) = function.adapter.devices() else {
                continue;
            };
            if devices.broker != section.name {
                continue;
            }
            let standing = Arc::new(Standing::new(Arc::clone(&news)));
            let waker = Arc::new(Waker::new()?);
            let (outcomes, outcome) = mpsc::channel(COMMANDS_MAX + WORK_MAX);
            let voids = Arc::clone(&standing.voids);
            groups.push(Group::new(channel, devices.clone(), section.version, voids));
            members.push(Member {
                channel,
                standing: Arc::clone(&standing),
                outcomes,
                wake: {
                    let waker = Arc::clone(&waker);
                    Box::new(move || waker.wake())
                },
            });
            workers.insert(channel, work.downgrade());
            let line = Line {
                channel,
                outage_max: Duration::from_secs(devices.outage_max_s.into()),
                standing,
                work: work.clone(),
                outcomes: outcome,
                waker,
            };
            lines.insert(channel, line);
        }
        if groups.is_empty() {
            // Of operators, who have connections of their own.
            continue;
        }
        let hello = hello(section, agent).map_err(failed)?;
        brokers.push(Broker {
            name: section.name.clone(),
            connection: Connection::new(section.name.clone(), Dial::new(section).map_err(failed)?),
            bridge: Bridge::new(section.version, hello, groups, clock::unix_ms),
            members,
            work: worked,
            news,
            reports: reports.clone(),
            ending: ending.clone(),
        });
    }
    if brokers.is_empty() && operators.is_empty() {
        return Ok(None);
    }
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("mqtt".to_string())
        .spawn(move || {
            let served = runtime::run(async || {
                let mut tasks = JoinSet::new();
                for broker in brokers {
                    tasks.spawn_local(broker.serve());
                }
                for operator in operators {
                    tasks.spawn_local(operator.serve(ending.clone()));
                }
                // A panic in there was logged by itself, and ends the process where it was built to.
                while tasks.join_next().await.is_some() {}
            });
            if let Err(error) = served {
                tracing::error!(%error, "bridges to MQTT cannot run");
            }
            // Whoever waited is gone when the agent ended at once.
            let _ = end.send(());
        })?;
    let mqtt = Mqtt {
        workers: Workers(workers),
        reports: reported,
        farewell: Farewell {
            ending: farewell,
            ended,
        },
    };
    Ok(Some((mqtt, lines)))
}

/// The operators of MQTT, each with its own connection: of what was said while it was away a broker keeps nothing for it.
// [SAFE-127]
fn operators(config: &Config, agent: &Name) -> Result<Vec<OperatorTask>, AgentError> {
    let mut tasks = Vec::new();
    for section in &config.operator {
        let brokers = config.mqtt.iter();
        let mut brokers = brokers.filter(|broker| broker.name == section.broker);
        let Some(broker) = brokers.next() else {
            continue;
        };
        let failed = |source| AgentError::Broker {
            name: broker.name.clone(),
            source,
        };
        let identity = match Identity::load(&section.identity) {
            Ok(identity) => identity,
            // The vehicle can be driven without it.
            Err(error @ IdentityError::Expired { .. }) => {
                tracing::error!(operator = %section.name, %error, "operator of MQTT does not work");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut hello = hello(broker, &section.name).map_err(failed)?;
        hello.client_id = format!("longrein-{agent}-operator-{}", section.name);
        hello.session_s = 0;
        hello.will = None;
        tasks.push(OperatorTask {
            name: section.name.clone(),
            identity,
            directory: section.identity.clone(),
            routes: config.routes()?,
            version: broker.version,
            hello,
            filter: section.topic.filter(),
            connection: Connection::new(broker.name.clone(), Dial::new(broker).map_err(failed)?),
            operator: Operator::new(section.clone(), kept_from_answers(config, broker)),
        });
    }
    Ok(tasks)
}

/// Topics that no answer goes to: the agent may write there, and whoever asks may not.
fn kept_from_answers(config: &Config, broker: &BrokerSection) -> Vec<Template> {
    let devices = config.function.iter().filter_map(|f| f.adapter.devices());
    let commands = devices
        .filter(|devices| devices.broker == broker.name)
        .map(|devices| devices.command.clone());
    let availability = broker.availability.as_deref();
    let availability = availability.and_then(|topic| Template::parse(topic).ok());
    commands.chain(availability).collect()
}

fn hello(section: &BrokerSection, agent: &Name) -> Result<Hello, BrokerError> {
    let password = match &section.password_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|source| FileError {
                file: file.clone(),
                doing: "read the password",
                source,
            })?;
            Some(text.lines().next().unwrap_or_default().as_bytes().to_vec())
        }
        None => None,
    };
    let client_id = section.client_id.clone();
    let client_id = client_id.unwrap_or_else(|| format!("longrein-{agent}-{}", section.name));
    let availability = section.availability.clone();
    Ok(Hello {
        client_id,
        username: section.username.clone(),
        password,
        keep_alive_s: section.keep_alive_s,
        will: availability.map(|topic| (topic, UNAVAILABLE.to_string())),
        session_s: SESSION_S,
    })
}

/// Words from the network thread to the bridges.
#[derive(Clone)]
pub(crate) struct Workers(BTreeMap<Channel, mpsc::WeakSender<Work>>);

impl Workers {
    /// Somebody has come to watch.
    pub(crate) fn on_watcher(&self) {
        for channel in self.0.keys() {
            self.give(*channel, Work::Watcher { channel: *channel });
        }
    }

    /// A function was refused a command before it came to its adapter.
    pub(crate) fn on_refused(&self, channel: Channel, why: &Refusal) {
        let why = short(why);
        self.give(channel, Work::Refused { channel, why });
    }

    /// Copies of commands that came before, in all.
    pub(crate) fn on_replayed(&self, channel: Channel, count: u64) {
        let what = "replayed";
        let counted = Work::Counted {
            channel,
            what,
            count,
        };
        self.give(channel, counted);
    }

    /// Whether a function is bridged.
    pub(crate) fn has(&self, channel: Channel) -> bool {
        self.0.contains_key(&channel)
    }

    /// The functions that are bridged.
    pub(crate) fn channels(&self) -> impl Iterator<Item = Channel> {
        self.0.keys().copied()
    }

    fn give(&self, channel: Channel, work: Work) {
        if let Some(sender) = self.0.get(&channel).and_then(mpsc::WeakSender::upgrade) {
            // A bridge that is behind misses a count, and the next watcher asks again.
            let _ = sender.try_send(work);
        }
    }
}

/// What a counter of a refusal is called.
fn short(why: &Refusal) -> &'static str {
    match why {
        Refusal::NoClock => "no_clock",
        Refusal::Expired => "expired",
        Refusal::NotLeased => "not_leased",
        Refusal::HeldBy(_) => "held_by_another",
        Refusal::OldToken => "old_token",
        Refusal::Stopped => "stopped",
        Refusal::NeedsResume => "needs_resume",
        Refusal::DeadManReleased => "dead_man_released",
        Refusal::TooOften => "too_often",
        Refusal::NoSuchFunction => "no_such_function",
        Refusal::AlreadyApplied => "already_applied",
        Refusal::AdapterDown => "adapter_down",
        Refusal::Malformed => "malformed",
        Refusal::NotAllowed => "not_allowed",
        Refusal::NotYet => "not_yet",
        Refusal::NeedsSecond => "needs_second",
        Refusal::NoOffer => "no_offer",
        Refusal::Revoked => "revoked",
        Refusal::Absent => "device_offline",
        Refusal::OldPicture => "old_picture",
    }
}

impl Line {
    /// Hands over a command; its outcome comes later.
    ///
    /// # Errors
    /// `TooOften` when the bridge is behind, `AdapterDown` when it has ended.
    pub(crate) fn give(
        &self,
        ticket: u64,
        token: FencingToken,
        body: Vec<u8>,
        deadline: MonoTime,
    ) -> Result<(), Refusal> {
        let handed = Handed {
            ticket,
            token,
            voids: self.standing.voids.number(),
            body,
            deadline,
        };
        let channel = self.channel;
        let given = self.work.try_send(Work::Command { channel, handed });
        given.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::TooOften,
            mpsc::error::TrySendError::Closed(_) => Refusal::AdapterDown,
        })
    }

    /// The next outcome.
    pub(crate) fn poll(&mut self) -> Option<(u64, Settled)> {
        let outcome = self.outcomes.try_recv().ok()?;
        Some((outcome.ticket, outcome.settled))
    }

    /// Whether the broker is there, or away for a moment.
    pub(crate) fn is_up(&self, now: MonoTime) -> bool {
        match self.standing.away_since_us.load(Ordering::Acquire) {
            0 => true,
            u64::MAX => false,
            since_us => now.since(MonoTime::from_us(since_us)) < self.outage_max,
        }
    }

    /// What was handed over and is not published yet is void.
    pub(crate) fn void(&self) {
        self.standing.voids.all();
        self.standing.news.notify_one();
    }

    /// The same of what came under earlier tokens.
    pub(crate) fn void_before(&self, token: FencingToken) {
        self.standing.voids.before(token);
        self.standing.news.notify_one();
    }

    /// Whether the devices are to be in their safe state.
    pub(crate) fn set_fail_safe(&self, fail_safe: bool) {
        self.standing.fail_safe.store(fail_safe, Ordering::Release);
        self.standing.news.notify_one();
    }

    /// Forgets that it was woken: all outcomes are taken next.
    pub(crate) fn clear(&self) {
        self.waker.clear();
    }

    /// Readable when there is an outcome, or the broker came or went.
    pub(crate) fn wake_on(&self) -> PollFd<'_> {
        PollFd::new(&*self.waker, PollFlags::IN)
    }
}

/// Words that may wait for a broker's task: five seconds of 200 commands a second.
const WORK_MAX: usize = 1_024;
/// How long the thread may take to say farewell.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// How long a broker keeps what devices said while this agent was away: an hour.
const SESSION_S: u32 = 3_600;
