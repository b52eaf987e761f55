//! What a row's messages say.

use std::collections::{BTreeMap, BTreeSet};

use longrein::Class;

use super::arrivals::Arrival;
use super::case::{Case, NETWORK_DELAY, Row};
use super::longrein_fleet::{LATEST_TTL, RELIABLE_TTL};

/// What is known of one pair.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When the vehicle's program started.
    pub began_us: u64,
    pub sent: Vec<Sent>,
    pub arrivals: Vec<Arrival>,
    /// Messages that the peer called applied.
    pub confirmed: Option<Vec<u64>>,
}

/// A message that was to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub number: u64,
    pub planned_us: u64,
    /// Just before the call; the plan when the sender was held up.
    pub sent_us: u64,
}

/// The span whose messages are judged.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub from_us: u64,
    pub until_us: u64,
    /// When the first link came back.
    pub back_us: Option<u64>,
}

/// A row's figures, over all its pairs. Times in ms; none where there is nothing to tell or too few samples tell it.
#[derive(Clone, Debug)]
pub struct Figures {
    pub case: String,
    pub row: Row,
    pub links: usize,
    pub relays: usize,
    pub loss: f64,
    pub sent: usize,
    pub delivered_pct: f64,
    pub within_50ms_pct: f64,
    pub mean_ms: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub p999_ms: Option<f64>,
    pub max_ms: Option<f64>,
    /// The longest of any pair.
    pub longest_gap_ms: f64,
    pub bytes_per_message: f64,
    /// Of the middle pair.
    pub first_message_ms: Option<f64>,
    /// Pairs that never got a message.
    pub silent_pairs: usize,
    /// Class latest at 50 Hz: slots in which something newer came, and the newest command's age at their ends.
    pub covered_slots_pct: Option<f64>,
    pub age_p99_ms: Option<f64>,
    pub age_p999_ms: Option<f64>,
    /// Arrivals older than a message of the class is of use.
    pub stale: usize,
    /// Arrivals of what had arrived.
    pub twice: usize,
    /// Messages that were called applied and did not arrive.
    pub false_receipts: Option<usize>,
    /// After the first link was back, of the slowest pair; none when one got nothing, or nothing went dark.
    pub back_after_ms: Option<f64>,
}

/// What is gathered over the pairs.
#[derive(Default)]
struct Gathered {
    sent: usize,
    delays_us: Vec<u64>,
    longest_gap_us: u64,
    firsts_us: Vec<u64>,
    ages_us: Vec<u64>,
    covered: usize,
    slots: usize,
    stale: usize,
    twice: usize,
    false_receipts: Option<usize>,
    back_us: Vec<u64>,
}

impl Figures {
    pub fn new(
        case: &Case,
        row: Row,
        relays: usize,
        records: &[Record],
        window: Window,
        bytes: u64,
    ) -> Figures {
        let mut all = Gathered::default();
        for record in records {
            all.add(record, row, window);
        }
        all.delays_us.sort_unstable();
        all.ages_us.sort_unstable();
        let of_sent = |count: usize| 100.0 * count as f64 / all.sent.max(1) as f64;
        let within = all.delays_us.partition_point(|delay| *delay <= WITHIN_US);
        let sum: u64 = all.delays_us.iter().sum();
        let mean = sum as f64 / 1_000.0 / all.delays_us.len() as f64;
        let slots = (all.slots > 0).then_some(all.slots as f64);
        let all_back = all.back_us.len() == records.len();
        Figures {
            case: case.name.clone(),
            row,
            links: case.links,
            relays,
            loss: case.loss,
            sent: all.sent,
            delivered_pct: of_sent(all.delays_us.len()),
            within_50ms_pct: of_sent(within),
            mean_ms: (!all.delays_us.is_empty()).then_some(mean),
            p50_ms: quantile_ms(&all.delays_us, 500),
            p99_ms: quantile_ms(&all.delays_us, 990),
            p999_ms: quantile_ms(&all.delays_us, 999),
            max_ms: all.delays_us.last().map(|us| ms(*us)),
            longest_gap_ms: ms(all.longest_gap_us),
            bytes_per_message: bytes as f64 / all.sent.max(1) as f64,
            first_message_ms: middle(&all.firsts_us, records.len()).map(ms),
            silent_pairs: records.len() - all.firsts_us.len(),
            covered_slots_pct: slots.map(|slots| 100.0 * all.covered as f64 / slots),
            age_p99_ms: quantile_ms(&all.ages_us, 990),
            age_p999_ms: quantile_ms(&all.ages_us, 999),
            stale: all.stale,
            twice: all.twice,
            false_receipts: all.false_receipts,
            back_after_ms: all
                .back_us
                .iter()
                .max()
                .filter(|_| all_back)
                .map(|us| ms(*us)),
        }
    }

    /// One object with everything but the machine.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "case": self.case, "peer": self.row.peer.slug(), "class": class_name(self.row.class),
            "rate_hz": self.row.rate_hz, "links": self.links, "relays": self.relays, "loss": self.loss,
            "delivered_pct": self.delivered_pct, "within_50ms_pct": self.within_50ms_pct, "mean_ms": self.mean_ms,
            "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "p999_ms": self.p999_ms, "max_ms": self.max_ms,
            "longest_gap_ms": self.longest_gap_ms, "bytes_per_message": self.bytes_per_message,
            "first_message_ms": self.first_message_ms, "sent": self.sent, "silent_pairs": self.silent_pairs,
            "covered_slots_pct": self.covered_slots_pct, "age_p99_ms": self.age_p99_ms,
            "age_p999_ms": self.age_p999_ms, "stale": self.stale, "twice": self.twice,
            "false_receipts": self.false_receipts, "back_after_ms": self.back_after_ms,
        })
    }
}

impl Gathered {
    fn add(&mut self, record: &Record, row: Row, window: Window) {
        let judged: BTreeMap<u64, &Sent> = record
            .sent
            .iter()
            .filter(|sent| (window.from_us..window.until_us).contains(&sent.planned_us))
            .map(|sent| (sent.number, sent))
            .collect();
        let ttl = if row.class == Class::Reliable {
            RELIABLE_TTL
        } else {
            LATEST_TTL
        };
        let mut seen = BTreeSet::new();
        for arrival in &record.arrivals {
            let Some(sent) = judged.get(&arrival.number) else {
                continue;
            };
            let delay_us = arrival.at_us.saturating_sub(sent.sent_us);
            self.stale += usize::from(u128::from(delay_us) > ttl.as_micros());
            if seen.insert(arrival.number) {
                self.delays_us.push(delay_us);
            } else {
                self.twice += 1;
            }
        }
        self.sent += judged.len();
        if let Some(first) = record.arrivals.first() {
            self.firsts_us
                .push(first.at_us.saturating_sub(record.began_us));
        }
        let newer = newer(&record.arrivals);
        self.longest_gap_us = self.longest_gap_us.max(longest_gap_us(&newer, window));
        if row.class == Class::Latest && row.rate_hz == SLOTS_HZ {
            self.add_slots(record, &judged, &newer);
        }
        if let Some(confirmed) = &record.confirmed {
            let arrived: BTreeSet<u64> = record
                .arrivals
                .iter()
                .map(|arrival| arrival.number)
                .collect();
            let wrong = confirmed.iter().filter(|number| !arrived.contains(number));
            *self.false_receipts.get_or_insert(0) += wrong.count();
        }
        if let Some(back_us) = window.back_us {
            let first = record
                .arrivals
                .iter()
                .find(|arrival| arrival.at_us >= back_us);
            self.back_us
                .extend(first.map(|first| first.at_us - back_us));
        }
    }

    /// A slot lasts from when a command can be there at the earliest until the next one can.
    fn add_slots(&mut self, record: &Record, judged: &BTreeMap<u64, &Sent>, newer: &[Arrival]) {
        let sent_us: BTreeMap<u64, u64> = record
            .sent
            .iter()
            .map(|sent| (sent.number, sent.sent_us))
            .collect();
        let delay_us = u64::try_from(NETWORK_DELAY.as_micros()).unwrap_or(u64::MAX);
        let slot_us = 1_000_000 / u64::from(SLOTS_HZ);
        for sent in judged.values() {
            let begin = sent.planned_us + delay_us;
            let end = begin + slot_us;
            let before = newer.partition_point(|arrival| arrival.at_us < end);
            let newest = before.checked_sub(1).and_then(|index| newer.get(index));
            self.slots += 1;
            self.covered += usize::from(newest.is_some_and(|newest| newest.at_us >= begin));
            // Before its first command a vehicle has none to be old; the first slot counts from the span's begin then.
            let made = newest.and_then(|newest| sent_us.get(&newest.number).copied());
            let made = made.or_else(|| judged.values().next().map(|first| first.sent_us));
            self.ages_us
                .extend(made.map(|made| end.saturating_sub(made)));
        }
    }
}

/// Arrivals that were newer than all before.
fn newer(arrivals: &[Arrival]) -> Vec<Arrival> {
    let mut newest = None;
    arrivals
        .iter()
        .filter(|arrival| {
            let is_newer = newest.is_none_or(|newest| arrival.number > newest);
            if is_newer {
                newest = Some(arrival.number);
            }
            is_newer
        })
        .copied()
        .collect()
}

/// The longest time of the span without anything newer.
fn longest_gap_us(newer: &[Arrival], window: Window) -> u64 {
    let inside = newer
        .iter()
        .map(|arrival| arrival.at_us)
        .filter(|at| (window.from_us..window.until_us).contains(at));
    let mut last = window.from_us;
    let mut longest = 0;
    for at in inside.chain([window.until_us]) {
        longest = longest.max(at - last);
        last = at;
    }
    longest
}

/// Of so many of 1,000, when at least [`BEYOND_MIN`] lie beyond.
fn quantile_ms(sorted_us: &[u64], permille: usize) -> Option<f64> {
    let place = (sorted_us.len() * permille).div_ceil(1_000);
    let beyond = sorted_us.len() - place;
    let value = place.checked_sub(1).and_then(|index| sorted_us.get(index));
    value.filter(|_| beyond >= BEYOND_MIN).map(|us| ms(*us))
}

/// The middle one of so many, of which those that are missing are the largest.
fn middle(values: &[u64], of: usize) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(of.saturating_sub(1) / 2).copied()
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// As JSON and tables have it.
pub fn class_name(class: Class) -> &'static str {
    match class {
        Class::Latest => "latest",
        Class::Unordered => "unordered",
        Class::Reliable => "reliable",
        Class::Stop => "stop",
    }
}

/// The mean of what users feel as at once.
const WITHIN_US: u64 = 50_000;
/// A quantile with fewer samples beyond it is chance.
const BEYOND_MIN: usize = 10;
/// Slots are told for this rate.
const SLOTS_HZ: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weak::case;

    const WINDOW: Window = Window {
        from_us: 1_000_000,
        until_us: 3_000_000,
        back_us: None,
    };

    /// 50 a second for four seconds; of those `lost` picks none arrives, the others after 21 ms.
    fn record(lost: impl Fn(u64) -> bool) -> Record {
        let sent = (0..200).map(|number| Sent {
            number,
            planned_us: number * 20_000,
            sent_us: number * 20_000,
        });
        let arrivals = (0..200)
            .filter(|number| !lost(*number))
            .map(|number| Arrival {
                number,
                at_us: number * 20_000 + 21_000,
            });
        Record {
            began_us: 0,
            sent: sent.collect(),
            arrivals: arrivals.collect(),
            confirmed: None,
        }
    }

    fn figures(records: &[Record]) -> Figures {
        let case = &case::promises()[0];
        let row = Row {
            peer: crate::weak::contestant::Peer::RawUdp,
            class: Class::Latest,
            rate_hz: 50,
        };
        Figures::new(case, row, 1, records, WINDOW, 20_000)
    }

    #[test]
    fn messages_of_the_span_count_and_no_other() {
        let figures = figures(&[record(|number| number < 50 || number == 60)]);
        assert_eq!(figures.sent, 100);
        assert_eq!(figures.delivered_pct, 99.0);
        assert_eq!((figures.mean_ms, figures.max_ms), (Some(21.0), Some(21.0)));
        assert_eq!(figures.bytes_per_message, 200.0);
        assert_eq!(figures.longest_gap_ms, 40.0);
        assert_eq!(figures.first_message_ms, Some(1_021.0));
    }

    #[test]
    fn a_quantile_needs_ten_samples_beyond_it() {
        let few = figures(&[record(|_| false)]);
        assert_eq!(
            (few.p50_ms, few.p99_ms, few.p999_ms),
            (Some(21.0), None, None)
        );
        let many: Vec<Record> = (0..10).map(|_| record(|_| false)).collect();
        assert_eq!(
            (figures(&many).p99_ms, figures(&many).p999_ms),
            (Some(21.0), None)
        );
    }

    #[test]
    fn a_slot_is_covered_when_something_newer_came_in_it() {
        let whole = figures(&[record(|_| false)]);
        assert_eq!(whole.covered_slots_pct, Some(100.0));
        let ages =
            [record(|number| number % 2 == 0), record(|_| true)].map(|record| figures(&[record]));
        assert_eq!(ages[0].covered_slots_pct, Some(50.0));
        assert_eq!(ages[1].covered_slots_pct, Some(0.0));
        // A command of 40 ms at a covered slot's end is 60 ms old one slot later.
        let many: Vec<Record> = (0..10).map(|_| record(|number| number % 2 == 0)).collect();
        assert_eq!(figures(&many).age_p99_ms, Some(60.0));
    }

    #[test]
    fn what_comes_twice_or_late_is_counted_and_not_delivered_twice() {
        let mut record = record(|number| number >= 100);
        record.arrivals.push(Arrival {
            number: 99,
            at_us: 2_900_000,
        });
        let figures = figures(&[record]);
        assert_eq!((figures.twice, figures.stale), (1, 1));
        assert_eq!(figures.delivered_pct, 50.0);
    }

    #[test]
    fn a_pair_that_never_got_a_message_is_slower_than_all_others() {
        assert_eq!(middle(&[7], 3), None);
        assert_eq!(middle(&[9, 7], 3), Some(9));
        assert_eq!(figures(&[record(|_| true)]).silent_pairs, 1);
        assert_eq!(figures(&[record(|_| true)]).longest_gap_ms, 2_000.0);
    }
}
