//! `longrein dictionary`: trains dictionaries for compression, without any network.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use longrein_io::exit::Exit;
use longrein_io::files::write_atomic;
use longrein_proto::base::limits::DICTIONARY_BYTES_MAX;
use longrein_proto::session::Dictionary;
use serde_json::json;

use super::failure::Failure;
use super::output;
use crate::dictionary::{Samples, Shape, Trial, train};

/// What to do with dictionaries.
#[derive(Debug, Subcommand)]
pub enum DictionaryVerb {
    /// Train a dictionary on messages like those to come, and say what it saves
    ///
    /// Every fifth run of ten messages is held out: the others make the dictionary, and these say what it saves. Give at least
    /// 100 messages; thousands from several vehicles are better. The dictionary contains parts of them.
    ///
    /// Then name the file in a `[[dictionary]]` section of the agents and the controllers, all the same file. An end that
    /// lacks it gets its messages uncompressed.
    #[command(
        after_help = "Examples:\n  longrein dictionary train --lines --out telemetry.zdict recorded/*.jsonl\n  \
                      longrein dictionary train --mavlink --out mavlink.zdict flight.tlog\n\n\
                      Exit codes: 0 done, 1 failed, 2 usage."
    )]
    Train(TrainArgs),
}

/// Arguments of `dictionary train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The samples: each file is one message, unless --lines or --mavlink is given
    #[arg(value_name = "FILES", required = true)]
    pub files: Vec<PathBuf>,

    /// Where the dictionary is written; only its owner may read it
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// The dictionary's number, 1 to 65535; no two of a fleet may share one [default: one from 32768 on that follows from its content]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub id: Option<u16>,

    /// Most bytes of the dictionary, 256 to 114688; more help only when messages differ much
    #[arg(long, value_name = "BYTES", default_value_t = SIZE, value_parser = clap::value_parser!(u32).range(256..=SIZE_MAX))]
    pub size: u32,

    /// Each line of the files is one message, as of JSON lines
    #[arg(long, conflicts_with = "mavlink")]
    pub lines: bool,

    /// Each MAVLink frame in the files is one message; they are raw streams or .tlog recordings
    #[arg(long)]
    pub mavlink: bool,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

impl TrainArgs {
    fn shape(&self) -> Shape {
        match (self.lines, self.mavlink) {
            (true, _) => Shape::Lines,
            (_, true) => Shape::Mavlink,
            (false, false) => Shape::Whole,
        }
    }
}

/// Makes the dictionary and prints what it saves.
///
/// # Errors
/// What is wrong with the samples, or the system refuses.
pub fn run(verb: &DictionaryVerb) -> Result<(), Failure> {
    let DictionaryVerb::Train(args) = verb;
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error);
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
    let samples = Samples::read(&args.files, args.shape()).map_err(|error| usage(&error))?;
    let size = usize::try_from(args.size).unwrap_or(DICTIONARY_BYTES_MAX);
    let bytes = train(&samples.training, size, args.id).map_err(|error| usage(&error))?;
    let dictionary = Dictionary::new(&bytes, None).map_err(|error| failed(&error))?;
    let id = dictionary.id();
    let with = Trial::run(Some(dictionary), &samples.held_out).map_err(|error| failed(&error))?;
    let without = Trial::run(None, &samples.held_out).map_err(|error| failed(&error))?;
    write_atomic(&args.out, &bytes).map_err(|error| failed(&error))?;
    let report = Report {
        args,
        samples: &samples,
        id,
        bytes: bytes.len(),
        with: &with,
        without: &without,
    };
    if args.json {
        output::print([report.json().to_string()])?;
    } else {
        output::print(report.lines())?;
        eprintln!(
            "name {} in a [[dictionary]] section of the agents and the controllers",
            args.out.display()
        );
    }
    Ok(())
}

struct Report<'a> {
    args: &'a TrainArgs,
    samples: &'a Samples,
    id: u16,
    bytes: usize,
    with: &'a Trial,
    without: &'a Trial,
}

impl Report<'_> {
    fn lines(&self) -> [String; 6] {
        let tried = self.with.messages.len();
        let mean = |bytes: usize| bytes / tried.max(1);
        [
            format!(
                "samples     {} to train, {tried} held out",
                self.samples.training.len()
            ),
            format!(
                "dictionary  {}: number {}, {} bytes",
                self.args.out.display(),
                self.id,
                self.bytes
            ),
            format!(
                "ratio       {:.2}: {} bytes a message become {}; without a dictionary {:.2}",
                self.with.ratio(),
                mean(self.with.plain_bytes()),
                mean(self.with.packed_bytes()),
                self.without.ratio()
            ),
            format!(
                "left alone  {} of {tried}: they would not get smaller",
                self.with.left_alone()
            ),
            format!("compress    {:.1} µs a message", self.compress_us()),
            format!("decompress  {:.1} µs a message", self.decompress_us()),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "samples": self.samples.training.len() + self.samples.held_out.len(),
            "held_out": self.with.messages.len(),
            "file": self.args.out.display().to_string(),
            "id": self.id,
            "dictionary_bytes": self.bytes,
            "ratio": self.with.ratio(),
            "ratio_without": self.without.ratio(),
            "plain_bytes": self.with.plain_bytes(),
            "packed_bytes": self.with.packed_bytes(),
            "left_alone": self.with.left_alone(),
            "compress_us": self.compress_us(),
            "decompress_us": self.decompress_us(),
        })
    }

    fn compress_us(&self) -> f64 {
        let tried = self.with.messages.iter().map(|one| one.compress);
        mean_us(tried.sum(), self.with.messages.len())
    }

    fn decompress_us(&self) -> f64 {
        let packed = self.with.messages.len() - self.with.left_alone();
        let back = self.with.messages.iter().map(|one| one.decompress);
        mean_us(back.sum(), packed)
    }
}

fn mean_us(total: Duration, count: usize) -> f64 {
    total.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Bytes of a dictionary when nothing else is asked for: twice as many do not help telemetry of one kind.
const SIZE: u32 = 16 * 1024;
/// [`DICTIONARY_BYTES_MAX`] for the command line.
const SIZE_MAX: i64 = 112 * 1024;

const _: () = assert!(SIZE_MAX == DICTIONARY_BYTES_MAX as i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_trained_on_lines_and_written() {
        let name = format!("longrein-{}-dictionary", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let line = |number: u32| {
            let speed = number * 7_919 % 3_000;
            format!("{{\"type\":\"status\",\"at\":{number},\"speed_mm_s\":{speed}}}\n")
        };
        let samples = folder.join("samples.jsonl");
        std::fs::write(&samples, (0..500).map(line).collect::<String>()).unwrap();
        let mut args = TrainArgs {
            files: vec![samples],
            out: folder.join("status.zdict"),
            id: Some(9),
            size: 2_048,
            lines: true,
            mavlink: false,
            json: false,
        };
        run(&DictionaryVerb::Train(TrainArgs {
            out: args.out.clone(),
            files: args.files.clone(),
            ..args
        }))
        .unwrap();
        let written = std::fs::read(&args.out).unwrap();
        assert_eq!(Dictionary::new(&written, None).unwrap().id(), 9);

        args.lines = false;
        let failure = run(&DictionaryVerb::Train(args)).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(
            failure.to_string().starts_with("1 samples, and"),
            "{failure}"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
