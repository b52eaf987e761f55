//! An agent between two relays, with controllers that have papers of the fleet. None of them keeps to any rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longrein_proto::base::limits::{APPLYING_MAX, OUTBOX_PARCELS_MAX, SESSIONS_PER_AGENT_MAX};
use longrein_proto::base::{
    ApplicationId, Channel, Class, FencingToken, Flow, MonoTime, NodeName, Refusal, SessionId,
    Stage,
};
use longrein_proto::control::Policy;
use longrein_proto::crypto::Initiator;
use longrein_proto::role::{
    Agent, AgentConfig, AgentEvent, AgentRecord, Apply, FunctionConfig, Input, Role,
};
use longrein_proto::wire::{
    Body, Command, ControllerBeat, Drive, FunctionKind, Parcel, Renewal, Reply, Request,
    SessionMessage, Telemetry,
};

use crate::flows::{BEATS, DRIVE, REQUESTS, TUNNEL};
use crate::papers::Papers;
use crate::{Bench, Chance, Script, Side, forgery, papers};

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut scene = Scene::new(&mut script);
    while !script.is_over() {
        scene.act(&mut script);
        scene.look();
    }
}

struct Scene {
    bench: Bench<Agent>,
    calls: BTreeMap<SessionId, Call>,
    next_session: u32,
    /// What the agent waits for: writes, and verdicts with the ids of their commands.
    writes: Vec<u64>,
    verdicts: Vec<(u64, Option<ApplicationId>)>,
    /// Who may command by what the agent told its program.
    leases: BTreeMap<Channel, FencingToken>,
    newest: BTreeMap<Channel, FencingToken>,
    applied: BTreeSet<ApplicationId>,
    is_stopped: bool,
}

/// A controller's end of a session, from its first step on.
struct Call {
    who: NodeName,
    initiator: Initiator,
    side: Option<Side>,
    token: FencingToken,
}

impl Scene {
    fn new(script: &mut Script<'_>) -> Scene {
        let me = papers().name("agent/truck-17");
        let function = |name: &str, kind| FunctionConfig {
            name: name.parse().expect("a valid name"),
            kind,
            lease_ttl: Duration::from_millis(500),
        };
        let config = AgentConfig {
            me: me.clone(),
            functions: vec![
                function("drive", FunctionKind::Drive),
                function("tunnel", FunctionKind::Opaque),
            ],
            policy: Policy::open(),
        };
        let agent = Agent::new(
            config,
            papers().credential(&me),
            papers().fleet.clone(),
            Box::new(Chance::new(u64::from(script.byte()))),
            AgentRecord::default(),
        );
        let mut bench = Bench::new(agent, &["relay/a", "relay/b"]);
        bench.path_up(0, 0);
        bench.path_up(1, 1);
        Scene {
            bench,
            calls: BTreeMap::new(),
            next_session: 1,
            writes: Vec::new(),
            verdicts: Vec::new(),
            leases: BTreeMap::new(),
            newest: BTreeMap::new(),
            applied: BTreeSet::new(),
            is_stopped: false,
        }
    }

    fn act(&mut self, script: &mut Script<'_>) {
        match script.byte() % 16 {
            0 | 1 => self.bench.network(script),
            2 | 3 => self.bench.pass(script),
            4 => self.call(script),
            5 => {
                let parcel = forgery::parcel(script);
                self.bench.say(script, parcel);
            }
            6 => self.bench.repeat(script),
            7 | 8 => self.invent(script),
            9..=11 => self.work(script),
            12 => self.write(script),
            13 => self.judge(script),
            14 => self.program(script),
            _ => self.bench.wall(script),
        }
        self.bench.settle();
        self.hear();
    }

    /// A controller, or whoever has papers, begins a session.
    fn call(&mut self, script: &mut Script<'_>) {
        let who = match script.byte() % 8 {
            0 => forgery::node(script),
            1..=4 => papers().name("controller/alice"),
            _ => papers().name("controller/mallory"),
        };
        let session = match script.byte() % 8 {
            0 => forgery::session(script),
            _ => SessionId(self.next_session),
        };
        self.next_session += 1;
        let mut chance = Chance::new(u64::from(script.byte()));
        let truck = papers().name("agent/truck-17");
        let (initiator, step1) = Initiator::new(self.bench.now, session, &truck, &mut chance);
        let call = Call {
            who,
            initiator,
            side: None,
            token: FencingToken::default(),
        };
        self.calls.insert(session, call);
        let parcel = Parcel::Handshake {
            session,
            step: 1,
            to: Some(truck),
            body: step1.into(),
        };
        self.bench.say(script, parcel.encode());
    }

    /// Something sealed that no controller would say.
    fn invent(&mut self, script: &mut Script<'_>) {
        let now = self.bench.now;
        let parcel = self
            .pick(script)
            .and_then(|call| call.side.as_mut()?.invent(now, script));
        if let Some(parcel) = parcel {
            self.bench.say(script, parcel);
        }
    }

    /// What a controller does, right or wrong.
    fn work(&mut self, script: &mut Script<'_>) {
        let now = self.bench.now;
        let what = script.byte();
        let channel = script.pick(&[DRIVE, DRIVE, TUNNEL, Channel::new(3).unwrap_or(DRIVE)]);
        let wrong_token = FencingToken(u64::from(script.byte() % 4));
        let (flag, number) = (script.byte(), script.byte());
        let Some(call) = self.pick(script) else {
            return;
        };
        let token = if what & 0x80 == 0 {
            call.token
        } else {
            wrong_token
        };
        let Some(side) = call.side.as_mut() else {
            return;
        };
        let ask = u32::from(number);
        let request = |request| (REQUESTS, SessionMessage::Request { ask, request }.encode());
        let (flow, message) = match what % 12 {
            0 => request(Request::Take { channel }),
            1 => request(Request::Release { channel, token }),
            2 => request(Request::ResetStop {
                generation: u32::from(number % 4),
            }),
            3 => {
                let renewal = Renewal { channel, token };
                let beat = ControllerBeat {
                    echo: None,
                    renewals: vec![renewal],
                    flows: Vec::new(),
                };
                (BEATS, beat.encode())
            }
            4 => (REQUESTS, SessionMessage::Bye.encode()),
            5 => request(Request::Wait { channel }),
            6 => request(Request::Leave { channel }),
            7 => request(Request::Offer {
                channel,
                token,
                to: papers().name("controller/mallory"),
            }),
            _ => {
                let class = Class::ALL[usize::from(flag >> 4) % 4];
                let body = match channel {
                    TUNNEL => Body::Opaque(vec![number; usize::from(number)]),
                    _ => Body::Drive(Drive {
                        speed_mm_s: i16::from(number) * 100 * i16::from(flag & 1),
                        curvature_per_km: i16::from(flag),
                    }),
                };
                let id = ApplicationId([number % 8; 8]);
                let command = Command {
                    token,
                    dead_man: flag & 2 == 2,
                    resume: flag & 4 == 4,
                    application_id: (class == Class::Reliable).then_some(id),
                    picture_age: None,
                    body,
                };
                (Flow::new(channel, class), command.encode())
            }
        };
        if let Some(parcel) = side.tell(now, flow, message) {
            self.bench.say(script, parcel);
        }
    }

    /// A write is on disk, or something else is said to be.
    fn write(&mut self, script: &mut Script<'_>) {
        let ticket = match (script.byte() % 8, self.writes.is_empty()) {
            (0, _) | (_, true) => UNKNOWN_TICKET,
            _ => self.writes.remove(0),
        };
        self.bench
            .role
            .handle(self.bench.now, Input::Persisted { ticket });
    }

    /// The control thread has judged a command.
    fn judge(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        let (ticket, id) = match (how % 8, self.verdicts.is_empty()) {
            (0, _) | (_, true) => (UNKNOWN_TICKET, None),
            _ => self.verdicts.remove(0),
        };
        let taken = how & 0x80 == 0;
        let verdict = if taken { Ok(()) } else { Err(Refusal::Expired) };
        if taken {
            self.applied.extend(id);
        }
        self.bench.role.on_verdict(self.bench.now, ticket, verdict);
    }

    /// What the program has to say.
    fn program(&mut self, script: &mut Script<'_>) {
        let now = self.bench.now;
        let channel = script.pick(&[DRIVE, TUNNEL, Channel::SESSION]);
        let class = script.pick(&Class::ALL);
        let telemetry = Telemetry::Opaque(script.bytes(5_000).to_vec());
        let role = &mut self.bench.role;
        match script.byte() % 6 {
            0 => role.on_stage(now, channel, Stage::Hold),
            1 | 2 => role.telemetry(now, channel, class, &telemetry),
            3 => role.telemetry_to_holder(now, channel, class, &telemetry),
            4 => {
                let kbit_s = script.number() as u32;
                role.set_link_budget("cable".parse().expect("a valid name"), kbit_s);
            }
            _ => {
                if script.byte() == 0xff {
                    role.end(now);
                }
            }
        }
    }

    /// Goes on with handshakes, and keeps what controllers learn.
    fn hear(&mut self) {
        let now = self.bench.now;
        for (relay, parcel) in std::mem::take(&mut self.bench.heard) {
            let answer = match Parcel::decode(&parcel).expect("a role sends what can be read") {
                Parcel::Handshake {
                    session,
                    step: 2,
                    body,
                    ..
                } => self.calls.get_mut(&session).and_then(|call| {
                    let credential = papers().credential(&call.who);
                    let done = call.initiator.on_step2(
                        now,
                        &body,
                        &papers().fleet,
                        Papers::AT,
                        credential.as_ref(),
                    );
                    let (step3, established) = done.ok()?;
                    call.side = Some(Side::new(session, established));
                    Some(Parcel::Handshake {
                        session,
                        step: 3,
                        to: None,
                        body: step3.into(),
                    })
                }),
                Parcel::Sealed { header, .. } => {
                    if let Some(call) = self.calls.get_mut(&header.session) {
                        call.read(now, &parcel);
                    }
                    None
                }
                _ => None,
            };
            if let Some(answer) = answer {
                self.bench.far[relay].send(now, answer.encode());
            }
        }
        self.bench.settle();
    }

    fn pick(&mut self, script: &mut Script<'_>) -> Option<&mut Call> {
        let nth = usize::from(script.byte()) % self.calls.len().max(1);
        // The newest ones mostly.
        self.calls.values_mut().rev().nth(nth % 3)
    }

    /// What must hold after every act.
    fn look(&mut self) {
        for (at, event) in std::mem::take(&mut self.bench.events) {
            match event {
                AgentEvent::Apply(apply) => self.on_apply(at, &apply),
                AgentEvent::Persist { ticket, record } => {
                    assert!(AgentRecord::decode(&record).is_ok());
                    self.writes.push(ticket);
                }
                AgentEvent::Stop { .. } => self.is_stopped = true,
                AgentEvent::StopReset { .. } => self.is_stopped = false,
                AgentEvent::LeaseGranted { channel, token, .. }
                | AgentEvent::LeaseHandedOver { channel, token, .. } => {
                    let before = self.newest.insert(channel, token);
                    assert!(before < Some(token), "{before:?} and then {token:?}");
                    self.leases.insert(channel, token);
                }
                AgentEvent::LeaseEnded { channel, .. } => {
                    self.leases.remove(&channel);
                }
                _ => {}
            }
        }
        let role = &self.bench.role;
        assert!(role.waiting() <= OUTBOX_PARCELS_MAX);
        assert!(role.sessions().count() <= SESSIONS_PER_AGENT_MAX);
        assert!(self.verdicts.len() <= APPLYING_MAX);
        assert_eq!(role.is_stopped(), self.is_stopped);
    }

    // [SAFE-33] [SAFE-41] [SAFE-42]
    fn on_apply(&mut self, at: MonoTime, apply: &Apply) {
        let command = apply.accepted.inner();
        assert!(!self.is_stopped, "a command while stopped");
        let once = matches!(apply.class, Class::Reliable | Class::Stop);
        // One that waited for the disk is judged again at the place of its use.
        assert!(once || apply.accepted.deadline() > at, "a late command");
        let newest = self.leases.get(&apply.channel);
        assert_eq!(
            newest,
            Some(&command.token),
            "a token that is not the newest"
        );
        let id = command.application_id.filter(|_| once);
        if let Some(id) = id {
            assert!(!self.applied.contains(&id), "{id:?} again");
        }
        self.verdicts.push((apply.ticket, id));
    }
}

impl Call {
    fn read(&mut self, now: MonoTime, parcel: &[u8]) {
        let read = self.side.as_mut().and_then(|side| side.read(now, parcel));
        let Some((flow, content)) = read else { return };
        if flow != REQUESTS {
            return;
        }
        if let Ok(SessionMessage::Reply {
            reply: Reply::Granted(granted) | Reply::Coming(granted),
            ..
        }) = SessionMessage::decode(&content.bytes)
        {
            self.token = granted.token;
        }
    }
}

/// No agent comes as far.
const UNKNOWN_TICKET: u64 = 1 << 40;
