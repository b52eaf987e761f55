//! From where the packets of a node's links reach its relays: links that share an address share what lies behind it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use crate::base::{Name, NodeName};

/// What relays see of a node. A relay may lie: this is a hint for people.
#[derive(Debug, Default)]
pub(super) struct PublicAddresses {
    seen: BTreeMap<(NodeName, Name), IpAddr>,
    /// Pairs of links that were told to share an address.
    shared: BTreeSet<(Name, Name)>,
    news: VecDeque<SharedAddress>,
}

/// What is new of two links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAddress {
    /// Both, in the order of their names.
    pub links: (Name, Name),
    /// The address that packets of both come from; none when they do not share one any more.
    pub address: Option<IpAddr>,
}

impl PublicAddresses {
    /// A relay says where the packets of a link come from.
    pub(super) fn on_seen(&mut self, relay: NodeName, link: Name, address: IpAddr) {
        self.seen.insert((relay, link.clone()), address);
        let others: BTreeSet<Name> = self.seen.keys().map(|(_, other)| other.clone()).collect();
        for other in others.into_iter().filter(|other| *other != link) {
            let pair = if link < other {
                (link.clone(), other)
            } else {
                (other, link.clone())
            };
            self.judge(pair);
        }
    }

    /// A link reaches a relay no more: what was seen of it says nothing of when it comes back. What was told of it stays until then.
    pub(super) fn on_gone(&mut self, relay: &NodeName, link: &Name) {
        self.seen.remove(&(relay.clone(), link.clone()));
    }

    /// Links that are not among these are no more.
    pub(super) fn keep_only(&mut self, links: &[Name]) {
        self.seen.retain(|(_, link), _| links.contains(link));
        let is_kept = |(one, other): &(Name, Name)| links.contains(one) && links.contains(other);
        self.shared.retain(is_kept);
    }

    pub(super) fn of(&self, relay: &NodeName, link: &Name) -> Option<IpAddr> {
        self.seen.get(&(relay.clone(), link.clone())).copied()
    }

    /// Pairs of links that share an address, as far as is known.
    pub(super) fn shared(&self) -> impl Iterator<Item = &(Name, Name)> {
        self.shared.iter()
    }

    pub(super) fn poll_news(&mut self) -> Option<SharedAddress> {
        self.news.pop_front()
    }

    /// Whoever sees both links sees whether they share an address; where nobody does, what was told stays.
    fn judge(&mut self, links: (Name, Name)) {
        let mut is_known = false;
        let mut shared = None;
        for ((relay, link), address) in &self.seen {
            if *link != links.0 {
                continue;
            }
            if let Some(other) = self.of(relay, &links.1) {
                is_known = true;
                shared = shared.or_else(|| is_same_way(*address, other).then_some(*address));
            }
        }
        let has_changed = match shared {
            Some(_) => self.shared.insert(links.clone()),
            None => is_known && self.shared.remove(&links),
        };
        if has_changed {
            self.news.push_back(SharedAddress {
                links,
                address: shared,
            });
        }
        while self.news.len() > NEWS_MAX {
            self.news.pop_front();
        }
    }
}

/// Whether both leave by one line: the same IPv4 address, or the same IPv6 /64, which a provider gives to one customer. Relays on
/// the machine itself see nothing of the world.
fn is_same_way(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one == other && !one.is_loopback(),
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let [one_net, other_net] = [one, other].map(|address| address.to_bits() >> 64);
            one_net == other_net && !one.is_loopback()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// News that wait: one of each pair of eight links.
const NEWS_MAX: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    fn see(addresses: &mut PublicAddresses, relay: &str, link: &str, address: &str) -> Vec<bool> {
        let relay = format!("relay/{relay}").parse().unwrap();
        addresses.on_seen(relay, name(link), address.parse().unwrap());
        let news = std::iter::from_fn(|| addresses.poll_news());
        news.map(|news| news.address.is_some()).collect()
    }

    #[test]
    fn two_links_that_share_an_address_are_told_once_and_again_when_that_changes() {
        let mut addresses = PublicAddresses::default();
        let see =
            |addresses: &mut PublicAddresses, link, address| see(addresses, "east", link, address);
        assert_eq!(see(&mut addresses, "a", "192.0.2.1"), [false; 0]);
        assert_eq!(see(&mut addresses, "b", "192.0.2.2"), [false; 0]);
        assert_eq!(see(&mut addresses, "b", "192.0.2.1"), [true]);
        assert_eq!(see(&mut addresses, "b", "192.0.2.1"), [false; 0]);
        assert_eq!(see(&mut addresses, "c", "192.0.2.1"), [true, true]);
        let shared: Vec<_> = addresses.shared().cloned().collect();
        assert_eq!(shared.len(), 3);
        // A link that comes back as it was is no news, and one that is gone says nothing.
        addresses.on_gone(&"relay/east".parse().unwrap(), &name("b"));
        assert_eq!(see(&mut addresses, "a", "192.0.2.9"), [false]);
        assert_eq!(see(&mut addresses, "a", "192.0.2.1"), [true]);
        assert_eq!(see(&mut addresses, "b", "192.0.2.1"), [false; 0]);
        assert_eq!(see(&mut addresses, "b", "192.0.2.7"), [false, false]);
        addresses.keep_only(&[name("a")]);
        assert_eq!(addresses.shared().count(), 0);
    }

    #[test]
    fn only_what_one_relay_sees_is_compared_and_one_that_sees_the_same_is_enough() {
        let mut addresses = PublicAddresses::default();
        assert_eq!(see(&mut addresses, "east", "a", "192.0.2.1"), [false; 0]);
        assert_eq!(see(&mut addresses, "west", "b", "192.0.2.1"), [false; 0]);
        assert_eq!(see(&mut addresses, "west", "a", "10.0.0.1"), [false; 0]);
        assert_eq!(see(&mut addresses, "east", "b", "192.0.2.1"), [true]);
        assert_eq!(see(&mut addresses, "west", "a", "10.0.0.2"), [false; 0]);
    }

    #[test]
    fn addresses_of_one_network_count_as_one_in_ipv6_and_this_machine_s_own_as_none() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("127.0.0.1", "127.0.0.1", false),
            ("::1", "::1", false),
            ("2001:db8::1", "192.0.2.1", false),
        ] {
            let [parsed, other_parsed] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(is_same_way(parsed, other_parsed), same, "{one} {other}");
        }
    }
}
