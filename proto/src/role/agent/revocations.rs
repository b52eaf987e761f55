//! Who is no longer of the fleet.

use std::time::Duration;

use super::{Agent, AgentEvent, SessionEndReason};
use crate::base::{MonoTime, NodeName, SessionId};

impl Agent {
    /// Sessions stand, and begin, only while the newest list of revocations is not older than this: a relay that withholds the
    /// lists then keeps nobody in the fleet for longer. Without it (the default) any list will do, and none.
    // [SAFE-98]
    pub fn set_revocations_max_age(&mut self, max_age: Option<Duration>) {
        self.revocations_max_age = max_age;
    }

    // [SAFE-97]
    pub(super) fn on_revocations(&mut self, now: MonoTime, relay: &NodeName, part: &[u8]) {
        if !self.revoking.on_part(now, relay, part, &self.fleet) {
            return;
        }
        let (number, _) = self.fleet.revocations_made();
        let parts = self.fleet.revocation_parts();
        self.events
            .push_back(AgentEvent::Revocations { number, parts });
        self.second_person.forget();
        self.node.drop_revoked(now, &self.fleet);
        let revoked: Vec<SessionId> = self
            .guests
            .iter()
            .filter(|(_, guest)| {
                let since = guest.line.far.peer().not_before;
                self.fleet.is_revoked(&guest.peer, since)
            })
            .map(|(id, _)| *id)
            .collect();
        for session in revoked {
            self.end_session(now, session, SessionEndReason::Revoked);
        }
    }

    /// Whether the newest list of revocations is older than is allowed.
    // [SAFE-98]
    pub(super) fn lacks_revocations(&self, now: MonoTime) -> bool {
        let Some(max_age) = self.revocations_max_age else {
            return false;
        };
        let (number, made_s) = self.fleet.revocations_made();
        let at = self.fleet.time(self.wall.at(now));
        let age_s = at.as_secs().saturating_sub(made_s);
        number == 0 || age_s > max_age.as_secs()
    }

    // [SAFE-98]
    pub(super) fn end_sessions_without_revocations(&mut self, now: MonoTime) {
        if self.guests.is_empty() || !self.lacks_revocations(now) {
            return;
        }
        let sessions: Vec<SessionId> = self.guests.keys().copied().collect();
        for session in sessions {
            self.end_session(now, session, SessionEndReason::NoRevocations);
        }
    }
}
