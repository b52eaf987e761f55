//! The links of one node.

use std::collections::BTreeMap;

use crate::base::limits::PRESENCE_LINKS_MAX;
use crate::base::{MonoTime, Name};
use crate::wire::hub::{LinkPresence, PresenceReason};

use super::LinkState;

/// The links that a node has or had.
#[derive(Clone, Debug, Default)]
pub(super) struct Links(BTreeMap<Name, Link>);

#[derive(Clone, Copy, Debug)]
struct Link {
    present: bool,
    reason: PresenceReason,
    changed_at: MonoTime,
}

impl Links {
    /// The node has these links now, and no others.
    pub(super) fn on_list(&mut self, now: MonoTime, listed: &[(Name, LinkState)]) {
        for (name, link) in &mut self.0 {
            if !listed.iter().any(|(other, _)| other == name) {
                link.on_gone(now, PresenceReason::Ended);
            }
        }
        for (name, state) in listed {
            self.on_state(now, name, *state);
        }
    }

    /// The node is away, for this reason, and so are they.
    pub(super) fn on_away(&mut self, now: MonoTime, reason: PresenceReason) {
        for link in self.0.values_mut() {
            link.on_gone(now, reason);
        }
    }

    /// How they stand.
    pub(super) fn view(&self) -> Vec<LinkPresence> {
        let links = self.0.iter();
        links
            .map(|(name, link)| LinkPresence {
                link: name.clone(),
                present: link.present,
                reason: link.reason,
            })
            .collect()
    }

    fn on_state(&mut self, now: MonoTime, name: &Name, state: LinkState) {
        match (self.0.get_mut(name), state) {
            (Some(link), LinkState::Heard) => link.on_heard(now),
            (Some(link), LinkState::Silent) => link.on_gone(now, PresenceReason::Silent),
            (None, LinkState::Heard) => self.insert(now, name, PresenceReason::Came),
            (None, LinkState::Silent) => self.insert(now, name, PresenceReason::Silent),
        }
    }

    fn insert(&mut self, now: MonoTime, name: &Name, reason: PresenceReason) {
        if self.0.len() >= PRESENCE_LINKS_MAX {
            let gone = self.0.iter().filter(|(_, link)| !link.present);
            let Some(oldest) = gone.min_by_key(|(_, link)| link.changed_at) else {
                return;
            };
            let oldest = oldest.0.clone();
            self.0.remove(&oldest);
        }
        let link = Link {
            present: reason == PresenceReason::Came,
            reason,
            changed_at: now,
        };
        self.0.insert(name.clone(), link);
    }
}

impl Link {
    fn on_heard(&mut self, now: MonoTime) {
        if !self.present {
            let reason = back_after(self.reason);
            (self.present, self.reason, self.changed_at) = (true, reason, now);
        }
    }

    fn on_gone(&mut self, now: MonoTime, reason: PresenceReason) {
        if self.present {
            (self.present, self.reason, self.changed_at) = (false, reason, now);
        }
    }
}

/// Why somebody is here who was away for this reason.
pub(super) fn back_after(away: PresenceReason) -> PresenceReason {
    match away {
        PresenceReason::Silent | PresenceReason::Flapping => PresenceReason::Returned,
        PresenceReason::Came
        | PresenceReason::Returned
        | PresenceReason::Ended
        | PresenceReason::Unknown => PresenceReason::Came,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    fn list(links: &mut Links, ms: u64, listed: &[(&str, LinkState)]) -> Vec<String> {
        let listed = listed
            .iter()
            .map(|(name, state)| (name.parse().unwrap(), *state));
        links.on_list(at(ms), &listed.collect::<Vec<_>>());
        let shown =
            |link: LinkPresence| format!("{} {} {:?}", link.link, link.present, link.reason);
        links.view().into_iter().map(shown).collect()
    }

    #[test]
    fn a_link_comes_falls_silent_returns_ends_and_comes_again() {
        use LinkState::{Heard, Silent};
        let mut links = Links::default();
        for (listed, shown) in [
            (vec![("lte", Heard)], "lte true Came"),
            (vec![("lte", Silent)], "lte false Silent"),
            (vec![("lte", Heard)], "lte true Returned"),
            (vec![], "lte false Ended"),
            (vec![("lte", Heard)], "lte true Came"),
            (vec![("lte", Silent)], "lte false Silent"),
            // Its connection is over, which says nothing new.
            (vec![], "lte false Silent"),
        ] {
            assert_eq!(list(&mut links, 0, &listed), [shown]);
        }
    }

    #[test]
    fn of_too_many_links_the_one_that_is_gone_longest_gives_way_and_none_that_is_there() {
        let mut links = Links::default();
        for number in 0..PRESENCE_LINKS_MAX as u64 {
            list(
                &mut links,
                number,
                &[(&format!("l{number}"), LinkState::Heard)],
            );
        }
        let shown = list(&mut links, 100, &[("new", LinkState::Heard)]);
        assert_eq!(shown.len(), PRESENCE_LINKS_MAX);
        assert!(!shown.iter().any(|link| link.starts_with("l0 ")));
        assert!(shown.contains(&"new true Came".to_string()));
        let names: Vec<String> = (0..30).map(|number| format!("m{number:02}")).collect();
        let all: Vec<(&str, LinkState)> = names
            .iter()
            .map(|name| (name.as_str(), LinkState::Heard))
            .collect();
        let shown = list(&mut links, 200, &all);
        assert_eq!(shown.len(), PRESENCE_LINKS_MAX);
        assert!(shown.iter().all(|link| link.ends_with("true Came")));
    }
}
