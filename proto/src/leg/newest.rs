//! The newest number of each `latest` flow that arrived.

use std::collections::BTreeMap;

use crate::base::{Flow, SessionId};

/// Drops copies and older ones of `latest` envelopes, per session and flow. A forged number harms this leg only: the
/// session, which opens seals, has its own window.
#[derive(Clone, Debug, Default)]
pub(super) struct Newest {
    flows: BTreeMap<(SessionId, Flow), (u64, u64)>,
    uses: u64,
}

impl Newest {
    /// Whether this number is newer than all before.
    pub(super) fn on_number(&mut self, session: SessionId, flow: Flow, number: u64) -> bool {
        self.uses += 1;
        let uses = self.uses;
        if let Some((newest, used)) = self.flows.get_mut(&(session, flow)) {
            *used = uses;
            let newer = number > *newest;
            *newest = number.max(*newest);
            return newer;
        }
        if self.flows.len() >= FLOWS_MAX {
            let idle = self.flows.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(idle) = idle.map(|(key, _)| *key) {
                self.flows.remove(&idle);
            }
        }
        self.flows.insert((session, flow), (number, uses));
        true
    }
}

/// Flows that are told apart on one leg; the one unused for longest gives way, and then only costs a copy.
const FLOWS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Channel, Class};

    #[test]
    fn only_newer_numbers_of_a_flow_pass_and_memory_is_bounded() {
        let flow = Flow::new(Channel::SESSION, Class::Latest);
        let mut newest = Newest::default();
        assert!(newest.on_number(SessionId(1), flow, 5));
        assert!(!newest.on_number(SessionId(1), flow, 5));
        assert!(!newest.on_number(SessionId(1), flow, 4));
        assert!(newest.on_number(SessionId(2), flow, 4));
        assert!(newest.on_number(SessionId(1), flow, 6));
        for session in 10..10_000 {
            newest.on_number(SessionId(session), flow, 1);
        }
        assert_eq!(newest.flows.len(), FLOWS_MAX);
    }
}
