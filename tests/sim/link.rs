//! One path's network: delay, loss, cuts, and what a hostile hand does to packets.

use std::time::Duration;

use longrein_proto::base::NodeKind;

/// How packets of one path travel.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// From the node to the relay.
    pub delay_up: Duration,
    /// From the relay to the node.
    pub delay_down: Duration,
    /// Added at random to each packet, so that it also reorders.
    pub jitter: Duration,
    /// Probability that a packet is lost, each way.
    pub loss: f64,
    /// Losses that come together, each way.
    pub burst: Option<Burst>,
    /// Probability that a packet arrives once more, and then again, up to ten times.
    pub duplicates: f64,
    /// The bottleneck's queue, each way.
    pub queue: Option<Queue>,
    /// The rate that the carrier holds us to, each way.
    pub policer: Option<Policer>,
    /// Nothing gets from the node to the relay.
    pub cut_up: bool,
    /// Nothing gets from the relay to the node.
    pub cut_down: bool,
}

impl Link {
    /// 10 ms each way and nothing wrong.
    pub const fn good() -> Link {
        Link {
            delay_up: Duration::from_millis(10),
            delay_down: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: None,
            duplicates: 0.0,
            queue: None,
            policer: None,
            cut_up: false,
            cut_down: false,
        }
    }

    /// The same at 1 Mbit/s, behind a queue of 100 ms.
    pub const fn access() -> Link {
        Link {
            queue: Some(Queue {
                bytes_per_s: 125_000,
                bytes_max: 12_500,
            }),
            ..Link::good()
        }
    }

    /// Cuts both directions, or mends them.
    pub fn set_cut(&mut self, cut: bool) {
        (self.cut_up, self.cut_down) = (cut, cut);
    }
}

/// Times of heavy loss, after Gilbert and Elliott.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Burst {
    /// They pass with the packets: who sends more gets through them sooner.
    Packets {
        /// Packets between bursts, in the mean.
        apart: u32,
        /// Packets in a burst, in the mean.
        long: u32,
        /// Probability that a packet in a burst is lost.
        loss: f64,
    },
    /// They pass with time, as a tunnel or a bridge does.
    Time {
        /// Time between bursts, in the mean.
        apart: Duration,
        /// Length of a burst, in the mean.
        long: Duration,
        /// Probability that a packet in a burst is lost.
        loss: f64,
    },
}

/// A bottleneck: what comes too fast waits, and what does not fit is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// What leaves it.
    pub bytes_per_s: u64,
    /// What it holds.
    pub bytes_max: u64,
}

/// A policer: what comes too fast is lost at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policer {
    /// What passes for long.
    pub bytes_per_s: u64,
    /// What passes at once.
    pub burst_bytes: u64,
}

/// What a hostile relay does with the envelopes that it forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// Nothing yet.
    Nothing,
    /// Flips a bit of every ciphertext.
    Corrupt,
    /// Sends envelopes of its own with higher numbers under the same session.
    Forge,
    /// Sends every envelope again, many times, now and later.
    Replay,
    /// Shuffles envelopes within 200 ms.
    Reorder,
    /// Holds every envelope for 5 s, beyond every time to live of a command.
    Delay,
    /// The same, and only of envelopes to nodes of this kind.
    DelayTo(NodeKind),
    /// Acknowledges on the leg and forwards nothing.
    Swallow,
    /// Drops packets with envelopes in them as if they had never come.
    Drop,
    /// Hands envelopes to the other nodes of their addressee's kind instead.
    Swap,
    /// Lets envelopes pass, says now that a vehicle is there and now that it is not, and names vehicles that do not exist.
    Presence,
    /// Lets envelopes pass, but answers and repeats handshakes with steps of its own making, and floods the agent with
    /// others of the same session.
    Handshake,
    /// Lets envelopes pass, and as the fleet's hub says those to vehicles once more, in all words that a hub has.
    Hub,
    /// Lets envelopes pass, but refuses every route.
    Refuse,
    /// Hoards beats for nodes of this kind and lets them go one by one, 300 ms apart, so that dead ones seem to live.
    Hoard(NodeKind),
}
