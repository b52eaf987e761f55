//! What an operator does in most scenarios.

use std::time::Duration;

use longrein_proto::base::{
    ApplicationId, Channel, Class, Entropy, FencingToken, OfferId, Refusal, StopId,
};
use longrein_proto::role::{ControllerEvent, Order, SendCommandError};
use longrein_proto::session::Resolution;
use longrein_proto::wire::{Body, Drive, News, Request};

use crate::{Station, Vehicle, World};

impl World {
    /// Opens a session and waits until it stands.
    pub fn open(&mut self, controller: Station, agent: Station) {
        self.call(controller, agent);
        self.await_session(controller, 0);
    }

    /// Opens a session.
    pub fn call(&mut self, controller: Station, agent: Station) {
        let vehicle = self.name_of(agent).clone();
        self.with_controller(controller, |role, now| role.open(now, &vehicle));
    }

    /// Closes a session.
    pub fn close(&mut self, controller: Station, agent: Station) {
        let vehicle = self.name_of(agent).clone();
        let now = self.now();
        self.ledger_mut().on_closed(now, controller, &vehicle);
        self.with_controller(controller, |role, now| role.close(now, &vehicle));
    }

    /// Waits until a session stands that begins with the controller's `from`th event or later.
    pub fn await_session(&mut self, controller: Station, from: usize) {
        let up = self.await_event(controller, from, PATIENCE, |event| {
            matches!(event, ControllerEvent::SessionUp { .. }).then_some(())
        });
        assert!(up.is_some(), "no session within {PATIENCE:?}");
    }

    /// Waits until a controller tells something of interest, from its `from`th event on.
    pub fn await_event<T>(
        &mut self,
        controller: Station,
        mut from: usize,
        span: Duration,
        of_interest: impl Fn(&ControllerEvent) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        self.run_until(span, |world| {
            let events = world.controller_events(controller);
            let fresh = events.get(from..).unwrap_or_default();
            found = fresh.iter().find_map(|(_, event)| of_interest(event));
            from = events.len();
            found.is_some()
        });
        found
    }

    /// Asks for the lease of a function and waits for the answer.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn ask_lease(
        &mut self,
        controller: Station,
        agent: Station,
        channel: Channel,
    ) -> Result<FencingToken, Refusal> {
        let vehicle = self.name_of(agent).clone();
        let from = self.controller_events(controller).len();
        let ask = self.with_controller(controller, |role, now| role.take(now, &vehicle, channel));
        let asked = ask.expect("the session stands");
        let answer = self.await_event(controller, from, PATIENCE, |event| match event {
            ControllerEvent::Granted { ask, token, .. } if *ask == asked => Some(Ok(*token)),
            ControllerEvent::Refused { ask, why, .. } if *ask == asked => Some(Err(why.clone())),
            _ => None,
        });
        answer.unwrap_or_else(|| panic!("no answer within {PATIENCE:?}"))
    }

    /// Takes a lease that is free.
    pub fn take(&mut self, controller: Station, agent: Station, channel: Channel) -> FencingToken {
        self.ask_lease(controller, agent, channel)
            .unwrap_or_else(|why| panic!("no lease: {why}"))
    }

    /// Asks a vehicle for something that is done, offered or refused; the answer's event.
    pub fn ask(&mut self, controller: Station, agent: Station, request: Request) -> Answer {
        let vehicle = self.name_of(agent).clone();
        let from = self.controller_events(controller).len();
        let asked =
            self.with_controller(controller, |role, now| role.request(now, &vehicle, request));
        let asked = asked.expect("the session stands");
        let answer = self.await_event(controller, from, PATIENCE, |event| match event {
            ControllerEvent::Granted { ask, token, .. } if *ask == asked => {
                Some(Answer::Granted(*token))
            }
            ControllerEvent::Coming { ask, token, .. } if *ask == asked => {
                Some(Answer::Coming(*token))
            }
            ControllerEvent::Offered { ask, offer, .. } if *ask == asked => {
                Some(Answer::Offered(*offer))
            }
            ControllerEvent::Done { ask, .. } if *ask == asked => Some(Answer::Done),
            ControllerEvent::Refused { ask, why, .. } if *ask == asked => {
                Some(Answer::Refused(why.clone()))
            }
            _ => None,
        });
        answer.unwrap_or_else(|| panic!("no answer within {PATIENCE:?}"))
    }

    /// What vehicles said to a controller of leases, in order.
    pub fn lease_news(&self, controller: Station) -> Vec<News> {
        let events = self.controller_events(controller).iter();
        let news = events.filter_map(|(_, event)| match event {
            ControllerEvent::News { news, .. } => Some(news.clone()),
            _ => None,
        });
        news.collect()
    }

    /// Sends a command.
    ///
    /// # Errors
    /// What the controller says.
    pub fn command(
        &mut self,
        controller: Station,
        agent: Station,
        channel: Channel,
        order: Order,
    ) -> Result<u64, SendCommandError> {
        let vehicle = self.name_of(agent).clone();
        let sent = (self.now(), controller);
        let number = self.with_controller(controller, |role, now| {
            role.command(now, &vehicle, channel, order.clone())
        })?;
        self.ledger_mut()
            .on_sent(sent, (&vehicle, channel, number), &order);
        Ok(number)
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
        let order = order_to_drive(DRIVE_TTL, speed_mm_s, resume);
        self.command(controller, agent, Vehicle::DRIVE, order)
    }

    /// Sends one drive command that lives long.
    ///
    /// # Errors
    /// What the controller says.
    pub fn drive_with_ttl(
        &mut self,
        controller: Station,
        agent: Station,
        speed_mm_s: i16,
        ttl: Duration,
    ) -> Result<u64, SendCommandError> {
        let order = order_to_drive(ttl, speed_mm_s, false);
        self.command(controller, agent, Vehicle::DRIVE, order)
    }

    /// Sends a reliable command to the tunnel under an application id.
    ///
    /// # Errors
    /// What the controller says.
    pub fn deliver(
        &mut self,
        controller: Station,
        agent: Station,
        id: ApplicationId,
        ttl: Duration,
    ) -> Result<u64, SendCommandError> {
        let order = Order {
            class: Class::Reliable,
            ttl,
            dead_man: false,
            resume: false,
            application_id: Some(id),
            picture_age: None,
            body: Body::Opaque(Vehicle::secret(&id.0)),
        };
        self.command(controller, agent, Vehicle::TUNNEL, order)
    }

    /// Resumes with a neutral command and drives at 50 Hz for a while; the numbers that were sent.
    pub fn drive_for(&mut self, controller: Station, agent: Station, span: Duration) -> Vec<u64> {
        let first = self.drive(controller, agent, 0, true);
        self.run(PERIOD);
        let mut numbers: Vec<u64> = first.into_iter().collect();
        numbers.extend(self.drive_on(controller, agent, span.saturating_sub(PERIOD)));
        numbers
    }

    /// Drives at 50 Hz for a while, without a resume; the numbers that were sent.
    pub fn drive_on(&mut self, controller: Station, agent: Station, span: Duration) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..span.as_millis() / PERIOD.as_millis() {
            numbers.extend(self.drive(controller, agent, 1_000, false));
            self.run(PERIOD);
        }
        numbers
    }

    /// Works for a while, whatever happens: drives at 50 Hz, sends a reliable command every 100 ms, and asks for leases that are
    /// gone. Then waits until everything has its receipt.
    pub fn work(&mut self, controller: Station, agent: Station, span: Duration) {
        self.work_with(controller, agent, span, |_, _| {});
    }

    /// The same, and lets something happen before each period.
    pub fn work_with(
        &mut self,
        controller: Station,
        agent: Station,
        span: Duration,
        mut meanwhile: impl FnMut(&mut World, u128),
    ) {
        let mut chance = self.branch();
        let vehicle = self.name_of(agent).clone();
        for tick in 0..span.as_millis() / PERIOD.as_millis() {
            meanwhile(self, tick);
            let resume = tick % 25 == 0;
            let speed = if resume { 0 } else { 1_000 };
            let drive = self.drive(controller, agent, speed, resume);
            let mut wanted = vec![(Vehicle::DRIVE, drive)];
            if tick % 5 == 0 {
                let mut id = ApplicationId([0; 8]);
                chance.fill(&mut id.0);
                let sent = self.deliver(controller, agent, id, WORK_TTL);
                wanted.push((Vehicle::TUNNEL, sent));
            }
            for (channel, sent) in wanted {
                if resume && sent == Err(SendCommandError::NoLease) {
                    self.with_controller(controller, |role, now| {
                        role.take(now, &vehicle, channel);
                    });
                }
            }
            self.run(PERIOD);
        }
        self.run(WORK_TTL + Duration::from_secs(2));
    }

    /// How many reliable commands were applied so far, and how many were sent.
    pub fn delivered(&self) -> (usize, usize) {
        self.with_receipts(|outcome| *outcome == Resolution::Applied)
    }

    /// How many reliable commands the vehicle applied or refused so far, and how many were sent.
    pub fn judged(&self) -> (usize, usize) {
        self.with_receipts(|outcome| {
            matches!(outcome, Resolution::Applied | Resolution::Refused(_))
        })
    }

    fn with_receipts(&self, counts: impl Fn(&Resolution) -> bool) -> (usize, usize) {
        let all = self.ledger().all();
        let reliable: Vec<_> = all
            .filter(|(key, _)| key.class == Class::Reliable)
            .map(|(_, sent)| &sent.receipt)
            .collect();
        let receipts = reliable.iter().copied().flatten();
        let counted = receipts.filter(|(_, outcome)| counts(outcome)).count();
        (counted, reliable.len())
    }

    /// Says stop, repeated for 2 s unless it is answered; its id.
    pub fn stop(&mut self, controller: Station, agent: Station, generation: Option<u32>) -> StopId {
        let vehicle = self.name_of(agent).clone();
        let mut id = [0; 16];
        self.branch().fill(&mut id);
        let id = StopId(id);
        self.with_controller(controller, |role, now| {
            role.stop(now, &vehicle, id, generation, Duration::from_secs(2));
        });
        id
    }

    /// Resets the stop of a generation and waits for the answer.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn reset_stop(
        &mut self,
        controller: Station,
        agent: Station,
        generation: u32,
    ) -> Result<(), Refusal> {
        let vehicle = self.name_of(agent).clone();
        let from = self.controller_events(controller).len();
        let ask = self.with_controller(controller, |role, now| {
            role.reset_stop(now, &vehicle, generation)
        });
        let asked = ask.expect("the session stands");
        let answer = self.await_event(controller, from, PATIENCE, |event| match event {
            ControllerEvent::Done { ask, .. } if *ask == asked => Some(Ok(())),
            ControllerEvent::Refused { ask, why, .. } if *ask == asked => Some(Err(why.clone())),
            _ => None,
        });
        answer.unwrap_or_else(|| panic!("no answer within {PATIENCE:?}"))
    }
}

fn order_to_drive(ttl: Duration, speed_mm_s: i16, resume: bool) -> Order {
    Order {
        class: Class::Latest,
        ttl,
        dead_man: true,
        resume,
        application_id: None,
        picture_age: None,
        body: Body::Drive(Drive {
            speed_mm_s,
            curvature_per_km: 0,
        }),
    }
}

/// What a vehicle answers to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A lease.
    Granted(FencingToken),
    /// A lease that comes with the handover.
    Coming(FencingToken),
    /// An offer is made.
    Offered(OfferId),
    /// It is done.
    Done,
    /// It is not.
    Refused(Refusal),
}

/// 50 Hz.
pub const PERIOD: Duration = Duration::from_millis(20);
/// A drive command that is older is of no use.
const DRIVE_TTL: Duration = Duration::from_millis(200);
/// Life of the reliable commands of [`World::work`].
const WORK_TTL: Duration = Duration::from_secs(5);
/// No answer in any scenario takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
