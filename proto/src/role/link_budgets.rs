//! What a node's links may carry.

use std::collections::BTreeMap;

use crate::base::Name;
use crate::base::limits::{LINK_BUDGET_BITS_PER_S, PATHS_PER_LEG_MAX};
use crate::path::LinkId;

/// The budget of each link, the same each way, and a number for each.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkBudgets {
    kbit_s: BTreeMap<Name, u32>,
    numbers: Vec<Name>,
}

impl LinkBudgets {
    /// A link may carry so much. What is said of more links than a node can have is not kept.
    pub(super) fn set(&mut self, link: Name, kbit_s: u32) {
        if self.kbit_s.len() < PATHS_PER_LEG_MAX || self.kbit_s.contains_key(&link) {
            self.kbit_s.insert(link, kbit_s);
        }
    }

    /// Of links that are not among these nothing is known any more.
    pub(super) fn keep_only(&mut self, links: &[Name]) {
        self.kbit_s.retain(|link, _| links.contains(link));
    }

    /// What a link may carry; a default when nothing was said.
    pub(super) fn kbit_s(&self, link: &Name) -> u32 {
        let default = u32::try_from(LINK_BUDGET_BITS_PER_S / 1_000).unwrap_or(u32::MAX);
        self.kbit_s.get(link).copied().unwrap_or(default)
    }

    /// The link's number.
    pub(super) fn number_of(&mut self, link: &Name) -> LinkId {
        let known = self.numbers.iter().position(|name| name == link);
        let index = known.unwrap_or_else(|| {
            self.numbers.push(link.clone());
            self.numbers.len() - 1
        });
        LinkId(u32::try_from(index).unwrap_or(u32::MAX))
    }
}
