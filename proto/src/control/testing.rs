//! A holder of a lease, for the tests of this layer.

use super::{Accepted, Lease, Life, StopLatch, StopRecord, TakeStep, gate};
use crate::base::{FencingToken, MonoTime, NodeName, Refusal};
use crate::wire::{Body, Command, Drive, FunctionKind};

/// A controller that holds the lease of a drive function without end.
pub(super) struct Desk {
    pub who: NodeName,
    pub token: FencingToken,
    pub lease: Lease,
    pub latch: StopLatch,
}

impl Desk {
    pub fn new() -> Desk {
        let who: NodeName = "controller/desk".parse().unwrap();
        let mut lease = Lease::new(FencingToken(7), std::time::Duration::from_secs(3_600));
        let TakeStep::Persist(token) = lease.on_take(at(0), &who).unwrap();
        lease.on_persisted(at(0), token).unwrap();
        Desk {
            who,
            token,
            lease,
            latch: StopLatch::new(StopRecord::default()),
        }
    }

    pub fn gate(
        &self,
        now: MonoTime,
        command: Command,
        deadline: MonoTime,
    ) -> Result<Accepted<Command>, Refusal> {
        let held = self.lease.check(now, &self.who, command.token);
        gate(
            now,
            FunctionKind::Drive,
            command,
            Life {
                sent_at: now,
                deadline,
            },
            held,
            &self.latch,
        )
    }

    /// A command that the gate accepts at `now`, with this time to live.
    pub fn accepted(&self, now: MonoTime, command: Command, ttl_ms: u64) -> Accepted<Command> {
        let deadline = now + std::time::Duration::from_millis(ttl_ms);
        let held = self.lease.check(now, &self.who, command.token);
        let kind = match command.body {
            Body::Drive(_) => FunctionKind::Drive,
            Body::Opaque(_) => FunctionKind::Opaque,
        };
        let life = Life {
            sent_at: now,
            deadline,
        };
        gate(now, kind, command, life, held, &self.latch).unwrap()
    }
}

/// A point in time that is not the clock's origin.
pub(super) fn at(ms: u64) -> MonoTime {
    MonoTime::from_us(60_000_000 + ms * 1_000)
}

/// A drive command with the enabling hand on.
pub(super) fn drive(desk: &Desk, speed_mm_s: i16) -> Command {
    Command {
        token: desk.token,
        dead_man: true,
        resume: false,
        application_id: None,
        picture_age: None,
        body: Body::Drive(Drive {
            speed_mm_s,
            curvature_per_km: 100,
        }),
    }
}
