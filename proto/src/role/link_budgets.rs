//! What a node's links may carry.

use std::collections::BTreeMap;

use crate::base::Name;
use crate::base::limits::{LINK_BUDGET_BITS_PER_S, PATHS_PER_LEG_MAX};
use crate::path::LinkId;

/// The budget of each link, the same each way, and a number for each.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkBudgets {
    kbit_s: BTreeMap<Name, u32>,
    numbers: BTreeMap<Name, LinkId>,
    next_number: u32,
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
        self.numbers.retain(|link, _| links.contains(link));
    }

    /// What a link may carry; a default when nothing was said.
    pub(super) fn kbit_s(&self, link: &Name) -> u32 {
        let default = u32::try_from(LINK_BUDGET_BITS_PER_S / 1_000).unwrap_or(u32::MAX);
        self.kbit_s.get(link).copied().unwrap_or(default)
    }

    /// The link's number; one that was forgotten has another one when it comes back.
    pub(super) fn number_of(&mut self, link: &Name) -> LinkId {
        if let Some(known) = self.numbers.get(link) {
            return *known;
        }
        let number = LinkId(self.next_number);
        self.next_number = self.next_number.wrapping_add(1);
        self.numbers.insert(link.clone(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn links_that_came_and_went_leave_nothing_behind() {
        let mut budgets = LinkBudgets::default();
        let cable = budgets.number_of(&name("cable"));
        let mut seen = vec![cable];
        for round in 0..100 {
            let modem = name(&format!("modem-{round}"));
            budgets.set(modem.clone(), 500);
            assert_eq!(budgets.kbit_s(&modem), 500);
            let number = budgets.number_of(&modem);
            assert!(!seen.contains(&number), "two links are told apart");
            seen.push(number);
            budgets.keep_only(&[name("cable")]);
            assert!(budgets.numbers.len() + budgets.kbit_s.len() <= 2);
        }
        assert_eq!(budgets.number_of(&name("cable")), cable);
    }
}
