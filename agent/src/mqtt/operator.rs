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

use super::client::Message;
use super::config::{FUNCTION, OperatorSection, Qos, VEHICLE};
use super::template::Template;

/// What an operator of MQTT wants, and what it waits for.
pub(crate) struct Operator {
    section: OperatorSection,
    /// Topics that no answer goes to.
    kept: Vec<Template>,
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

/// A command on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandTicket(Option<Answer>);

impl Operator {
    /// An operator that has heard nothing.
    pub(crate) fn new(section: OperatorSection, kept: Vec<Template>) -> Operator {
        Operator {
            section,
            kept,
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
        let answer_to = message.response_topic.clone();
        let is_kept = |topic: &String| self.kept.iter().any(|kept| kept.covers(topic));
        let answer = answer_to
            .filter(|topic| !is_kept(topic))
            .map(|topic| Answer {
                topic,
                correlation: message.correlation.clone(),
            });
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
        sent: Result<Option<u64>, String>,
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
            Err(why) => {
                // Whatever is wrong with the lease, it is asked for anew.
                if let Some(wanted) = self.get(vehicle, function) {
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
mod tests {
    use super::*;

    const UNIX_MS: u64 = 1_700_000_000_000;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn operator() -> Operator {
        Operator::new(
            OperatorSection {
                name: name("panel"),
                broker: name("yard"),
                identity: "panel".into(),
                topic: Template::parse("site/{vehicle}/{function}/set").unwrap(),
                vehicle: None,
                function: None,
                ttl_ms: 1_000,
                idle_ms: 5_000,
            },
            vec![Template::parse("devices/{device}/cmd").unwrap()],
        )
    }

    fn message(payload: &str) -> Message {
        Message {
            topic: "site/truck-17/valves/set".to_string(),
            payload: payload.into(),
            response_topic: Some("answers".to_string()),
            correlation: Some(vec![7]),
            ..Message::default()
        }
    }

    fn events(operator: &mut Operator) -> Vec<OperatorEvent> {
        std::iter::from_fn(|| operator.poll_event()).collect()
    }

    fn answers(operator: &mut Operator) -> Vec<String> {
        let answers = events(operator).into_iter();
        answers
            .filter_map(|event| match event {
                OperatorEvent::Answer(message) => {
                    assert_eq!(
                        (message.topic.as_str(), message.correlation),
                        ("answers", Some(vec![7]))
                    );
                    Some(String::from_utf8(message.payload).unwrap())
                }
                _ => None,
            })
            .collect()
    }

    fn held(operator: &mut Operator, kind: FunctionKind) {
        let (truck, valves) = (name("truck-17"), name("valves"));
        operator.on_session(at(0), &truck, &[(valves.clone(), kind)]);
        operator.on_granted(at(0), &truck, &valves);
    }

    /// SAFE-126
    #[test]
    fn a_command_takes_a_lease_like_anyones_and_its_receipt_is_answered() {
        let mut operator = operator();
        operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
        let (truck, valves) = (name("truck-17"), name("valves"));
        assert_eq!(
            events(&mut operator),
            [OperatorEvent::Open {
                vehicle: truck.clone()
            }]
        );
        operator.on_session(at(100), &truck, &[(valves.clone(), FunctionKind::Opaque)]);
        let take = OperatorEvent::Take {
            vehicle: truck.clone(),
            function: valves.clone(),
        };
        assert_eq!(events(&mut operator), [take]);
        operator.on_granted(at(200), &truck, &valves);
        let mut events = events(&mut operator);
        let Some(OperatorEvent::Command {
            class,
            ttl,
            body,
            ticket,
            ..
        }) = events.pop()
        else {
            panic!("a command")
        };
        assert_eq!((class, ttl), (Class::Reliable, Duration::from_millis(800)));
        assert_eq!(body, Body::Opaque(b"open".to_vec()));
        operator.on_sent(&truck, &valves, ticket, Ok(Some(9)));
        operator.on_receipt(&truck, &valves, 9, &Resolution::Applied);
        assert_eq!(answers(&mut operator), [r#"{"outcome":"applied"}"#]);
    }

    /// SAFE-126
    #[test]
    fn a_lease_that_is_refused_refuses_what_waited_for_it() {
        let mut operator = operator();
        operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
        let (truck, valves) = (name("truck-17"), name("valves"));
        operator.on_session(at(0), &truck, &[(valves.clone(), FunctionKind::Opaque)]);
        operator.on_no_lease(&truck, &valves, "held by controller/alice");
        assert_eq!(
            answers(&mut operator),
            [r#"{"outcome":"refused","why":"held by controller/alice"}"#]
        );
    }

    /// SAFE-127
    #[test]
    fn a_kept_or_late_message_is_no_command() {
        let mut operator = operator();
        let kept = Message {
            retained: true,
            ..message("open")
        };
        let late = |deadline: &str| Message {
            properties: vec![("deadline-unix-ms".to_string(), deadline.to_string())],
            ..message("open")
        };
        let over = Message {
            expiry_s: Some(0),
            ..message("open")
        };
        for message in [kept, late("1700000000000"), late("soon"), over] {
            operator.on_message(at(0), UNIX_MS, &message, Qos::AtLeastOnce);
        }
        assert_eq!(
            answers(&mut operator),
            [
                r#"{"outcome":"refused","why":"a command must not be retained"}"#,
                r#"{"outcome":"expired"}"#,
                r#"{"outcome":"expired"}"#,
                r#"{"outcome":"expired"}"#,
            ]
        );
        assert!(operator.wanted.is_empty());
    }

    /// SAFE-127
    #[test]
    fn a_command_waits_for_its_lease_no_longer_than_its_time_to_live() {
        let mut operator = operator();
        let short = Message {
            properties: vec![("deadline-unix-ms".to_string(), (UNIX_MS + 300).to_string())],
            ..message("open")
        };
        operator.on_message(at(0), UNIX_MS, &short, Qos::AtLeastOnce);
        assert_eq!(operator.next_timeout(), Some(at(300)));
        operator.on_timeout(at(300));
        held(&mut operator, FunctionKind::Opaque);
        assert_eq!(answers(&mut operator), [r#"{"outcome":"expired"}"#]);
    }

    #[test]
    fn a_drive_command_is_typed_and_anything_else_is_refused() {
        let mut operator = operator();
        let words = [
            r#"{"speed_mm_s":500,"dead_man":true}"#,
            r#"{"speed_mm_s":0,"resume":true}"#,
            r#"{"speed_mm_s":99999}"#,
            "fast",
        ];
        for word in words {
            operator.on_message(at(0), UNIX_MS, &message(word), Qos::AtMostOnce);
        }
        held(&mut operator, FunctionKind::Drive);
        let (mut commands, mut refused) = (Vec::new(), 0);
        for event in events(&mut operator) {
            match event {
                OperatorEvent::Command {
                    class,
                    body,
                    dead_man,
                    resume,
                    ..
                } => {
                    assert_eq!(class, Class::Latest);
                    commands.push((body, dead_man, resume));
                }
                OperatorEvent::Answer(_) => refused += 1,
                _ => {}
            }
        }
        let drive = |speed_mm_s| {
            Body::Drive(Drive {
                speed_mm_s,
                curvature_per_km: 0,
            })
        };
        assert_eq!(
            commands,
            [(drive(500), true, false), (drive(0), false, true)]
        );
        assert_eq!(refused, 2);
    }

    #[test]
    fn a_lease_that_nobody_uses_is_given_back_and_taken_again() {
        let mut operator = operator();
        operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
        held(&mut operator, FunctionKind::Opaque);
        events(&mut operator);
        assert_eq!(operator.next_timeout(), Some(at(5_000)));
        operator.on_timeout(at(5_000));
        assert!(matches!(
            events(&mut operator)[..],
            [OperatorEvent::Release { .. }]
        ));
        operator.on_message(at(6_000), UNIX_MS, &message("shut"), Qos::AtLeastOnce);
        assert!(matches!(
            events(&mut operator)[..],
            [OperatorEvent::Take { .. }]
        ));
    }

    #[test]
    fn no_answer_goes_where_only_the_agent_may_write() {
        let mut operator = operator();
        let sly = Message {
            response_topic: Some("devices/valve-3/cmd".to_string()),
            retained: true,
            ..message("open")
        };
        operator.on_message(at(0), UNIX_MS, &sly, Qos::AtLeastOnce);
        assert_eq!(events(&mut operator), []);
    }

    #[test]
    fn what_nobody_uses_is_forgotten_and_its_session_closed() {
        let mut operator = operator();
        operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
        for _ in 0..10 {
            let Some(due) = operator.next_timeout() else {
                break;
            };
            operator.on_timeout(due);
        }
        assert!(operator.wanted.is_empty());
        let vehicle = name("truck-17");
        assert!(events(&mut operator).contains(&OperatorEvent::Close { vehicle }));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut operator = operator();
        for _ in 0..WAITING_MAX + 3 {
            operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
        }
        assert_eq!(answers(&mut operator).len(), 3);
    }
}
