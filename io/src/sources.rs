//! Who may come in: bounds on connections and on handshakes a second, in all and by address.

use longrein_proto::base::MonoTime;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

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
    /// Handshakes begun a second, in all: each takes about half a millisecond of a processor. From half a second's worth at once on,
    /// who comes must show first that it receives at its address.
    pub handshakes_per_s: u32,
    /// Handshakes begun a second, from one address that was proved. One that fails for its certificate counts
    /// as 20.
    pub handshakes_per_s_per_source: u32,
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
            handshakes_per_s: 1_000,
            handshakes_per_s_per_source: 500,
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

/// Connections, how many of them are not yet up, and the handshakes of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) connections: usize,
    pub(crate) half_open: usize,
    handshakes: Backlog,
}

/// Handshakes that came faster than their rate: when the last of them would have come at that rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Backlog(MonoTime);

impl Backlog {
    fn ahead(self, now: MonoTime) -> Duration {
        self.0.since(now)
    }

    fn add(&mut self, now: MonoTime, handshakes: u32, per_s: u32) {
        self.0 = self.0.max(now) + Duration::from_secs(handshakes.into()) / per_s.max(1);
    }
}

impl Sources {
    /// An address that is not proved may be anybody's: its bounds only make it prove itself, so that a stranger cannot
    /// use them up in another's name.
    pub(crate) fn admit(
        &self,
        now: MonoTime,
        source: IpAddr,
        proved: bool,
        limits: &ListenLimits,
    ) -> Verdict {
        let here = self.by_address.get(&source).copied().unwrap_or_default();
        let (all_ahead, here_ahead) = (self.all.handshakes.ahead(now), here.handshakes.ahead(now));
        let busy = self.all.half_open >= limits.half_open / 2
            || here.half_open >= limits.half_open_per_source / 2
            || here.connections >= limits.connections_per_source
            || all_ahead >= BURST / 2
            || here_ahead >= BURST / 2;
        if self.all.connections >= limits.connections {
            Verdict::Full
        } else if busy && !proved {
            Verdict::ProveAddress
        } else if self.all.half_open >= limits.half_open || all_ahead >= BURST {
            Verdict::Full
        } else if here.connections >= limits.connections_per_source
            || here.half_open >= limits.half_open_per_source
            || here_ahead >= BURST
        {
            Verdict::SourceFull
        } else {
            Verdict::Admit
        }
    }

    /// A handshake begins. Only what an address that was proved does counts for the address.
    pub(crate) fn begin(
        &mut self,
        now: MonoTime,
        source: IpAddr,
        proved: bool,
        limits: &ListenLimits,
    ) {
        self.all.handshakes.add(now, 1, limits.handshakes_per_s);
        if proved {
            self.charge(now, source, 1, limits);
        }
    }

    /// A handshake failed for its certificate, after the address was proved by it.
    pub(crate) fn refused(&mut self, now: MonoTime, source: IpAddr, limits: &ListenLimits) {
        self.charge(now, source, REFUSED_COSTS, limits);
    }

    fn charge(&mut self, now: MonoTime, source: IpAddr, handshakes: u32, limits: &ListenLimits) {
        if !self.by_address.contains_key(&source) && self.by_address.len() >= REMEMBERED_MAX {
            self.by_address.retain(|_, held| held.is_worth_keeping(now));
        }
        let here = self.by_address.entry(source).or_default();
        let per_s = limits.handshakes_per_s_per_source;
        // No farther than a burst: who stops is free again soon.
        if here.handshakes.ahead(now) < BURST {
            here.handshakes.add(now, handshakes, per_s);
        }
    }

    pub(crate) fn change(&mut self, now: MonoTime, source: IpAddr, change: impl Fn(&mut Held)) {
        change(&mut self.all);
        let here = self.by_address.entry(source).or_default();
        change(here);
        if !here.is_worth_keeping(now) {
            self.by_address.remove(&source);
        }
    }
}

impl Held {
    fn is_worth_keeping(&self, now: MonoTime) -> bool {
        self.connections > 0 || !self.handshakes.ahead(now).is_zero()
    }
}

/// What may come at once: as many as in this time at the full rate.
const BURST: Duration = Duration::from_secs(1);
/// A handshake that fails for its certificate costs as much as one that succeeds, and nobody who belongs here has many.
const REFUSED_COSTS: u32 = 20;
/// Addresses that are remembered before those that nothing is known of any more are forgotten (80 bytes each).
const REMEMBERED_MAX: usize = 16_384;

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
        handshakes_per_s: 100,
        handshakes_per_s_per_source: 40,
        connections_per_node: 2,
    };
    const NOW: MonoTime = MonoTime::from_us(1_000_000);

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn sources(held: &[(u8, usize, usize)]) -> Sources {
        let mut sources = Sources::default();
        for &(last, connections, half_open) in held {
            sources.change(NOW, address(last), |held| {
                held.connections += connections;
                held.half_open += half_open;
            });
        }
        sources
    }

    #[test]
    fn who_comes_first_is_admitted() {
        let sources = sources(&[]);
        assert_eq!(
            sources.admit(NOW, address(1), false, &LIMITS),
            Verdict::Admit
        );
    }

    #[test]
    fn many_half_open_connections_make_newcomers_prove_their_address() {
        let sources = sources(&[(1, 1, 1), (2, 1, 1)]);
        for last in [1, 3] {
            let source = address(last);
            assert_eq!(
                sources.admit(NOW, source, false, &LIMITS),
                Verdict::ProveAddress
            );
            assert_eq!(sources.admit(NOW, source, true, &LIMITS), Verdict::Admit);
        }
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let sources = sources(&[(1, 4, 0)]);
        assert_eq!(
            sources.admit(NOW, address(1), true, &LIMITS),
            Verdict::SourceFull
        );
        assert_eq!(
            sources.admit(NOW, address(2), false, &LIMITS),
            Verdict::Admit
        );
    }

    #[test]
    fn a_full_relay_refuses() {
        let sources = sources(&[(1, 4, 0), (2, 4, 0)]);
        assert_eq!(sources.admit(NOW, address(3), true, &LIMITS), Verdict::Full);
    }

    #[test]
    fn places_that_are_given_back_leave_nothing_behind() {
        let mut sources = sources(&[(1, 1, 1)]);
        sources.change(NOW, address(1), |held| *held = Held::default());
        assert!(sources.by_address.is_empty());
    }

    /// How many of so many handshakes at one moment are admitted.
    fn admitted(sources: &mut Sources, now: MonoTime, last: u8, proved: bool, count: u32) -> u32 {
        let mut admitted = 0;
        for _ in 0..count {
            if sources.admit(now, address(last), proved, &LIMITS) == Verdict::Admit {
                sources.begin(now, address(last), proved, &LIMITS);
                admitted += 1;
            }
        }
        admitted
    }

    #[test]
    fn one_proved_address_begins_no_more_handshakes_than_its_rate_and_others_go_on() {
        let mut sources = Sources::default();
        assert_eq!(admitted(&mut sources, NOW, 1, true, 200), 40);
        assert_eq!(
            sources.admit(NOW, address(1), true, &LIMITS),
            Verdict::SourceFull
        );
        assert_eq!(admitted(&mut sources, NOW, 2, true, 5), 5);
        let later = NOW + Duration::from_millis(250);
        assert_eq!(admitted(&mut sources, later, 1, true, 200), 10);
    }

    #[test]
    fn handshakes_of_addresses_that_are_not_proved_make_newcomers_prove_theirs_and_use_up_nobody_s_rate()
     {
        let mut sources = Sources::default();
        assert_eq!(admitted(&mut sources, NOW, 1, false, 200), 50);
        assert_eq!(
            sources.admit(NOW, address(2), false, &LIMITS),
            Verdict::ProveAddress
        );
        assert_eq!(admitted(&mut sources, NOW, 1, true, 30), 30);
    }

    #[test]
    fn a_full_rate_of_all_refuses_also_who_is_proved() {
        let mut sources = Sources::default();
        for last in 1..=3 {
            admitted(&mut sources, NOW, last, true, 40);
        }
        assert_eq!(sources.admit(NOW, address(9), true, &LIMITS), Verdict::Full);
    }

    #[test]
    fn refused_certificates_cost_their_address_more_and_for_a_second_at_most() {
        let mut sources = Sources::default();
        for _ in 0..50 {
            sources.refused(NOW, address(1), &LIMITS);
        }
        assert_eq!(admitted(&mut sources, NOW, 1, true, 10), 0);
        assert_eq!(admitted(&mut sources, NOW, 2, true, 10), 10);
        let later = NOW + Duration::from_millis(600);
        assert!(admitted(&mut sources, later, 1, true, 10) > 0);
    }

    #[test]
    fn what_is_remembered_of_addresses_is_bounded() {
        let mut sources = Sources::default();
        for number in 0..100_000_u32 {
            let now = NOW + Duration::from_micros(u64::from(number) * 100);
            let address = IpAddr::from(number.to_be_bytes());
            sources.begin(now, address, true, &LIMITS);
            assert!(sources.by_address.len() <= REMEMBERED_MAX + 1);
        }
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
