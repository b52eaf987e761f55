//! What an operator does in most scenarios.

use std::time::Duration;

use longrein_proto::base::{Channel, Class, NodeName};
use longrein_proto::role::{ControllerEvent, Order, SendCommandError};
use longrein_proto::wire::{Body, Drive};

use crate::{Station, Vehicle, World};

impl World {
    /// Opens a session and waits until it stands.
    pub fn open(&mut self, controller: Station, agent: Station) {
        let vehicle = self.name_of(agent).clone();
        self.with_controller(controller, |role, now| role.open(now, &vehicle));
        let stands = self.run_until(Duration::from_secs(10), |world| {
            world
                .controller_events(controller)
                .iter()
                .any(|(_, event)| matches!(event, ControllerEvent::SessionUp { .. }))
        });
        assert!(stands, "seed {}: no session within 10 s", self.seed);
    }

    /// Takes the lease of a function and waits for the answer: true when it is granted.
    pub fn take(&mut self, controller: Station, agent: Station, channel: Channel) -> bool {
        let vehicle = self.name_of(agent).clone();
        let ask = self.with_controller(controller, |role, now| role.take(now, &vehicle, channel));
        let asked = ask.expect("the session stands");
        let mut granted = None;
        self.run_until(Duration::from_secs(10), |world| {
            granted =
                world
                    .controller_events(controller)
                    .iter()
                    .find_map(|(_, event)| match event {
                        ControllerEvent::Granted { ask, .. } if *ask == asked => Some(true),
                        ControllerEvent::Refused { ask, .. } if *ask == asked => Some(false),
                        _ => None,
                    });
            granted.is_some()
        });
        granted.unwrap_or_else(|| panic!("seed {}: no answer within 10 s", self.seed))
    }

    /// Sends one drive command.
    ///
    /// # Errors
    /// What the controller says.
    pub fn drive(
        &mut self,
        controller: Station,
        agent: Station,
        speed_mm_s: i16,
        resume: bool,
    ) -> Result<u64, SendCommandError> {
        let vehicle: NodeName = self.name_of(agent).clone();
        let order = Order {
            class: Class::Latest,
            ttl: Duration::from_millis(200),
            dead_man: true,
            resume,
            application_id: None,
            body: Body::Drive(Drive {
                speed_mm_s,
                curvature_per_km: 0,
            }),
        };
        self.with_controller(controller, |role, now| {
            role.command(now, &vehicle, Vehicle::DRIVE, order)
        })
    }

    /// Resumes with a neutral command and drives at 50 Hz for a while; the numbers that were sent.
    pub fn drive_for(&mut self, controller: Station, agent: Station, span: Duration) -> Vec<u64> {
        let mut numbers = Vec::new();
        for tick in 0..span.as_millis() / PERIOD.as_millis() {
            let resume = tick == 0;
            let speed = if resume { 0 } else { 1_000 };
            numbers.extend(self.drive(controller, agent, speed, resume));
            self.run(PERIOD);
        }
        numbers
    }
}

/// 50 Hz.
const PERIOD: Duration = Duration::from_millis(20);
