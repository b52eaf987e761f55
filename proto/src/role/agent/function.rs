//! One function of the agent: what it is called, what it takes, who holds it, how it stands.

use std::collections::VecDeque;
use std::time::Duration;

use super::waiting::Waiting;
use crate::base::limits::{REVOKED_FOR, WAITING_MAX};
use crate::base::{FencingToken, MonoTime, Name, NodeName, Refusal, SessionId, Stage};
use crate::control::{Handover, Lease, LeaseEnd, TakeStep};
use crate::wire::{FunctionKind, FunctionReport};

/// How a function is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionConfig {
    /// Its name, such as `drive`.
    pub name: Name,
    /// What commands it takes.
    pub kind: FunctionKind,
    /// A lease lapses after this long without a renewal.
    pub lease_ttl: Duration,
}

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) config: FunctionConfig,
    pub(super) lease: Lease,
    pub(super) handover: Handover,
    pub(super) waiting: Waiting,
    pub(super) stage: Stage,
    /// The session whose lease it is or was last.
    session: Option<SessionId>,
    /// The session that has accepted the lease.
    coming: Option<SessionId>,
    /// Whose leases were revoked, and until when that counts; few, the oldest first.
    revoked: VecDeque<(NodeName, MonoTime)>,
    /// Envelopes to it that came before.
    pub(super) replayed: u64,
}

impl Function {
    pub(super) fn new(config: FunctionConfig, persisted: FencingToken) -> Function {
        let lease = Lease::new(persisted, config.lease_ttl);
        Function {
            config,
            lease,
            handover: Handover::default(),
            waiting: Waiting::default(),
            stage: Stage::MinimalRisk,
            session: None,
            coming: None,
            revoked: VecDeque::new(),
            replayed: 0,
        }
    }

    /// A session wants the lease; whoever calls this has told lapses that are due. Two programs of one operator are two
    /// sessions, and one must not take from the other unawares.
    // [SAFE-1] [SAFE-4] [SAFE-95]
    pub(super) fn take(
        &mut self,
        now: MonoTime,
        who: &NodeName,
        session: SessionId,
    ) -> Result<TakeStep, Refusal> {
        if self.session().is_some_and(|other| other != session) {
            return Err(self
                .lease
                .holder()
                .map_or(Refusal::NotLeased, |holder| Refusal::HeldBy(holder.clone())));
        }
        self.check_bar(now, who)?;
        let step = self.lease.on_take(now, who)?;
        self.session = Some(session);
        Ok(step)
    }

    /// Time to live of the lease, as its holder is told.
    pub(super) fn lease_ttl_ms(&self) -> u16 {
        u16::try_from(self.config.lease_ttl.as_millis()).unwrap_or(u16::MAX)
    }

    /// Nobody is to give this node the lease for a while.
    pub(super) fn bar(&mut self, now: MonoTime, who: NodeName) {
        self.revoked.push_back((who, now + REVOKED_FOR));
        while self.revoked.len() > WAITING_MAX {
            self.revoked.pop_front();
        }
    }

    /// Whether a node may have the lease, as far as no supervisor ended one of its leases just before.
    // [SAFE-95]
    pub(super) fn check_bar(&self, now: MonoTime, who: &NodeName) -> Result<(), Refusal> {
        let barred = |(revoked, until): &(NodeName, MonoTime)| revoked == who && now < *until;
        if self.revoked.iter().any(barred) {
            Err(Refusal::Revoked)
        } else {
            Ok(())
        }
    }

    /// Whether this session may command under this token now.
    pub(super) fn check(
        &self,
        now: MonoTime,
        session: SessionId,
        token: FencingToken,
    ) -> Result<(), Refusal> {
        let holder = self.lease.holder().ok_or(Refusal::NotLeased)?;
        if self.session != Some(session) {
            return Err(Refusal::HeldBy(holder.clone()));
        }
        self.lease.check(now, holder, token)
    }

    /// Whether this session speaks under the token that is to come into force.
    pub(super) fn rehearses(&self, session: SessionId, token: FencingToken) -> bool {
        let coming = self.handover.coming();
        self.coming == Some(session) && coming.is_some_and(|(_, coming)| coming == token)
    }

    /// A renewal of this session's arrived.
    pub(super) fn renew(&mut self, now: MonoTime, session: SessionId, token: FencingToken) {
        if let Some(holder) = self.lease.holder().cloned()
            && self.session == Some(session)
        {
            self.lease.on_renew(now, &holder, token);
        }
    }

    /// The session that holds the lease or is about to.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.session.filter(|_| self.lease.holder().is_some())
    }

    /// The session that has accepted the lease and is about to hold it.
    pub(super) fn coming(&self) -> Option<SessionId> {
        self.coming
    }

    /// A session has accepted the lease.
    pub(super) fn set_coming(&mut self, session: Option<SessionId>) {
        self.coming = session;
    }

    /// The token of the session that has accepted the lease comes into force.
    pub(super) fn hand_over(
        &mut self,
        now: MonoTime,
        to: &NodeName,
        token: FencingToken,
    ) -> Option<SessionId> {
        let session = self.coming.take()?;
        let moved = self.lease.on_handed_over(now, to, token);
        if moved {
            self.session = Some(session);
        }
        moved.then_some(session)
    }

    /// A session has ended; its lease, if it ended with it.
    // [SAFE-8]
    pub(super) fn on_session_end(
        &mut self,
        who: &NodeName,
        session: SessionId,
    ) -> Option<LeaseEnd> {
        if self.session() == Some(session) {
            self.lease.on_session_end(who)
        } else {
            None
        }
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let lease = self.lease.next_timeout();
        lease.into_iter().chain(self.handover.next_timeout()).min()
    }

    pub(super) fn report(&self) -> FunctionReport {
        FunctionReport {
            stage: self.stage,
            token: self.lease.token(),
            holder: self.lease.holder().cloned(),
        }
    }
}
