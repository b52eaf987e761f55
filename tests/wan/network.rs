//! Routes and carries packets between interfaces; no clock, no devices.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use longrein_proto::base::Entropy;

use super::profile::{Profile, ProfileError};
use super::shaper::{Counters, Pass, Shaper};
use crate::Chance;

/// All interfaces and every packet between them. Interfaces are numbered in the order in which they are added.
#[derive(Debug)]
pub(super) struct Network {
    chance: Chance,
    interfaces: Vec<Ends>,
    routes: BTreeMap<Ipv4Addr, usize>,
    /// By when they leave where they are, then by when they came.
    under_way: BTreeMap<(Duration, u64), Packet>,
    admitted: u64,
    strays: u64,
}

/// An interface.
#[derive(Debug)]
struct Ends {
    up: Shaper,
    down: Shaper,
}

#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    place: Place,
    pass: Pass,
}

/// Where a packet is under way.
#[derive(Clone, Copy, Debug)]
enum Place {
    Up { from: usize, to: usize },
    Down { to: usize },
}

/// A packet that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// When it is to be there.
    pub at: Duration,
    /// The interface that it arrives at.
    pub to: usize,
    /// The packet.
    pub bytes: Vec<u8>,
}

impl Network {
    /// Without interfaces; all chance comes from the seed.
    pub fn new(seed: u64) -> Network {
        Network {
            chance: Chance::new(seed),
            interfaces: Vec::new(),
            routes: BTreeMap::new(),
            under_way: BTreeMap::new(),
            admitted: 0,
            strays: 0,
        }
    }

    /// Adds an interface, which gets all packets for this address.
    pub fn add(
        &mut self,
        address: Ipv4Addr,
        up: Profile,
        down: Profile,
    ) -> Result<usize, ProfileError> {
        up.check()?;
        down.check()?;
        let mut shaper = |profile| Shaper::new(profile, Chance::new(self.chance.next_u64()));
        let ends = Ends {
            up: shaper(up),
            down: shaper(down),
        };
        let index = self.interfaces.len();
        self.interfaces.push(ends);
        self.routes.insert(address, index);
        Ok(index)
    }

    /// Gives an interface another address.
    pub fn renumber(&mut self, interface: usize, address: Ipv4Addr) {
        self.routes.retain(|_, index| *index != interface);
        self.routes.insert(address, interface);
    }

    /// Changes an interface's profiles, up and down.
    pub fn change(
        &mut self,
        interface: usize,
        change: impl FnOnce(&mut Profile, &mut Profile),
    ) -> Result<(), ProfileError> {
        let Ends { up, down } = &mut self.interfaces[interface];
        let (mut new_up, mut new_down) = (*up.profile(), *down.profile());
        change(&mut new_up, &mut new_down);
        new_up.check()?;
        new_down.check()?;
        up.change(new_up);
        down.change(new_down);
        Ok(())
    }

    /// An interface's counters, up and down.
    pub fn counters(&self, interface: usize) -> (Counters, Counters) {
        let Ends { up, down } = &self.interfaces[interface];
        (up.counters(), down.counters())
    }

    /// Packets that had no destination or for which there was no room at all.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// A packet leaves an interface.
    pub fn handle(&mut self, now: Duration, from: usize, packet: &[u8]) {
        let to = destination(packet).and_then(|address| self.routes.get(&address));
        let Some(&to) = to.filter(|_| self.under_way.len() < PACKETS_MAX) else {
            self.strays += 1;
            return;
        };
        if let Some(pass) = self.interfaces[from].up.admit(now, packet.len()) {
            self.carry(packet.to_vec(), Place::Up { from, to }, pass);
        }
    }

    /// The next packet that has arrived by now.
    pub fn poll(&mut self, now: Duration) -> Option<Delivery> {
        while self.next_timeout()? <= now {
            let ((at, _), packet) = self.under_way.pop_first()?;
            let Packet { bytes, place, pass } = packet;
            match place {
                // It is at the other end at its time, however late anybody looks.
                Place::Up { from, to } => {
                    if self.interfaces[from].up.release(pass, bytes.len())
                        && let Some(pass) = self.interfaces[to].down.admit(at, bytes.len())
                    {
                        self.carry(bytes, Place::Down { to }, pass);
                    }
                }
                Place::Down { to } => {
                    if self.interfaces[to].down.release(pass, bytes.len()) {
                        return Some(Delivery { at, to, bytes });
                    }
                }
            }
        }
        None
    }

    /// When the next packet leaves where it is.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    fn carry(&mut self, bytes: Vec<u8>, place: Place, pass: Pass) {
        self.admitted += 1;
        let packet = Packet { bytes, place, pass };
        self.under_way.insert((pass.exit, self.admitted), packet);
    }
}

/// Where an IPv4 packet goes (RFC 791, 3.1); none when it is something else.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let version = packet.first()? >> 4;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (version == 4).then(|| address.into())
}

/// Packets under way in the whole network: 1,000 packets a second for a minute, or 100 MB.
const PACKETS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::super::profile::Queue;
    use super::*;

    const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// An IPv4 packet as far as anybody looks at it.
    fn packet(to: Ipv4Addr, mark: u8) -> Vec<u8> {
        let mut bytes = vec![0; 100];
        bytes[0] = 0x45;
        bytes[16..20].copy_from_slice(&to.octets());
        bytes[99] = mark;
        bytes
    }

    /// Interface 0 with this way up, interface 1 with this way down.
    fn network(up: Profile, down: Profile) -> Network {
        let mut network = Network::new(1);
        network.add(NEAR, up, Profile::CLEAR).unwrap();
        network.add(FAR, Profile::CLEAR, down).unwrap();
        network
    }

    fn delivered(network: &mut Network, now: Duration) -> Vec<(Duration, u8)> {
        std::iter::from_fn(|| network.poll(now))
            .map(|delivery| (delivery.at, delivery.bytes[99]))
            .collect()
    }

    #[test]
    fn a_packet_passes_both_its_ways_and_arrives_at_its_time() {
        let mut network = network(Profile::delayed(ms(10)), Profile::delayed(ms(5)));
        network.handle(ms(0), 0, &packet(FAR, 7));
        assert_eq!(network.next_timeout(), Some(ms(10)));
        assert_eq!(network.poll(ms(14)), None);
        let delivery = network.poll(ms(40)).unwrap();
        assert_eq!((delivery.at, delivery.to), (ms(15), 1));
        assert_eq!(delivery.bytes, packet(FAR, 7));
        assert_eq!(network.next_timeout(), None);
        network.handle(ms(40), 1, &packet(NEAR, 8));
        assert_eq!(network.poll(ms(40)).unwrap().to, 0);
    }

    #[test]
    fn who_looks_late_sees_the_same_times() {
        let slow = Profile::CLEAR.with_rate(800_000, Queue::Bytes(10_000));
        let mut network = network(Profile::delayed(ms(10)), slow);
        for mark in 0..3 {
            network.handle(ms(0), 0, &packet(FAR, mark));
        }
        let expected = [(ms(11), 0), (ms(12), 1), (ms(13), 2)];
        assert_eq!(delivered(&mut network, ms(500)), expected);
    }

    #[test]
    fn what_goes_nowhere_or_is_no_ipv4_is_counted() {
        let mut network = network(Profile::CLEAR, Profile::CLEAR);
        let mut six = packet(FAR, 0);
        six[0] = 0x60;
        for stray in [
            packet(Ipv4Addr::BROADCAST, 0),
            six,
            vec![0x45; 19],
            Vec::new(),
        ] {
            network.handle(ms(0), 0, &stray);
        }
        assert_eq!(network.poll(ms(1)), None);
        assert_eq!(network.strays(), 4);
    }

    #[test]
    fn one_direction_alone_can_be_off() {
        let mut network = network(Profile::CLEAR, Profile::CLEAR);
        network.change(0, |up, _| up.on = false).unwrap();
        network.handle(ms(0), 0, &packet(FAR, 0));
        network.handle(ms(0), 1, &packet(NEAR, 1));
        assert_eq!(delivered(&mut network, ms(0)), [(ms(0), 1)]);
        let (up, down) = network.counters(0);
        assert_eq!((up.cut, up.passed, down.passed), (1, 0, 1));
    }

    #[test]
    fn a_change_that_cannot_be_changes_nothing() {
        let mut network = network(Profile::CLEAR, Profile::CLEAR);
        let wrong = network.change(0, |up, down| {
            up.on = false;
            down.loss.good = 2.0;
        });
        assert_eq!(wrong, Err(ProfileError::Probability(2.0)));
        network.handle(ms(0), 0, &packet(FAR, 5));
        assert_eq!(delivered(&mut network, ms(0)), [(ms(0), 5)]);
    }

    #[test]
    fn a_seed_repeats_the_fate_of_every_packet() {
        let lossy = Profile::delayed(ms(1))
            .with_loss(super::super::profile::Loss::runs(0.3, 3.0))
            .with_jitter(ms(9), true);
        let run = || {
            let mut network = network(lossy, lossy);
            for n in 0..200_u8 {
                network.handle(ms(u64::from(n)), 0, &packet(FAR, n));
            }
            delivered(&mut network, ms(1_000))
        };
        let first = run();
        assert!(first.len() > 50 && first.len() < 150, "{}", first.len());
        assert_eq!(first, run());
    }

    #[test]
    fn packets_under_way_are_bounded() {
        let mut network = network(Profile::delayed(ms(1_000)), Profile::CLEAR);
        for _ in 0..=PACKETS_MAX {
            network.handle(ms(0), 0, &packet(FAR, 0));
        }
        assert_eq!(network.strays(), 1);
    }
}
