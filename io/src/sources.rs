//! Who may come in: bounds on connections, in all and by address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// How many connections a relay takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// In all, with those that are not yet up: each takes about 30 KiB.
    pub connections: usize,
    /// From one address (IPv6: one /64): many vehicles sit behind one address of a mobile network.
    pub connections_per_source: usize,
    /// Not yet up, in all. From half of this on, who comes must show first that it receives at its address.
    pub half_open: usize,
    /// Not yet up, from one address. From half of this on, as above.
    pub half_open_per_source: usize,
    /// From one node: 8 links, each with an old and a new connection. The one that was silent longest gives way.
    pub connections_per_node: usize,
}

impl Default for ListenLimits {
    fn default() -> ListenLimits {
        ListenLimits {
            connections: 8_192,
            connections_per_source: 2_048,
            half_open: 1_024,
            half_open_per_source: 128,
            connections_per_node: 16,
        }
    }
}

/// What to do with who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admit,
    ProveAddress,
    Full,
    SourceFull,
}

/// Who is here, by address.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    all: Held,
    by_address: BTreeMap<IpAddr, Held>,
}

/// Connections, and how many of them are not yet up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) connections: usize,
    pub(crate) half_open: usize,
}

impl Sources {
    /// An address that is not proved may be anybody's: its bounds only make it prove itself, so that a stranger cannot
    /// use them up in another's name.
    pub(crate) fn admit(&self, source: IpAddr, proved: bool, limits: &ListenLimits) -> Verdict {
        let here = self.by_address.get(&source).copied().unwrap_or_default();
        let busy = self.all.half_open >= limits.half_open / 2
            || here.half_open >= limits.half_open_per_source / 2
            || here.connections >= limits.connections_per_source;
        if self.all.connections >= limits.connections {
            Verdict::Full
        } else if busy && !proved {
            Verdict::ProveAddress
        } else if self.all.half_open >= limits.half_open {
            Verdict::Full
        } else if here.connections >= limits.connections_per_source
            || here.half_open >= limits.half_open_per_source
        {
            Verdict::SourceFull
        } else {
            Verdict::Admit
        }
    }

    pub(crate) fn change(&mut self, source: IpAddr, change: impl Fn(&mut Held)) {
        change(&mut self.all);
        let here = self.by_address.entry(source).or_default();
        change(here);
        if *here == Held::default() {
            self.by_address.remove(&source);
        }
    }
}

/// The address that bounds count by: of IPv6 the network part, as one machine has all addresses below it.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::from(u64::MAX) << 64)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ListenLimits = ListenLimits {
        connections: 8,
        connections_per_source: 4,
        half_open: 4,
        half_open_per_source: 2,
        connections_per_node: 2,
    };

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn sources(held: &[(u8, usize, usize)]) -> Sources {
        let mut sources = Sources::default();
        for &(last, connections, half_open) in held {
            sources.change(address(last), |held| {
                held.connections += connections;
                held.half_open += half_open;
            });
        }
        sources
    }

    #[test]
    fn who_comes_first_is_admitted() {
        let sources = sources(&[]);
        assert_eq!(sources.admit(address(1), false, &LIMITS), Verdict::Admit);
    }

    #[test]
    fn many_half_open_connections_make_newcomers_prove_their_address() {
        let sources = sources(&[(1, 1, 1), (2, 1, 1)]);
        for last in [1, 3] {
            let source = address(last);
            assert_eq!(sources.admit(source, false, &LIMITS), Verdict::ProveAddress);
            assert_eq!(sources.admit(source, true, &LIMITS), Verdict::Admit);
        }
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let sources = sources(&[(1, 4, 0)]);
        assert_eq!(
            sources.admit(address(1), true, &LIMITS),
            Verdict::SourceFull
        );
        assert_eq!(sources.admit(address(2), false, &LIMITS), Verdict::Admit);
    }

    #[test]
    fn a_full_relay_refuses() {
        let sources = sources(&[(1, 4, 0), (2, 4, 0)]);
        assert_eq!(sources.admit(address(3), true, &LIMITS), Verdict::Full);
    }

    #[test]
    fn places_that_are_given_back_leave_nothing_behind() {
        let mut sources = sources(&[(1, 1, 1)]);
        sources.change(address(1), |held| *held = Held::default());
        assert!(sources.by_address.is_empty());
    }

    #[test]
    fn bounds_of_ipv6_count_the_network() {
        assert_eq!(
            source("2001:db8:1:2:3:4:5:6".parse().unwrap()),
            "2001:db8:1:2::".parse::<IpAddr>().unwrap()
        );
        assert_eq!(source("::ffff:192.0.2.1".parse().unwrap()), address(1));
    }
}
