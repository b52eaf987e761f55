//! One direction of a link, as its packets meet it.

use std::time::Duration;

use longrein_proto::base::MonoTime;

use crate::bucket::Bucket;
use crate::{Burst, Chance, Link, Queue};

/// What one direction of a link remembers from packet to packet; the paths over a link share it, and its fate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Medium {
    /// A burst is on.
    bad: bool,
    /// When a burst that goes by time begins or ends.
    turns_at: MonoTime,
    /// When the queue is empty.
    free_at: MonoTime,
    policer: Option<Bucket>,
}

impl Medium {
    /// How long a packet takes through queue and air beside the link's delay; none when it is lost.
    pub(crate) fn carry(
        &mut self,
        now: MonoTime,
        link: &Link,
        bytes: usize,
        chance: &mut Chance,
    ) -> Option<Duration> {
        if let Some(policer) = link.policer {
            let bucket = self.policer.get_or_insert(Bucket::new(
                now,
                policer.bytes_per_s,
                policer.burst_bytes,
            ));
            if !bucket.take(now, bytes) {
                return None;
            }
        }
        let queued = match link.queue {
            Some(queue) => self.queue(now, queue, bytes)?,
            None => Duration::ZERO,
        };
        if chance.happens(link.loss) {
            return None;
        }
        if let Some(burst) = link.burst
            && self.burst_takes(now, burst, chance)
        {
            return None;
        }
        let jitter_us = u64::try_from(link.jitter.as_micros()).unwrap_or(0);
        Some(queued + Duration::from_micros(chance.below(jitter_us + 1)))
    }

    /// How long a packet would wait in the queue now.
    pub(crate) fn wait(&self, now: MonoTime) -> Duration {
        self.free_at.since(now)
    }

    /// The wait in a queue that drops what does not fit.
    fn queue(&mut self, now: MonoTime, queue: Queue, bytes: usize) -> Option<Duration> {
        let seconds = |bytes: u64| Duration::from_secs_f64(bytes as f64 / queue.bytes_per_s as f64);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let wait = self.free_at.since(now);
        if wait + seconds(bytes) > seconds(queue.bytes_max) {
            return None;
        }
        self.free_at = self.free_at.max(now) + seconds(bytes);
        Some(self.free_at.since(now))
    }

    /// Gilbert-Elliott: whether the packet falls into a burst and is lost there.
    fn burst_takes(&mut self, now: MonoTime, burst: Burst, chance: &mut Chance) -> bool {
        let loss = match burst {
            Burst::Packets { apart, long, loss } => {
                let length = if self.bad { long } else { apart };
                if chance.happens(1.0 / f64::from(length.max(1))) {
                    self.bad = !self.bad;
                }
                loss
            }
            Burst::Time { apart, long, loss } => {
                while self.turns_at <= now {
                    let first = self.turns_at == MonoTime::ZERO;
                    self.bad = !self.bad && !first;
                    let mean = if self.bad { long } else { apart };
                    let from = if first { now } else { self.turns_at };
                    self.turns_at = from + chance.around(mean).max(Duration::from_micros(1));
                }
                loss
            }
        };
        self.bad && chance.happens(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policer;

    /// Packets of 1,000 bytes, one each millisecond: how long each takes.
    fn through(link: &Link, packets: u64) -> Vec<Option<Duration>> {
        let (mut medium, mut chance) = (Medium::default(), Chance::new(1));
        (1..=packets)
            .map(|ms| medium.carry(MonoTime::from_us(ms * 1_000), link, 1_000, &mut chance))
            .collect()
    }

    /// Share of lost packets, and the mean length of their runs.
    fn losses(link: &Link) -> (f64, f64) {
        let packets = through(link, 200_000);
        let lost = packets.iter().filter(|packet| packet.is_none()).count() as f64;
        let ends = packets.windows(2);
        let runs = ends.filter(|pair| pair[0].is_none() && pair[1].is_some());
        (lost / packets.len() as f64, lost / runs.count() as f64)
    }

    #[test]
    fn bursts_have_their_length_and_distance_by_packets_and_by_time() {
        let by_packets = Burst::Packets {
            apart: 90,
            long: 10,
            loss: 1.0,
        };
        let by_time = Burst::Time {
            apart: Duration::from_millis(90),
            long: Duration::from_millis(10),
            loss: 1.0,
        };
        for burst in [by_packets, by_time] {
            let link = Link {
                burst: Some(burst),
                ..Link::good()
            };
            let (loss, run) = losses(&link);
            assert!((0.09..0.11).contains(&loss), "{burst:?} {loss}");
            assert!((9.0..12.0).contains(&run), "{burst:?} {run}");
        }
    }

    #[test]
    fn a_queue_delays_up_to_its_length_and_drops_the_rest() {
        let link = Link {
            queue: Some(Queue {
                bytes_per_s: 500_000,
                bytes_max: 100_000,
            }),
            ..Link::good()
        };
        let packets = through(&link, 1_000);
        let longest = packets.iter().flatten().max().copied();
        assert!(longest <= Some(Duration::from_millis(200)));
        assert!(longest >= Some(Duration::from_millis(195)));
        let passed = packets.iter().flatten().count();
        assert!((595..=605).contains(&passed), "{passed}");
    }

    #[test]
    fn a_policer_drops_what_is_over_its_rate_and_delays_nothing() {
        let link = Link {
            policer: Some(Policer {
                bytes_per_s: 500_000,
                burst_bytes: 100_000,
            }),
            ..Link::good()
        };
        let packets = through(&link, 1_000);
        assert!(packets.iter().flatten().all(Duration::is_zero));
        let passed = packets.iter().flatten().count();
        assert!((595..=605).contains(&passed), "{passed}");
    }
}
