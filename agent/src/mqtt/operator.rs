//! Commands that come from MQTT: whose they are for, how long they are worth it, and under which lease. The rules, on time that is
//! passed in; the sessions and leases are a controller's like any.
//!
//! ```text
//! payload for an opaque function    the bytes that the function takes; none: resume
//! payload for a drive function      {"speed_mm_s":500,"curvature_per_km":0,"dead_man":true,"resume":false}
//! answer, on the response topic     {"outcome":"applied"}
//!                                   {"outcome":"refused","why":"held by controller/alice"}
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use longrein_proto::base::{Class, MonoTime, Name};
use longrein_proto::session::Resolution;
use longrein_proto::wire::{Body, Drive, FunctionKind};
use serde::{Deserialize, Serialize};

use super::config::{FUNCTION, OperatorSection, Qos, VEHICLE};
use super::duplicates::Duplicates;
use super::message::Message;
use super::template::Template;

/// What an operator of MQTT wants, and what it waits for.
pub(crate) struct Operator {
    section: OperatorSection,
    /// Topics that no answer goes to.
    kept: Vec<Template>,
    /// Messages that have an id.
    seen: Duplicates,
    wanted: BTreeMap<(Name, Name), Wanted>,
    /// Commands that were sent and have no receipt, the oldest first.
    sent: VecDeque<Sent>,
    events: VecDeque<OperatorEvent>,
}

/// A function of a vehicle that commands came for.
struct Wanted {
    /// Its kind, once the session stands.
    kind: Option<FunctionKind>,
    lease: LeaseState,
    waiting: VecDeque<Order>,
    used_at: MonoTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    None,
    Asked,
    Held,
}

/// A command that waits for its session and lease, no longer than its time to live.
struct Order {
    payload: Vec<u8>,
    deadline: MonoTime,
    qos: Qos,
    answer: Option<Answer>,
}

/// Whom the outcome is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    topic: String,
    correlation: Option<Vec<u8>>,
}

struct Sent {
    vehicle: Name,
    function: Name,
    number: u64,
    answer: Option<Answer>,
}

/// What is to be done for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OperatorEvent {
    /// Keep a session with this vehicle.
    Open { vehicle: Name },
    /// No session with it is needed any more.
    Close { vehicle: Name },
    /// Take the lease of a function.
    Take { vehicle: Name, function: Name },
    /// Give it back.
    Release { vehicle: Name, function: Name },
    /// Send a command, and tell with [`Operator::on_sent`] how that went.
    Command {
        vehicle: Name,
        function: Name,
        class: Class,
        ttl: Duration,
        body: Body,
        dead_man: bool,
        resume: bool,
        /// For [`Operator::on_sent`].
        ticket: CommandTicket,
    },
    /// Publish what became of a command.
    Answer(Message),
}

/// Why a command did not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotSent {
    pub(crate) why: String,
    /// Whether the lease has to be taken anew.
    pub(crate) is_lease_gone: bool,
}

/// A command on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandTicket(Option<Answer>);

impl Operator {
    /// An operator that has heard nothing.
    pub(crate) fn new(section: OperatorSection, kept: Vec<Template>) -> Operator {
        Operator {
            section,
            kept,
            seen: Duplicates::new(Duration::ZERO),
            wanted: BTreeMap::new(),
            sent: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A message arrived; `unix_ms` is the wall clock's time.
    // [SAFE-126] [SAFE-127]
    pub(crate) fn on_message(&mut self, now: MonoTime, unix_ms: u64, message: &Message, qos: Qos) {
        let captured = self
            .section
            .topic
            .capture(&message.topic, [VEHICLE, FUNCTION]);
        let Some([vehicle, function]) = captured else {
            return;
        };
        let answer = self.answer_to(message);
        let name = |given: &Option<Name>, text: &str| given.clone().or_else(|| text.parse().ok());
        let vehicle = name(&self.section.vehicle, vehicle);
        let function = name(&self.section.function, function);
        let (Some(vehicle), Some(function)) = (vehicle, function) else {
            return self.answer(answer, "refused", Some("no such vehicle or function"));
        };
        if message.retained {
            return self.answer(answer, "refused", Some("a command must not be retained"));
        }
        let Some(ttl) = time_left(message, unix_ms, self.section.ttl_ms) else {
            return self.answer(answer, "expired", None);
        };
        // [SAFE-128]
        let has_id = message.properties.iter().any(|(key, _)| key == "id");
        if has_id && self.seen.is_duplicate(now, message, false) {
            return self.answer(answer, "refused", Some("it came before"));
        }
        let key = (vehicle, function);
        if !self.wanted.contains_key(&key) {
            if self.wanted.len() >= FUNCTIONS_MAX {
                return self.answer(answer, "refused", Some("too many functions at once"));
            }
            let vehicle = key.0.clone();
            self.events.push_back(OperatorEvent::Open { vehicle });
        }
        let wanted = self.wanted.entry(key).or_insert_with(|| Wanted {
            kind: None,
            lease: LeaseState::None,
            waiting: VecDeque::new(),
            used_at: now,
        });
        wanted.used_at = now;
        if wanted.waiting.len() >= WAITING_MAX {
            return self.answer(answer, "refused", Some("too many commands at once"));
        }
        wanted.waiting.push_back(Order {
            payload: message.payload.clone(),
            deadline: now + ttl,
            qos,
            answer,
        });
        self.work(now);
    }

    /// A message arrived that may have been on its way for longer than a moment.
    // [SAFE-127]
    pub(crate) fn on_late(&mut self, message: &Message) {
        let answer = self.answer_to(message);
        self.answer(answer, "expired", None);
    }

    /// The session with a vehicle stands; what its functions are.
    pub(crate) fn on_session(
        &mut self,
        now: MonoTime,
        vehicle: &Name,
        functions: &[(Name, FunctionKind)],
    ) {
        let mut missing = Vec::new();
        for ((of, function), wanted) in &mut self.wanted {
            if of == vehicle {
                let kind = functions.iter().find(|(name, _)| name == function);
                wanted.kind = kind.map(|(_, kind)| *kind);
                if wanted.kind.is_none() {
                    missing.extend(wanted.waiting.drain(..).map(|order| order.answer));
                }
            }
        }
        for answer in missing {
            self.answer(answer, "refused", Some("no such function"));
        }
        self.work(now);
    }

    /// The session is over, and its leases with it.
    pub(crate) fn on_session_lost(&mut self, vehicle: &Name) {
        for ((of, _), wanted) in &mut self.wanted {
            if of == vehicle {
                wanted.kind = None;
                wanted.lease = LeaseState::None;
            }
        }
    }

    /// A lease is granted.
    pub(crate) fn on_granted(&mut self, now: MonoTime, vehicle: &Name, function: &Name) {
        if let Some(wanted) = self.get(vehicle, function) {
            wanted.lease = LeaseState::Held;
        }
        self.work(now);
    }

    /// A lease is refused, or lost.
    pub(crate) fn on_no_lease(&mut self, vehicle: &Name, function: &Name, why: &str) {
        let Some(wanted) = self.get(vehicle, function) else {
            return;
        };
        wanted.lease = LeaseState::None;
        let answers: Vec<_> = wanted.waiting.drain(..).map(|order| order.answer).collect();
        for answer in answers {
            self.answer(answer, "refused", Some(why));
        }
    }

    /// How it went with a command: its number when its receipt will come.
    pub(crate) fn on_sent(
        &mut self,
        vehicle: &Name,
        function: &Name,
        CommandTicket(answer): CommandTicket,
        sent: Result<Option<u64>, NotSent>,
    ) {
        match sent {
            Ok(Some(number)) => {
                self.sent.push_back(Sent {
                    vehicle: vehicle.clone(),
                    function: function.clone(),
                    number,
                    answer,
                });
                if self.sent.len() > SENT_MAX {
                    self.sent.pop_front();
                }
            }
            Ok(None) => self.answer(answer, "sent", None),
            Err(NotSent { why, is_lease_gone }) => {
                if is_lease_gone && let Some(wanted) = self.get(vehicle, function) {
                    wanted.lease = LeaseState::None;
                }
                self.answer(answer, "refused", Some(&why));
            }
        }
    }

    /// The vehicle says what became of a command.
    pub(crate) fn on_receipt(
        &mut self,
        vehicle: &Name,
        function: &Name,
        number: u64,
        outcome: &Resolution,
    ) {
        let place = self.sent.iter().position(|sent| {
            sent.number == number && sent.vehicle == *vehicle && sent.function == *function
        });
        let Some(sent) = place.and_then(|place| self.sent.remove(place)) else {
            return;
        };
        match outcome {
            Resolution::Applied => self.answer(sent.answer, "applied", None),
            Resolution::Refused(why) => {
                self.answer(sent.answer, "refused", Some(&why.to_string()));
            }
            Resolution::Expired => self.answer(sent.answer, "expired", None),
            Resolution::Unknown => self.answer(sent.answer, "unknown", None),
        }
    }

    /// What is due: commands that are over, leases that nobody uses.
    pub(crate) fn on_timeout(&mut self, now: MonoTime) {
        let idle = Duration::from_millis(self.section.idle_ms.into());
        let mut expired = Vec::new();
        for ((vehicle, function), wanted) in &mut self.wanted {
            let waiting = std::mem::take(&mut wanted.waiting).into_iter();
            let (over, rest): (VecDeque<_>, _) = waiting.partition(|order| order.deadline <= now);
            wanted.waiting = rest;
            expired.extend(over);
            if wanted.lease == LeaseState::Held && now.since(wanted.used_at) >= idle {
                wanted.lease = LeaseState::None;
                self.events.push_back(OperatorEvent::Release {
                    vehicle: vehicle.clone(),
                    function: function.clone(),
                });
            }
        }
        for order in expired {
            self.answer(order.answer, "expired", None);
        }
        self.forget_unused(now, idle);
        self.work(now);
    }

    /// When [`Operator::on_timeout`] is wanted.
    pub(crate) fn next_timeout(&self) -> Option<MonoTime> {
        let idle = Duration::from_millis(self.section.idle_ms.into());
        let each = self.wanted.values().flat_map(|wanted| {
            let waiting = wanted.waiting.iter().map(|order| order.deadline).min();
            let lease = match wanted.lease {
                LeaseState::Held => Some(wanted.used_at + idle),
                LeaseState::None => Some(wanted.used_at + idle.max(KEPT)),
                LeaseState::Asked => None,
            };
            [waiting, lease]
        });
        each.flatten().min()
    }

    /// The next thing to do.
    pub(crate) fn poll_event(&mut self) -> Option<OperatorEvent> {
        self.events.pop_front()
    }

    /// Takes the leases that are wanted, and sends what waited for them.
    fn work(&mut self, now: MonoTime) {
        let mut wrong = Vec::new();
        for ((vehicle, function), wanted) in &mut self.wanted {
            let Some(kind) = wanted.kind.filter(|_| !wanted.waiting.is_empty()) else {
                continue;
            };
            if wanted.lease == LeaseState::None {
                wanted.lease = LeaseState::Asked;
                self.events.push_back(OperatorEvent::Take {
                    vehicle: vehicle.clone(),
                    function: function.clone(),
                });
            }
            if wanted.lease != LeaseState::Held {
                continue;
            }
            for order in std::mem::take(&mut wanted.waiting) {
                let ttl = order.deadline.since(now);
                match Parsed::read(kind, &order) {
                    Some(Parsed {
                        class,
                        body,
                        dead_man,
                        resume,
                    }) if !ttl.is_zero() => self.events.push_back(OperatorEvent::Command {
                        vehicle: vehicle.clone(),
                        function: function.clone(),
                        class,
                        ttl,
                        body,
                        dead_man,
                        resume,
                        ticket: CommandTicket(order.answer),
                    }),
                    Some(_) => wrong.push((order.answer, "expired", None)),
                    None => wrong.push((order.answer, "refused", Some("malformed"))),
                }
            }
        }
        for (answer, outcome, why) in wrong {
            self.answer(answer, outcome, why);
        }
    }

    /// Names that nobody uses take no place.
    fn forget_unused(&mut self, now: MonoTime, idle: Duration) {
        let mut closed = Vec::new();
        self.wanted.retain(|(vehicle, _), wanted| {
            let unused = wanted.lease == LeaseState::None
                && wanted.waiting.is_empty()
                && now.since(wanted.used_at) >= idle.max(KEPT);
            if unused {
                closed.push(vehicle.clone());
            }
            !unused
        });
        for vehicle in closed {
            if !self.wanted.keys().any(|(of, _)| *of == vehicle) {
                self.events.push_back(OperatorEvent::Close { vehicle });
            }
        }
    }

    fn get(&mut self, vehicle: &Name, function: &Name) -> Option<&mut Wanted> {
        self.wanted.get_mut(&(vehicle.clone(), function.clone()))
    }

    fn answer_to(&self, message: &Message) -> Option<Answer> {
        let topic = message.response_topic.clone()?;
        let is_kept = self.kept.iter().any(|kept| kept.covers(&topic));
        (!is_kept).then(|| Answer {
            topic,
            correlation: message.correlation.clone(),
        })
    }

    fn answer(&mut self, answer: Option<Answer>, outcome: &str, why: Option<&str>) {
        #[derive(Serialize)]
        struct Word<'a> {
            outcome: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            why: Option<&'a str>,
        }
        if let Some(answer) = answer {
            let word = serde_json::to_vec(&Word { outcome, why });
            self.events.push_back(OperatorEvent::Answer(Message {
                topic: answer.topic,
                payload: word.expect("strings can be written"),
                correlation: answer.correlation,
                ..Message::default()
            }));
        }
    }
}

/// A command as the vehicle takes it.
struct Parsed {
    class: Class,
    body: Body,
    dead_man: bool,
    resume: bool,
}

impl Parsed {
    fn read(kind: FunctionKind, order: &Order) -> Option<Parsed> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Word {
            speed_mm_s: i16,
            #[serde(default)]
            curvature_per_km: i16,
            #[serde(default)]
            dead_man: bool,
            #[serde(default)]
            resume: bool,
        }
        match kind {
            FunctionKind::Opaque => Some(Parsed {
                class: match order.qos {
                    Qos::AtMostOnce => Class::Unordered,
                    Qos::AtLeastOnce | Qos::ExactlyOnce => Class::Reliable,
                },
                resume: order.payload.is_empty(),
                body: Body::Opaque(order.payload.clone()),
                dead_man: false,
            }),
            FunctionKind::Drive => {
                let word: Word = serde_json::from_slice(&order.payload).ok()?;
                Some(Parsed {
                    class: Class::Latest,
                    body: Body::Drive(Drive {
                        speed_mm_s: word.speed_mm_s,
                        curvature_per_km: word.curvature_per_km,
                    }),
                    dead_man: word.dead_man,
                    resume: word.resume,
                })
            }
        }
    }
}

/// How long a message is worth applying yet: what is configured, what is left of its expiry, and until the deadline that it says. None
/// when it is over.
fn time_left(message: &Message, unix_ms: u64, ttl_ms: u16) -> Option<Duration> {
    let mut left = u64::from(ttl_ms);
    if let Some(expiry_s) = message.expiry_s {
        left = left.min(u64::from(expiry_s) * 1_000);
    }
    let mut pairs = message.properties.iter();
    if let Some((_, text)) = pairs.find(|(key, _)| key == "deadline-unix-ms") {
        // A deadline that cannot be read is none that anybody can keep.
        let deadline: u64 = text.parse().ok()?;
        left = left.min(deadline.saturating_sub(unix_ms));
    }
    (left > 0).then(|| Duration::from_millis(left))
}

/// A session is kept for so long after the last command.
const KEPT: Duration = Duration::from_secs(60);
/// Functions that one operator commands at once.
const FUNCTIONS_MAX: usize = 256;
/// Commands that wait for one lease: a second of 50 a second, and some.
const WAITING_MAX: usize = 64;
/// Commands that wait for a receipt.
const SENT_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
