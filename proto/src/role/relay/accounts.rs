//! What the relay keeps of each node, whatever runs of its program come and go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::RelayConfig;
use super::seat::SeatId;
use crate::base::limits::{
    ACCOUNT_KEPT, ACCOUNTS_MAX, HANDSHAKES_PER_S, LAST_STEPS_PER_S, PACKET_BYTES_MAX, PAPERS_BURST,
    PAPERS_PER_S, QUERIES_PER_S, RUNS_REMEMBERED_MAX, STOP_BYTES_PER_S,
};
use crate::base::{MonoTime, NodeName};
use crate::leg::{Budget, Source};

/// The accounts of the nodes that have a seat or had one not long ago.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    by_number: BTreeMap<Source, Account>,
    /// The relay's numbers for the nodes; none is used twice.
    numbers: BTreeMap<NodeName, Source>,
    /// Of nodes without a seat: since when.
    idle: BTreeSet<(MonoTime, Source)>,
    opened: u64,
}

/// One node's budgets, which all its runs share, and its runs.
#[derive(Debug)]
pub(super) struct Account {
    node: NodeName,
    as_source: Budget,
    as_destination: Budget,
    /// Of an agent: what sessions that hold a lease may send to it.
    as_leased: Budget,
    stops: Budget,
    handshakes: Budget,
    last_steps: Budget,
    queries: Budget,
    /// Looks at certificates that no connection showed.
    looks: Budget,
    /// SHA-256 of the newest of them that is the node's.
    certificate: Option<[u8; 32]>,
    /// That had a seat, the newest last.
    runs: VecDeque<u64>,
    idle_since: Option<MonoTime>,
}

impl Accounts {
    /// A run takes a seat.
    // [WIRE-103]
    pub(super) fn on_seated(
        &mut self,
        now: MonoTime,
        node: &NodeName,
        incarnation: u64,
        config: &RelayConfig,
    ) -> SeatId {
        self.make_room(now, node);
        let number = *self.numbers.entry(node.clone()).or_insert_with(|| {
            self.opened += 1;
            Source(self.opened)
        });
        let account = self
            .by_number
            .entry(number)
            .or_insert_with(|| Account::new(now, node.clone(), config));
        if let Some(since) = account.idle_since.take() {
            self.idle.remove(&(since, number));
        }
        account.note_run(incarnation);
        SeatId {
            node: number,
            incarnation,
        }
    }

    /// A node's last seat is gone. What a budget lacks stays lacking: coming back must not fill it.
    // [WIRE-103]
    pub(super) fn on_unseated(&mut self, now: MonoTime, node: Source) {
        if let Some(account) = self.by_number.get_mut(&node)
            && account.idle_since.is_none()
        {
            account.idle_since = Some(now);
            self.idle.insert((now, node));
        }
    }

    pub(super) fn number_of(&self, node: &NodeName) -> Option<Source> {
        self.numbers.get(node).copied()
    }

    pub(super) fn of(&self, node: &NodeName) -> Option<&Account> {
        self.by_number.get(self.numbers.get(node)?)
    }

    pub(super) fn get_mut(&mut self, node: Source) -> Option<&mut Account> {
        self.by_number.get_mut(&node)
    }

    /// Forgets whoever left long ago, and when that leaves no room for this node, whoever left first.
    fn make_room(&mut self, now: MonoTime, node: &NodeName) {
        while let Some((since, _)) = self.idle.first() {
            let full = self.numbers.len() >= ACCOUNTS_MAX && !self.numbers.contains_key(node);
            if now.since(*since) < ACCOUNT_KEPT && !full {
                break;
            }
            if let Some((_, gone)) = self.idle.pop_first()
                && let Some(account) = self.by_number.remove(&gone)
            {
                self.numbers.remove(&account.node);
            }
        }
    }
}

impl Account {
    fn new(now: MonoTime, node: NodeName, config: &RelayConfig) -> Account {
        let bytes = |per_s: u64| Budget::new(now, per_s, burst(per_s));
        Account {
            node,
            as_source: bytes(config.source_bytes_per_s),
            as_destination: bytes(config.destination_bytes_per_s),
            as_leased: bytes(config.destination_bytes_per_s),
            stops: bytes(STOP_BYTES_PER_S),
            handshakes: Budget::new(now, HANDSHAKES_PER_S, HANDSHAKES_PER_S),
            last_steps: Budget::new(now, LAST_STEPS_PER_S, LAST_STEPS_PER_S),
            queries: Budget::new(now, QUERIES_PER_S, QUERIES_PER_S),
            looks: Budget::new(now, PAPERS_PER_S, PAPERS_BURST),
            certificate: None,
            runs: VecDeque::new(),
            idle_since: None,
        }
    }

    /// Whether this run of the node's program had a seat before.
    pub(super) fn knows_run(&self, incarnation: u64) -> bool {
        self.runs.contains(&incarnation)
    }

    // [WIRE-115]
    pub(super) fn spend_as_source(&mut self, now: MonoTime, bytes: usize, is_stop: bool) -> bool {
        if is_stop {
            self.stops.try_spend(now, bytes)
        } else {
            self.as_source.try_spend(now, bytes)
        }
    }

    /// Stops cost their destination nothing.
    // [WIRE-115]
    pub(super) fn spend_as_destination(
        &mut self,
        now: MonoTime,
        bytes: usize,
        is_leased: bool,
    ) -> bool {
        if is_leased {
            self.as_leased.try_spend(now, bytes)
        } else {
            self.as_destination.try_spend(now, bytes)
        }
    }

    /// Whether one more step of a handshake is within the rate. The second goes back to who may send few of the first.
    // [WIRE-117]
    pub(super) fn spend_handshake(&mut self, now: MonoTime, step: u8) -> bool {
        match step {
            1 => self.handshakes.try_spend(now, 1),
            3 => self.last_steps.try_spend(now, 1),
            _ => true,
        }
    }

    /// Whether one more question is within the rate: its answer is long.
    pub(super) fn spend_query(&mut self, now: MonoTime) -> bool {
        self.queries.try_spend(now, 1)
    }

    /// Whether a certificate of this SHA-256, which the node's connection did not show, is the node's; looks at few.
    // [WIRE-122]
    pub(super) fn knows_certificate(
        &mut self,
        now: MonoTime,
        fingerprint: [u8; 32],
        is_of_node: impl FnOnce() -> bool,
    ) -> bool {
        if self.certificate == Some(fingerprint) {
            return true;
        }
        let knows = self.looks.try_spend(now, 1) && is_of_node();
        if knows {
            self.certificate = Some(fingerprint);
        }
        knows
    }

    fn note_run(&mut self, incarnation: u64) {
        self.runs.retain(|run| *run != incarnation);
        self.runs.push_back(incarnation);
        if self.runs.len() > RUNS_REMEMBERED_MAX {
            self.runs.pop_front();
        }
    }
}

/// A quarter of a second's worth, but at least four packets: enough for a burst of state after an outage.
fn burst(bytes_per_s: u64) -> u64 {
    let packets = u64::try_from(PACKET_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_mul(4);
    (bytes_per_s / 4).max(packets)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn at(s: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_secs(s)
    }

    fn handshakes(accounts: &mut Accounts, now: MonoTime, seat: SeatId) -> usize {
        let account = accounts.get_mut(seat.node).unwrap();
        std::iter::from_fn(|| account.spend_handshake(now, 1).then_some(())).count()
    }

    /// [WIRE-103]
    #[test]
    fn a_node_that_comes_back_finds_its_budgets_as_it_left_them() {
        let config = RelayConfig::default();
        let mut accounts = Accounts::default();
        let anna = node("controller/anna");
        let first = accounts.on_seated(at(0), &anna, 1, &config);
        assert_eq!(handshakes(&mut accounts, at(0), first), 64);
        accounts.on_unseated(at(0), first.node);
        let second = accounts.on_seated(at(0), &anna, 2, &config);
        assert_eq!(handshakes(&mut accounts, at(0), second), 0);
        assert_eq!(handshakes(&mut accounts, at(1), second), 64);
    }

    #[test]
    fn an_account_is_forgotten_a_while_after_its_last_seat_and_not_before() {
        let config = RelayConfig::default();
        let mut accounts = Accounts::default();
        let (anna, otto) = (node("controller/anna"), node("controller/otto"));
        let seat = accounts.on_seated(at(0), &anna, 1, &config);
        accounts.on_unseated(at(10), seat.node);
        accounts.on_seated(at(69), &otto, 1, &config);
        assert!(accounts.of(&anna).is_some_and(|a| a.knows_run(1)));
        accounts.on_seated(at(70), &otto, 1, &config);
        assert!(accounts.of(&anna).is_none());
        assert!(accounts.get_mut(seat.node).is_none());
        accounts.on_seated(at(1_000), &otto, 1, &config);
        assert!(accounts.of(&otto).is_some());
        assert!(accounts.idle.is_empty());
        let again = accounts.on_seated(at(1_001), &anna, 1, &config);
        assert!(again.node > seat.node);
    }

    #[test]
    fn accounts_and_runs_are_bounded_and_the_oldest_gives_way() {
        let config = RelayConfig::default();
        let mut accounts = Accounts::default();
        for number in 0..=ACCOUNTS_MAX {
            let one = node(&format!("controller/c-{number}"));
            let seat = accounts.on_seated(at(1), &one, 1, &config);
            accounts.on_unseated(at(1) + Duration::from_micros(number as u64), seat.node);
        }
        assert_eq!(accounts.by_number.len(), ACCOUNTS_MAX);
        assert_eq!(accounts.numbers.len(), ACCOUNTS_MAX);
        assert_eq!(accounts.idle.len(), ACCOUNTS_MAX);
        assert!(accounts.of(&node("controller/c-0")).is_none());
        let truck = node("agent/truck-17");
        for run in 0..100 {
            accounts.on_seated(at(2), &truck, run, &config);
        }
        let truck = accounts.of(&truck).unwrap();
        assert_eq!(truck.runs.len(), RUNS_REMEMBERED_MAX);
        assert!(truck.knows_run(99) && !truck.knows_run(0));
    }
}
