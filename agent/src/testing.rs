//! A clock and a holder of a lease, for the tests of this crate.

use std::time::{Duration, Instant};

use longrein_proto::base::{FencingToken, MonoTime, NodeName};
use longrein_proto::control::{
    Accepted, Actuation, ActuationConfig, Applied, Lease, Life, StopLatch, StopRecord, TakeStep,
    gate,
};
use longrein_proto::wire::{Body, Command, Drive, FunctionKind};
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME`, as the programs use it.
pub fn now() -> MonoTime {
    let time = clock_gettime(ClockId::Boottime);
    let us = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
    MonoTime::from_us(u64::try_from(us).unwrap())
}

/// Calls `look` until it gives something; fails when the fact does not come within ten seconds.
pub fn until<T>(fact: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {fact}");
        std::thread::yield_now();
    }
}

/// A command body that the gate accepted for this long from now on.
pub fn accepted(body: Body, resume: bool, ttl: Duration) -> Accepted<Command> {
    let who: NodeName = "controller/desk".parse().unwrap();
    let mut lease = Lease::new(FencingToken(0), Duration::from_secs(3_600));
    let TakeStep::Persist(token) = lease.on_take(now(), &who).unwrap();
    lease.on_persisted(now(), token).unwrap();
    let kind = match body {
        Body::Drive(_) => FunctionKind::Drive,
        Body::Opaque(_) => FunctionKind::Opaque,
    };
    let command = Command {
        token,
        dead_man: true,
        resume,
        application_id: None,
        picture_age: None,
        body,
    };
    let latch = StopLatch::new(StopRecord::default());
    let held = lease.check(now(), &who, command.token);
    let life = Life {
        sent_at: now(),
        deadline: now() + ttl,
    };
    gate(now(), kind, command, life, held, &latch).unwrap()
}

/// A typed drive body.
pub fn drive(speed_mm_s: i16) -> Body {
    Body::Drive(Drive {
        speed_mm_s,
        curvature_per_km: 0,
    })
}

/// An opaque command that passed the last checks.
pub fn applied(bytes: &[u8], ttl: Duration) -> Applied {
    let config = ActuationConfig {
        watchdog: None,
        limits: None,
    };
    let mut actuation = Actuation::new(config, false);
    actuation.on_device(now(), true);
    let mut taken = None;
    let command = accepted(Body::Opaque(bytes.to_vec()), false, ttl);
    actuation
        .on_command(now(), command, |applied, _| {
            taken = Some(applied.clone());
            Ok(())
        })
        .unwrap();
    taken.unwrap()
}
