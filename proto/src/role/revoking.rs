//! Lists of revocations that neighbours bring.

use std::collections::BTreeMap;

use crate::base::limits::REVOCATION_CHECKS_PER_S;
use crate::base::{MonoTime, NodeName};
use crate::crypto::{Fleet, RevocationOutcome};
use crate::leg::Budget;

/// Takes lists of revocations, at a bounded expense for each neighbour that brings them.
#[derive(Debug, Default)]
pub(super) struct Revoking {
    checks: BTreeMap<NodeName, Budget>,
}

impl Revoking {
    /// Takes a part that a neighbour brought; true when a newer list is whole by it.
    // [WIRE-147]
    pub(super) fn on_part(
        &mut self,
        now: MonoTime,
        from: &NodeName,
        part: &[u8],
        fleet: &Fleet,
    ) -> bool {
        if self.checks.len() >= NEIGHBOURS_MAX && !self.checks.contains_key(from) {
            self.checks.pop_first();
        }
        let new = || Budget::new(now, REVOCATION_CHECKS_PER_S, REVOCATION_CHECKS_PER_S);
        let checks = self.checks.entry(from.clone()).or_insert_with(new);
        checks.try_spend(now, 1) && fleet.take_revocations(part) == RevocationOutcome::Newer
    }
}

/// Neighbours that are remembered: of a relay, those who bring lists, which are its authority and whoever means ill.
const NEIGHBOURS_MAX: usize = 64;
