//! Everything at once, at random; what must hold is checked at the end of every world.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, FencingToken, Stage};
use longrein_proto::role::ControllerEvent;
use longrein_tests::{Chance, PERIOD, StageSet, Station, Tamper, Vehicle, World, each_seed};

/// Two operators at work while everything around them fails.
struct Chaos {
    world: World,
    set: StageSet,
    operators: [Station; 2],
    chance: Chance,
    hostile: bool,
    next_id: u64,
    dead: Vec<Station>,
    frozen: Vec<Station>,
    generation: u32,
}

const HARM: [Tamper; 7] = [
    Tamper::Nothing,
    Tamper::Corrupt,
    Tamper::Forge,
    Tamper::Replay,
    Tamper::Reorder,
    Tamper::Delay,
    Tamper::Swallow,
];

impl Chaos {
    fn new(seed: u64, hostile: bool) -> Chaos {
        let mut world = World::new(seed);
        let set = match hostile {
            true => StageSet::hostile(&mut world, Tamper::Nothing),
            false => StageSet::new(&mut world),
        };
        let (bob, _) = set.operator(&mut world, "bob");
        let operators = [set.alice, bob];
        for operator in operators {
            world.open(operator, set.agent);
        }
        let chance = world.branch();
        Chaos {
            world,
            set,
            operators,
            chance,
            hostile,
            next_id: 0,
            dead: Vec::new(),
            frozen: Vec::new(),
            generation: 0,
        }
    }

    /// A period of the operators' work, with a mishap now and then.
    fn step(&mut self) {
        if self.chance.happens(0.02) {
            self.mishap();
        }
        for operator in self.operators {
            if !self.frozen.contains(&operator) {
                self.operate(operator);
            }
        }
        self.world.run(PERIOD);
    }

    fn operate(&mut self, operator: Station) {
        let agent = self.set.agent;
        let resume = self.chance.happens(0.1);
        let speed = if resume { 0 } else { 1_000 };
        let _ = self.world.drive(operator, agent, speed, resume);
        if self.chance.happens(0.1) {
            // Now and then the same one again.
            if self.chance.happens(0.8) {
                self.next_id += 1;
            }
            let id = ApplicationId(self.next_id.to_be_bytes());
            let ttl = Duration::from_millis(100 + self.chance.below(5_000));
            let _ = self.world.deliver(operator, agent, id, ttl);
        }
        if self.chance.happens(0.05) {
            let truck = self.world.name_of(agent).clone();
            for channel in [Vehicle::DRIVE, Vehicle::TUNNEL] {
                self.world
                    .with_controller(operator, |role, now| role.take(now, &truck, channel));
            }
        }
    }

    fn mishap(&mut self) {
        let relay = self.set.relays[1];
        let (agent, some) = (self.set.agent, self.any_path());
        match self.chance.below(14) {
            0 => self.toggle_dead(agent),
            1 => self.toggle_dead(relay),
            2 if !self.hostile => self.toggle_dead(self.set.relays[0]),
            2 => {
                let harm = HARM[usize::try_from(self.chance.below(7)).expect("small")];
                self.world
                    .with_hostile(self.set.relays[0], |relay, _| relay.tamper = harm);
            }
            3 => self.toggle_frozen(agent),
            4 => self.toggle_frozen(self.operators[1]),
            5 => self.world.link(some).set_cut(true),
            6..=8 => self.world.link(some).set_cut(false),
            9 => self.world.link(some).loss = 0.5,
            10 => self.world.link(some).loss = 0.0,
            11 => {
                let delay = Duration::from_millis(self.chance.below(400));
                self.world.link(some).delay_up = delay;
                self.world.link(some).jitter = delay / 4;
            }
            12 => {
                if !self.frozen.contains(&self.operators[0]) {
                    self.world.stop(self.operators[0], agent, None);
                }
            }
            _ => self.reset(),
        }
    }

    fn reset(&mut self) {
        let operator = self.operators[0];
        let truck = self.world.name_of(self.set.agent).clone();
        let events = self.world.controller_events(operator).iter().rev();
        let status = events.filter_map(|(_, event)| match event {
            ControllerEvent::Status { status, .. } => Some(status.beat.stop_generation),
            _ => None,
        });
        self.generation = status.take(1).next().unwrap_or(self.generation);
        let generation = self.generation;
        self.world.with_controller(operator, |role, now| {
            role.reset_stop(now, &truck, generation)
        });
    }

    fn toggle_dead(&mut self, station: Station) {
        if self.frozen.contains(&station) {
            return;
        }
        if let Some(index) = self.dead.iter().position(|dead| *dead == station) {
            self.dead.remove(index);
            if station == self.set.agent {
                self.world.restart_agent(station);
            } else {
                self.world.restart_relay(station);
            }
        } else {
            self.dead.push(station);
            self.world.kill(station);
        }
    }

    fn toggle_frozen(&mut self, station: Station) {
        if self.dead.contains(&station) {
            return;
        }
        if let Some(index) = self.frozen.iter().position(|frozen| *frozen == station) {
            self.frozen.remove(index);
            self.world.thaw(station);
        } else {
            self.frozen.push(station);
            self.world.freeze(station);
        }
    }

    fn any_path(&mut self) -> usize {
        let mut paths = self.world.paths_of(self.set.relays[0]);
        paths.extend(self.world.paths_of(self.set.relays[1]));
        let index = self.chance.below(paths.len() as u64);
        paths[usize::try_from(index).expect("small")]
    }

    /// Everything is mended, and a drive works as ever.
    fn mend(&mut self) {
        for station in self.frozen.clone() {
            self.toggle_frozen(station);
        }
        for station in self.dead.clone() {
            self.toggle_dead(station);
        }
        if self.hostile {
            self.world.with_hostile(self.set.relays[0], |relay, _| {
                relay.tamper = Tamper::Nothing;
            });
        }
        self.set.each_path(&mut self.world, |link| {
            link.set_cut(false);
            link.loss = 0.0;
            link.delay_up = Duration::from_millis(10);
            link.jitter = Duration::ZERO;
        });
        // Sessions that died are called again, what is under way is resolved, and leases lapse.
        self.world.run(Duration::from_secs(20));
    }

    fn drive_again(&mut self) {
        let (alice, agent) = (self.set.alice, self.set.agent);
        if self.world.agent_role(agent).is_stopped() {
            self.reset();
            self.world.run(Duration::from_secs(1));
        }
        assert!(!self.world.agent_role(agent).is_stopped());
        let [_, bob] = self.operators;
        self.world.close(bob, agent);
        self.world.run(Duration::from_secs(1));
        let token: FencingToken = self.world.take(alice, agent, Vehicle::DRIVE);
        self.world
            .drive_for(alice, agent, Duration::from_millis(500));
        self.world.run(Duration::from_millis(50));
        let last = self.world.vehicle(agent).applied.last().expect("it drove");
        assert_eq!(last.token, token);
        assert_eq!(self.world.vehicle(agent).stage(), Stage::Nominal);
        let mut unresolved = self
            .world
            .ledger()
            .all()
            .filter(|(key, sent)| key.channel == Vehicle::TUNNEL && sent.receipt.is_none());
        assert!(unresolved.next().is_none(), "a command without a receipt");
    }
}

#[test]
fn nothing_wrong_is_ever_applied_and_all_is_well_when_everything_is_mended() {
    each_seed(|seed| {
        for hostile in [false, true] {
            let mut chaos = Chaos::new(seed, hostile);
            for _ in 0..3_000 {
                chaos.step();
            }
            chaos.mend();
            chaos.drive_again();
        }
    });
}
