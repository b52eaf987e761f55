//! One function of the agent: what it is called, what it takes, who holds it, how it stands.

use std::time::Duration;

use crate::base::{FencingToken, MonoTime, Name, NodeName, Refusal, SessionId, Stage};
use crate::control::{Lease, LeaseEnd, TakeStep};
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
    pub(super) stage: Stage,
    /// The session whose lease it is or was last.
    session: Option<SessionId>,
}

impl Function {
    pub(super) fn new(config: FunctionConfig, persisted: FencingToken) -> Function {
        let lease = Lease::new(persisted, config.lease_ttl);
        Function {
            config,
            lease,
            stage: Stage::MinimalRisk,
            session: None,
        }
    }

    /// A session wants the lease; whoever calls this has told lapses that are due. Two programs of one operator are two
    /// sessions, and one must not take from the other unawares.
    // [SAFE-1] [SAFE-4]
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
        let step = self.lease.on_take(now, who)?;
        self.session = Some(session);
        Ok(step)
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

    pub(super) fn report(&self) -> FunctionReport {
        FunctionReport {
            stage: self.stage,
            token: self.lease.newest_token(),
            holder: self.lease.holder().cloned(),
        }
    }
}
