//! Certificates that end, and newer ones that follow them.

use std::sync::Arc;

use super::{Agent, AgentEvent, SessionEndReason, groups_of};
use crate::base::{MonoTime, SessionId};
use crate::crypto::Credential;

impl Agent {
    /// The own certificate and key from now on: sessions that stand are shown it, and paths are dialled anew with it.
    // [WIRE-161] [WIRE-163]
    pub fn set_credential(&mut self, now: MonoTime, credential: Arc<dyn Credential>) {
        self.credential = credential;
        self.groups = groups_of(&self.fleet, self.credential.as_ref());
        for guest in self.guests.values_mut() {
            guest.line.far.show(self.credential.as_ref());
            guest.line.flush(now, &mut self.node);
        }
        self.node.redial_all();
    }

    /// Looks at newer certificates of controllers, and ends the sessions of those whose certificates have ended.
    // [SAFE-105] [WIRE-160]
    pub(super) fn judge_papers(&mut self, now: MonoTime) {
        let mut changed = false;
        for (id, guest) in &mut self.guests {
            match guest.line.far.look(now, &self.fleet) {
                Some(Ok(())) => {
                    // Its groups may be others.
                    if guest.judge(&self.functions, &self.policy) {
                        guest.describe(now);
                        changed = true;
                    }
                    self.events.push_back(AgentEvent::SessionRenewed {
                        session: *id,
                        peer: guest.peer.clone(),
                        fingerprint: guest.line.far.peer().fingerprint,
                    });
                }
                Some(Err(_)) => self.node.count_refused_papers(),
                None => {}
            }
        }
        if changed {
            self.second_person.forget();
            self.end_leases_without_right(now);
        }
        let over: Vec<SessionId> = self
            .guests
            .iter()
            .filter(|(_, guest)| guest.line.far.is_over(now))
            .map(|(id, _)| *id)
            .collect();
        for session in over {
            self.end_session(now, session, SessionEndReason::Expired);
        }
    }
}
