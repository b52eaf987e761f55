//! Question: how many bytes does a trained dictionary save of JSON telemetry and of MAVLink frames, and what time does it take?

mod mavlink;
mod telemetry;

use longrein::dictionary::{Measured, Trial, train};
use longrein_proto::base::limits::{SEAL_TAG_BYTES, WIRE_OVERHEAD_BYTES};
use longrein_proto::base::{Channel, Class, Flow, SessionId};
use longrein_proto::session::Dictionary;
use longrein_proto::wire::{
    AckState, Chunk, Content, Packet, Parcel, PathReport, SealedHeader, Telemetry, Trail,
};
use longrein_tests::Chance;

use self::mavlink::Autopilot;
use self::telemetry::Truck;
use super::spread::Spread;

#[derive(Debug, clap::Args)]
pub struct CompressArgs {
    /// Seed of the messages
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Most bytes of each dictionary
    #[arg(long, default_value_t = 16 * 1024, value_parser = clap::value_parser!(u32).range(256..=114_688))]
    size: u32,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
}

/// Messages with the row that they count for.
type Messages = Vec<(&'static str, Vec<u8>)>;

pub fn run(args: &CompressArgs) -> anyhow::Result<()> {
    eprintln!(
        "Question: how many bytes does a trained dictionary save, and what time does it take?\n\
         Method: messages are generated from seed {}; a dictionary of at most {} bytes is trained on {TRAINING} vehicles and tried \
         on {TRIED} others, at other places. Each message is encoded as the agent does it, compressed and decompressed as a \
         session does it, in this thread; times are of one message. Bytes on the wire are of the packet that carries it alone, \
         an hour into a session, with {WIRE_OVERHEAD_BYTES} bytes of QUIC, UDP and IP, on one path.\n",
        args.seed, args.size
    );
    let mut holds = true;
    if !args.json {
        println!("{}", Row::head());
    }
    for (kind, generate) in [
        ("JSON telemetry", trucks as fn(&mut Chance, u64) -> Messages),
        ("MAVLink", autopilots),
    ] {
        let mut chance = Chance::new(args.seed);
        let training: Vec<Vec<u8>> = (0..TRAINING)
            .flat_map(|number| generate(&mut chance, number))
            .map(|(_, message)| message)
            .collect();
        let tried: Messages = (TRAINING..TRAINING + TRIED)
            .flat_map(|number| generate(&mut chance, number))
            .collect();
        let messages: Vec<&[u8]> = tried.iter().map(|(_, message)| &message[..]).collect();
        let dictionary = Dictionary::new(&train(&training, args.size.try_into()?, None)?, None)?;
        let with = Trial::run(Some(dictionary), &messages)?;
        let without = Trial::run(None, &messages)?;
        let mut names: Vec<&str> = tried.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        let all = (names.len() > 1).then_some(kind);
        for name in names.into_iter().chain(all) {
            let wanted = |of: &str| name == kind || of == name;
            let of = |trial: &Trial| -> Vec<Measured> {
                let pairs = tried.iter().zip(&trial.messages);
                let of_row = pairs.filter(|((of, _), _)| wanted(of));
                of_row.map(|(_, measured)| *measured).collect()
            };
            let row = Row::of(name, of(&with), of(&without));
            holds &= row.larger == 0 && (name != "JSON telemetry" || row.ratio() >= RATIO_MIN);
            if args.json {
                println!("{}", row.json());
            } else {
                println!("{}", row.text());
            }
        }
    }
    if args.json {
        println!("{}", serde_json::json!({"holds": holds}));
    } else {
        println!(
            "\nJSON telemetry at least {RATIO_MIN} times smaller, and no message larger: {}",
            if holds { "holds" } else { "does not hold" }
        );
    }
    Ok(())
}

/// What one kind of message becomes.
struct Row {
    name: &'static str,
    plain: usize,
    packed: usize,
    packed_without: usize,
    wire: usize,
    wire_packed: usize,
    count: usize,
    left_alone: usize,
    larger: usize,
    compress_ns: Spread,
    decompress_ns: Spread,
}

impl Row {
    fn of(name: &'static str, with: Vec<Measured>, without: Vec<Measured>) -> Row {
        let sum = |of: fn(&Measured) -> usize| with.iter().map(of).sum();
        let alone = |one: &&Measured| one.packed == one.plain;
        Row {
            name,
            plain: sum(|one| one.plain),
            packed: sum(|one| one.packed),
            packed_without: without.iter().map(|one| one.packed).sum(),
            wire: sum(|one| wire_bytes(one.plain)),
            wire_packed: sum(|one| wire_bytes(one.packed)),
            count: with.len(),
            left_alone: with.iter().filter(alone).count(),
            larger: with.iter().filter(|one| one.packed > one.plain).count(),
            compress_ns: Spread::of(with.iter().map(|one| ns(one.compress)).collect()),
            decompress_ns: Spread::of(
                with.iter()
                    .filter(|one| one.packed < one.plain)
                    .map(|one| ns(one.decompress))
                    .collect(),
            ),
        }
    }

    fn ratio(&self) -> f64 {
        self.plain as f64 / self.packed.max(1) as f64
    }

    fn ratio_without(&self) -> f64 {
        self.plain as f64 / self.packed_without.max(1) as f64
    }

    fn mean(&self, bytes: usize) -> f64 {
        bytes as f64 / self.count.max(1) as f64
    }

    fn head() -> String {
        format!(
            "{:<20}{:>7}{:>8}{:>8}{:>7}{:>9}{:>7}{:>7}{:>8}{:>15}{:>15}",
            "bytes a message",
            "count",
            "plain",
            "packed",
            "ratio",
            "no dict.",
            "alone",
            "wire",
            "packed",
            "compress µs",
            "decompress µs"
        )
    }

    fn text(&self) -> String {
        let times = |spread: &Spread| format!("{:.1} / {:.1}", us(spread.p50), us(spread.p99));
        format!(
            "{:<20}{:>7}{:>8.1}{:>8.1}{:>7.2}{:>9.2}{:>7}{:>7.0}{:>8.0}{:>15}{:>15}",
            self.name,
            self.count,
            self.mean(self.plain),
            self.mean(self.packed),
            self.ratio(),
            self.ratio_without(),
            self.left_alone,
            self.mean(self.wire),
            self.mean(self.wire_packed),
            times(&self.compress_ns),
            times(&self.decompress_ns),
        )
    }

    fn json(&self) -> serde_json::Value {
        let times = |spread: &Spread| {
            serde_json::json!({
                "p50_us": us(spread.p50), "p99_us": us(spread.p99), "p999_us": us(spread.p999), "max_us": us(spread.max),
            })
        };
        serde_json::json!({
            "messages": self.name, "count": self.count, "left_alone": self.left_alone, "larger": self.larger,
            "plain_bytes": self.mean(self.plain), "packed_bytes": self.mean(self.packed),
            "ratio": self.ratio(), "ratio_without_dictionary": self.ratio_without(),
            "wire_bytes": self.mean(self.wire), "wire_packed_bytes": self.mean(self.wire_packed),
            "compress": times(&self.compress_ns), "decompress": times(&self.decompress_ns),
        })
    }
}

fn trucks(chance: &mut Chance, number: u64) -> Messages {
    let mut truck = Truck::new(number, Chance::new(chance.below(u64::MAX)));
    let name = "JSON telemetry";
    (0..PER_VEHICLE)
        .map(|_| (name, encoded(truck.next())))
        .collect()
}

fn autopilots(chance: &mut Chance, number: u64) -> Messages {
    let system = u8::try_from(number + 1).unwrap_or(u8::MAX);
    let mut autopilot = Autopilot::new(system, Chance::new(chance.below(u64::MAX)));
    (0..PER_VEHICLE)
        .flat_map(|_| autopilot.next())
        .map(|(name, frame)| (name, encoded(frame)))
        .collect()
}

fn encoded(bytes: Vec<u8>) -> Vec<u8> {
    Telemetry::Opaque(bytes).encode()
}

/// Bytes on the wire of the packet that carries a message of this length.
fn wire_bytes(message: usize) -> usize {
    let content = Content {
        sent_at_us: 0,
        dictionary: None,
        fragment: None,
        bytes: vec![0; message],
    };
    let sealed = vec![0; content.encode().len() + SEAL_TAG_BYTES];
    let header = SealedHeader {
        key_phase: 0,
        session: SessionId(1),
        flow: Flow::new(Channel::SESSION, Class::Latest),
        number: 18_000,
        ttl_ms: 500,
    };
    let parcel = Parcel::Sealed {
        header,
        ciphertext: sealed.into(),
    };
    let packet = Packet {
        path_sequence: 18_000,
        tx_time_us: 0,
        report: Some(PathReport {
            highest: 18_000,
            missing: 200,
            queue_100us: 15,
            hold_10us: 900,
        }),
        ack: AckState {
            cumulative: 300,
            bitmap: Vec::new(),
        },
        chunks: vec![Chunk::Untracked {
            trail: Trail {
                sender_10us: 5,
                relayed: None,
            },
            parcel: parcel.encode(),
        }],
    };
    packet.encode().len() + WIRE_OVERHEAD_BYTES
}

fn ns(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

/// Vehicles whose messages make the dictionary.
const TRAINING: u64 = 20;
/// Vehicles on whose messages it is tried.
const TRIED: u64 = 10;
/// Messages of each truck; an autopilot has two to four frames for each.
const PER_VEHICLE: usize = 500;
/// Target for JSON telemetry of 200 to 400 bytes.
const RATIO_MIN: f64 = 3.0;
