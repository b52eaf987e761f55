//! What is printed, and written into the documentation.

use std::path::Path;

use anyhow::Context;

use super::case::{BITS_PER_S, Case, DELAY, QUEUE, Row};
use super::cold_start::ColdStart;
use super::contestant::Peer;
use super::figures::{Figures, class_name};
use super::measure::{Batch, Machine, Pace};

/// Results so far.
pub struct Report {
    json: bool,
    figures: Vec<Figures>,
    notes: Vec<String>,
    seed: u64,
    case: String,
}

impl Report {
    /// Says the question and the method.
    pub fn new(json: bool, seed: u64, pace: &Pace, cases: &[Case], skipped: &[String]) -> Report {
        eprintln!(
            "Question: what do reliable messages and driving commands suffer on weak networks, beside what others would choose?\n\
             Method: real programs in network namespaces, joined by the emulator of tests/wan: {} ms one way on each vehicle's \
             and each controller's access, {} Mbit/s for each link and direction with {} ms of queue, loss of each packet for \
             itself and both ways unless the case says otherwise. {} vehicles at once, each with a controller and accesses of \
             its own; bodies of {} bytes, at least {} messages a cell. A delay runs from just before the send call (from the \
             plan when the sender was held up) to the receiver beside the vehicle's program, on CLOCK_BOOTTIME. Messages count \
             from 1 s after every vehicle got its first, at most {} s; what has not come {} s after their end is not \
             delivered. Quantiles are of what was delivered and need 10 samples beyond them. Bytes are those put on the \
             vehicle's links, both ways, with IP headers, lost ones too. Raw UDP beside each shows what network and machine \
             do themselves. Seed {seed}.\n",
            DELAY.as_millis(),
            BITS_PER_S / 1_000_000,
            QUEUE.as_millis(),
            pace.pairs,
            super::arrivals::BODY_BYTES,
            pace.messages,
            pace.patience.as_secs(),
            pace.drain.as_secs(),
        );
        for peer in used(cases) {
            eprintln!("{}: {}", peer.name(), peer.configuration());
        }
        eprintln!();
        for line in skipped {
            eprintln!("{line}");
        }
        Report {
            json,
            figures: Vec::new(),
            notes: skipped.to_vec(),
            seed,
            case: String::new(),
        }
    }

    /// What is measured next.
    pub fn progress(&self, case: &Case, rows: &[Row]) {
        let names: Vec<String> = rows
            .iter()
            .map(|row| {
                format!(
                    "{} {} {}/s",
                    row.peer.name(),
                    class_name(row.class),
                    row.rate_hz
                )
            })
            .collect();
        eprintln!("{}: {}", case.name, names.join("; "));
    }

    /// Prints a batch.
    pub fn add(&mut self, batch: Batch) {
        let Batch { figures, machine } = batch;
        for figures in figures {
            if self.json {
                println!("{}", with_machine(figures.json(), &machine));
            } else {
                if self.case != figures.case {
                    self.case.clone_from(&figures.case);
                    println!("\n{}\n{}", self.case, head());
                }
                println!("{}", row(&figures));
            }
            self.figures.push(figures);
        }
        if !self.json {
            println!("{}", machine_line(&machine));
        }
    }

    /// Prints a cold start.
    pub fn add_cold_start(&mut self, result: &ColdStart) {
        if self.json {
            println!("{}", result.json());
        } else {
            println!("\n{}", result.line());
        }
        self.notes.push(result.line());
    }

    /// What was left out, once more where it is seen.
    pub fn end(&self) {
        for note in self.notes.iter().filter(|note| note.starts_with("SKIPPED")) {
            eprintln!("{note}");
        }
    }

    pub fn figures(&self) -> &[Figures] {
        &self.figures
    }

    /// Replaces what is between a document's marks.
    pub fn write_into(&self, file: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(file)?;
        let (before, rest) = text.split_once(BEGIN).context("no mark weak:begin")?;
        let (_, after) = rest.split_once(END).context("no mark weak:end")?;
        let text = format!("{before}{BEGIN}\n{}\n{END}{after}", self.markdown());
        Ok(std::fs::write(file, text)?)
    }

    fn markdown(&self) -> String {
        let mut text = format!("Seed {}. Times in ms.\n\n", self.seed);
        text += "| case | links, relays | peer | class, rate | delivered % | within 50 ms % | mean | p50 | p99 | p99.9 | max \
                 | longest gap | bytes a message | first message | covered slots %, age p99, p99.9 | stale, twice | back after |\n";
        text += "| --- | --- | --- | --- |";
        text += &" ---: |".repeat(13);
        text += "\n";
        for figures in &self.figures {
            text += &format!("| {} |\n", cells(figures).join(" | "));
        }
        for note in &self.notes {
            text += &format!("\n{note}.\n");
        }
        text
    }
}

fn used(cases: &[Case]) -> Vec<Peer> {
    let mut peers = vec![Peer::RawUdp];
    for row in cases.iter().flat_map(|case| &case.rows) {
        if !peers.contains(&row.peer) {
            peers.push(row.peer);
        }
    }
    peers
}

fn cells(figures: &Figures) -> Vec<String> {
    let Figures { row, .. } = figures;
    let optional = |value: Option<f64>| value.map_or("-".into(), number);
    let slots = figures.covered_slots_pct.map_or("-".into(), |covered| {
        let (p99, p999) = (optional(figures.age_p99_ms), optional(figures.age_p999_ms));
        format!("{covered:.2}, {p99}, {p999}")
    });
    vec![
        figures.case.clone(),
        format!("{}, {}", figures.links, figures.relays),
        row.peer.name().into(),
        format!("{} {}/s", class_name(row.class), row.rate_hz),
        format!("{:.2}", figures.delivered_pct),
        format!("{:.2}", figures.within_50ms_pct),
        optional(figures.mean_ms),
        optional(figures.p50_ms),
        optional(figures.p99_ms),
        optional(figures.p999_ms),
        optional(figures.max_ms),
        number(figures.longest_gap_ms),
        format!("{:.0}", figures.bytes_per_message),
        figures.first_message_ms.map_or("never".into(), number),
        slots,
        format!("{}, {}", figures.stale, figures.twice),
        optional(figures.back_after_ms),
    ]
}

/// One row of the table on the terminal.
fn row(figures: &Figures) -> String {
    let cells = cells(figures);
    let [_, ways, peer, flow, rest @ ..] = cells.as_slice() else {
        return String::new();
    };
    let mut line = format!("{peer:<21}{flow:<16}{ways:<5}");
    for (cell, width) in rest.iter().zip(WIDTHS) {
        line += &format!("{cell:>width$}");
    }
    if let Some(wrong) = figures.false_receipts.filter(|wrong| *wrong > 0) {
        line += &format!("  {wrong} FALSE RECEIPTS");
    }
    if figures.silent_pairs > 0 {
        line += &format!("  {} vehicles got nothing", figures.silent_pairs);
    }
    line
}

fn head() -> String {
    let mut line = format!("{:<21}{:<16}{:<5}", "ms", "", "l, r");
    for (name, width) in HEADS.iter().zip(WIDTHS) {
        line += &format!("{name:>width$}");
    }
    line
}

fn number(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn machine_line(machine: &Machine) -> String {
    let (sent, lost) = machine.control;
    let late = &machine.lateness;
    let ordinary = if machine.is_realtime {
        ""
    } else {
        " (an ordinary thread: chrt failed)"
    };
    format!(
        "  machine: lost {lost} of {sent} control datagrams; emulator late by p50 {} p99 {} p99.9 {} max {} µs{ordinary}; \
         processors {:.0} % busy; {} stray packets",
        late.at_us(500),
        late.at_us(990),
        late.at_us(999),
        late.max_us(),
        100.0 * machine.busy,
        machine.strays,
    )
}

fn with_machine(mut object: serde_json::Value, machine: &Machine) -> serde_json::Value {
    let (sent, lost) = machine.control;
    if let Some(fields) = object.as_object_mut() {
        for (name, value) in [
            ("machine_lost_pct", 100.0 * lost as f64 / sent.max(1) as f64),
            ("emulator_late_p99_us", machine.lateness.at_us(990) as f64),
            ("emulator_late_max_us", machine.lateness.max_us() as f64),
            ("processors_busy_pct", 100.0 * machine.busy),
        ] {
            fields.insert(name.into(), value.into());
        }
    }
    object
}

const HEADS: [&str; 13] = [
    "dlv %",
    "≤50 %",
    "mean",
    "p50",
    "p99",
    "p99.9",
    "max",
    "gap",
    "B/msg",
    "first",
    "slots %, age p99/9",
    "stale,twice",
    "back",
];
const WIDTHS: [usize; 13] = [8, 8, 7, 7, 7, 7, 8, 8, 8, 8, 21, 12, 7];
const BEGIN: &str = "<!-- weak:begin -->";
const END: &str = "<!-- weak:end -->";
