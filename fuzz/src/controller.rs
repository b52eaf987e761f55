//! A controller between two relays, and vehicles that have papers of the fleet. None of them keeps to any rule.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::limits::OUTBOX_PARCELS_MAX;
use longrein_proto::base::{
    ApplicationId, Channel, Class, FencingToken, Flow, NodeKind, NodeName, Refusal, Rights,
    SessionId, Stage, StopId,
};
use longrein_proto::crypto::{Responder, RunKey, sign_statement};
use longrein_proto::role::{Controller, ControllerEvent, Order};
use longrein_proto::wire::{
    AgentBeat, Body, Description, Drive, FunctionDescription, FunctionKind, FunctionReport,
    Granted, Parcel, Reply, SessionMessage, Statement, Telemetry,
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
    bench: Bench<Controller>,
    answers: BTreeMap<SessionId, Answer>,
    /// Sessions that stand, as the program was told.
    up: Vec<NodeName>,
    /// Who answers calls: a vehicle may have somebody else's papers.
    answers_as: NodeName,
    chance: Chance,
    run: RunKey,
}

/// A vehicle's end of a session.
struct Answer {
    responder: Responder,
    side: Option<Side>,
}

impl Scene {
    fn new(script: &mut Script<'_>) -> Scene {
        let me = papers().name("controller/alice");
        let seed = u64::from(script.byte());
        let controller = Controller::new(
            me.clone(),
            papers().credential(&me),
            papers().fleet.clone(),
            Box::new(Chance::new(seed)),
        );
        let mut bench = Bench::new(controller, &["relay/a", "relay/b"]);
        bench.path_up(0, 0);
        bench.path_up(1, 1);
        let truck = papers().name("agent/truck-17");
        let now = bench.now;
        bench.role.open(now, &truck);
        bench.settle();
        Scene {
            bench,
            answers: BTreeMap::new(),
            up: Vec::new(),
            answers_as: truck,
            chance: Chance::new(seed + 1),
            run: RunKey::new(&mut Chance::new(seed + 2)),
        }
    }

    fn act(&mut self, script: &mut Script<'_>) {
        match script.byte() % 16 {
            0 | 1 => self.bench.network(script),
            2 | 3 => self.bench.pass(script),
            4 => {
                let parcel = forgery::parcel(script);
                self.bench.say(script, parcel);
            }
            5 => self.bench.repeat(script),
            6 | 7 => self.invent(script),
            8..=10 => self.work(script),
            11 => self.answers_as = forgery::node(script),
            12 => self.state(script),
            13 | 14 => self.program(script),
            _ => self.bench.wall(script),
        }
        self.bench.settle();
        self.hear();
    }

    fn invent(&mut self, script: &mut Script<'_>) {
        let now = self.bench.now;
        let parcel = self.pick(script).and_then(|side| side.invent(now, script));
        if let Some(parcel) = parcel {
            self.bench.say(script, parcel);
        }
    }

    /// What a vehicle says in its session, right or wrong.
    fn work(&mut self, script: &mut Script<'_>) {
        let now = self.bench.now;
        let channel = script.pick(&[DRIVE, TUNNEL, Channel::SESSION]);
        let ask = u32::from(script.byte() % 16);
        let token = FencingToken(u64::from(script.byte()));
        let reply = |reply| (REQUESTS, SessionMessage::Reply { ask, reply }.encode());
        let (flow, message) = match script.byte() % 8 {
            0 => {
                let ttl_ms = script.u16();
                reply(Reply::Granted(Granted {
                    channel,
                    token,
                    ttl_ms,
                }))
            }
            1 => reply(Reply::Done),
            2 => reply(Reply::Refused(Refusal::HeldBy(forgery::node(script)))),
            3 => {
                let functions = (0..script.byte() % 4).map(|n| {
                    let name = format!("function-{n}").parse().expect("a valid name");
                    FunctionDescription {
                        name,
                        kind: FunctionKind::Opaque,
                        rights: Rights::ALL.only_function(),
                    }
                });
                let functions = functions.collect();
                let rights = Rights::ALL;
                let description = Description { functions, rights };
                (REQUESTS, SessionMessage::Description(description).encode())
            }
            4 => (REQUESTS, SessionMessage::Bye.encode()),
            5 => (BEATS, beat(script, token).encode()),
            _ => {
                let class = script.pick(&Class::ALL);
                let telemetry = Telemetry::Opaque(script.bytes(800).to_vec());
                (Flow::new(channel, class), telemetry.encode())
            }
        };
        let parcel = self
            .pick(script)
            .and_then(|side| side.tell(now, flow, message));
        if let Some(parcel) = parcel {
            self.bench.say(script, parcel);
        }
    }

    /// A vehicle's signed word about a stop.
    fn state(&mut self, script: &mut Script<'_>) {
        let author = match script.byte() % 4 {
            0 => forgery::node(script),
            _ => papers().name("agent/truck-17"),
        };
        let statement = Statement::Stopped {
            id: StopId([script.byte() % 4; 16]),
            generation: u32::from(script.byte()),
            latched: script.flag(),
        };
        let to = papers().name("controller/alice");
        let credential = papers().credential(&author);
        let body = sign_statement(credential.as_ref(), &author, &to, statement).encode();
        let parcel = Parcel::Signed {
            to,
            body: body.into(),
        };
        self.bench.say(script, parcel.encode());
    }

    /// What the program calls.
    fn program(&mut self, script: &mut Script<'_>) {
        let now = self.bench.now;
        let vehicle =
            papers().name(script.pick(&["agent/truck-17", "agent/truck-17", "agent/truck-18"]));
        let channel = script.pick(&[DRIVE, TUNNEL]);
        let number = script.byte();
        let role = &mut self.bench.role;
        match script.byte() % 10 {
            0 => role.open(now, &vehicle),
            1 => role.close(now, &vehicle),
            2 => {
                role.take(now, &vehicle, channel);
            }
            3 => {
                role.release(now, &vehicle, channel);
            }
            4 => {
                role.reset_stop(now, &vehicle, u32::from(number));
            }
            5 => {
                role.query(now, script.pick(&NodeKind::ALL));
            }
            6 => {
                let patience = Duration::from_millis(u64::from(number) * 20);
                let generation = script.flag().then_some(1);
                role.stop(
                    now,
                    &vehicle,
                    StopId([number % 4; 16]),
                    generation,
                    patience,
                );
            }
            _ => {
                let class = script.pick(&Class::ALL);
                let body = match script.flag() {
                    true => Body::Opaque(script.bytes(3_000).to_vec()),
                    false => Body::Drive(Drive::default()),
                };
                let order = Order {
                    class,
                    ttl: Duration::from_millis(u64::from(number) * 10),
                    dead_man: true,
                    resume: script.flag(),
                    application_id: Some(ApplicationId([number; 8])),
                    picture_age: None,
                    body,
                };
                let _ = role.command(now, &vehicle, channel, order);
            }
        }
    }

    /// Answers calls, as the vehicle that was called or as somebody else.
    fn hear(&mut self) {
        let now = self.bench.now;
        for (relay, parcel) in std::mem::take(&mut self.bench.heard) {
            let answer = match Parcel::decode(&parcel).expect("a role sends what can be read") {
                Parcel::Handshake {
                    session,
                    step: 1,
                    to: Some(to),
                    body,
                } => self.answer(session, &to, &body),
                Parcel::Handshake {
                    session,
                    step: 3,
                    body,
                    ..
                } => {
                    if let Some(answer) = self.answers.get_mut(&session) {
                        let fleet = &papers().fleet;
                        let done = answer.responder.on_step3(now, &body, fleet, Papers::AT);
                        if let Ok(established) = done {
                            answer.side = Some(Side::new(session, established));
                        }
                    }
                    None
                }
                Parcel::Sealed { header, .. } => {
                    if let Some(answer) = self.answers.get_mut(&header.session)
                        && let Some(side) = &mut answer.side
                    {
                        let _ = side.read(now, &parcel);
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

    fn answer(&mut self, session: SessionId, to: &NodeName, step1: &[u8]) -> Option<Parcel> {
        let credential = papers().credential(&self.answers_as);
        let (responder, step2) = Responder::new(
            self.bench.now,
            session,
            to,
            step1,
            credential.as_ref(),
            &self.run,
            &mut self.chance,
        )
        .ok()?;
        if self.answers.len() < ANSWERS_MAX {
            let side = None;
            self.answers.insert(session, Answer { responder, side });
        }
        Some(Parcel::Handshake {
            session,
            step: 2,
            to: None,
            body: step2.into(),
        })
    }

    fn pick(&mut self, script: &mut Script<'_>) -> Option<&mut Side> {
        let nth = usize::from(script.byte() % 3);
        let sides = self.answers.values_mut().rev();
        sides.filter_map(|answer| answer.side.as_mut()).nth(nth)
    }

    /// What must hold after every act.
    fn look(&mut self) {
        for (_, event) in std::mem::take(&mut self.bench.events) {
            match event {
                ControllerEvent::SessionUp { vehicle, .. } => {
                    assert!(!self.up.contains(&vehicle), "{vehicle} twice");
                    self.up.push(vehicle);
                }
                ControllerEvent::SessionDown { vehicle, .. } => {
                    self.up.retain(|other| *other != vehicle);
                }
                ControllerEvent::Granted { vehicle, .. } => {
                    assert!(self.up.contains(&vehicle), "a lease without a session");
                }
                _ => {}
            }
        }
        assert!(self.bench.role.waiting() <= OUTBOX_PARCELS_MAX);
    }
}

fn beat(script: &mut Script<'_>, token: FencingToken) -> AgentBeat {
    let functions = (0..script.byte() % 3).map(|_| FunctionReport {
        stage: Stage::Hold,
        token,
        holder: script.flag().then(|| papers().name("controller/mallory")),
    });
    AgentBeat {
        functions: functions.collect(),
        echo: None,
        stopped: script.flag(),
        stop_generation: u32::from(script.byte()),
        flows: Vec::new(),
        times: None,
    }
}

const ANSWERS_MAX: usize = 64;
