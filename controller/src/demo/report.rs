//! What became of the commands of a drive.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{AppliedCommand, AppliedLines};

/// What became of the commands of a drive: sent = applied + superseded + lost + late.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Numbers of the commands, and when the library was called for each, in µs of this machine's clock.
    #[serde(serialize_with = "count_of")]
    pub sent: BTreeMap<u64, u64>,
    /// How many took effect.
    pub applied: u64,
    /// How many arrived behind a newer one.
    pub superseded: u64,
    /// How many never arrived.
    pub lost: u64,
    /// How many took effect more than once.
    pub twice: u64,
    /// How many arrived after their time to live.
    pub late: u64,
    /// Longest time between two applied commands.
    pub longest_gap_ms: f64,
    /// From the application's call to the vehicle.
    pub delay_ms: Spread,
    /// When the relay was killed, from the first command.
    pub relay_killed_at_ms: u64,
    /// When the link was cut, from the first command.
    pub link_cut_at_ms: u64,
    /// Stages that the vehicle entered during the drive.
    pub stages: Vec<String>,
    /// The delay's parts; ways are the legs' estimates.
    pub legs_ms: BTreeMap<&'static str, Spread>,
    /// By the path of the first copy: how often it was first, and its delay.
    pub paths: BTreeMap<String, PathShare>,
}

/// How often a path was first, and how fast.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct PathShare {
    /// Commands whose first copy came over it.
    pub first: u64,
    /// Their delay.
    pub delay_ms: Spread,
}

/// A distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Half are below.
    pub p50: f64,
    /// 99 of 100 are below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Report {
    /// Adds what the agent wrote, and what it said was superseded and too late.
    pub fn count(&mut self, lines: &AppliedLines, (superseded, late): (u64, u64)) {
        let commands: Vec<&AppliedCommand> = lines
            .commands
            .iter()
            .filter(|command| command.channel == 1 && self.sent.contains_key(&command.number))
            .collect();
        let applied: BTreeSet<u64> = commands.iter().map(|command| command.number).collect();
        self.applied = len(applied.len());
        self.twice = len(commands.len() - applied.len());
        self.superseded = superseded;
        self.late = late;
        self.lost = len(self.sent.len()).saturating_sub(self.applied + superseded + late);
        let gaps = commands.windows(2).map(|pair| match pair {
            [before, after] => ms(after.applied_at_us.saturating_sub(before.applied_at_us)),
            _ => 0.0,
        });
        self.longest_gap_ms = gaps.fold(0.0, f64::max);
        self.delay_ms = Spread::of(
            commands
                .iter()
                .filter_map(|command| delay(&self.sent, command)),
        );
        let last = commands
            .last()
            .map_or(u64::MAX, |command| command.applied_at_us);
        let during = lines
            .stages
            .iter()
            .filter(|stage| stage.channel == 1 && stage.at_us <= last);
        self.stages = during.map(|stage| stage.stage.clone()).collect();
        self.legs_ms = legs(&commands);
        self.paths = paths(&self.sent, &commands);
    }

    /// Whether the promise holds: nothing lost, nothing twice, nothing late.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.late == 0 && !self.sent.is_empty()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "sent {}  applied {}  superseded {}  lost {}  twice {}  late {}\n\
             relay killed at {} ms, link cut at {} ms, longest gap between applied commands {:.1} ms\n\
             stages entered: {}\n\n{:<28}{:>9}{:>9}{:>9}\n",
            self.sent.len(),
            self.applied,
            self.superseded,
            self.lost,
            self.twice,
            self.late,
            self.relay_killed_at_ms,
            self.link_cut_at_ms,
            self.longest_gap_ms,
            self.stages.join(", "),
            "delay in ms",
            "p50",
            "p99",
            "max"
        );
        let mut row = |name: String, spread: Spread| {
            text += &format!(
                "{name:<28}{:>9.2}{:>9.2}{:>9.2}\n",
                spread.p50, spread.p99, spread.max
            );
        };
        row("controller to vehicle".into(), self.delay_ms);
        for (leg, spread) in &self.legs_ms {
            row(format!("  {leg}"), *spread);
        }
        for (path, share) in &self.paths {
            row(format!("{path} (first {})", share.first), share.delay_ms);
        }
        text += "the legs (1 to 5) are reported in steps of 10 \u{b5}s\n";
        text
    }
}

impl Spread {
    /// Of some values; zero of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |share: usize| {
            let index = (values.len() * share).div_ceil(1_000).saturating_sub(1);
            values.get(index).copied().unwrap_or_default()
        };
        Spread {
            p50: at(500),
            p99: at(990),
            max: at(1_000),
        }
    }
}

fn legs(commands: &[&AppliedCommand]) -> BTreeMap<&'static str, Spread> {
    type Part = fn(&AppliedCommand) -> Option<u64>;
    let parts: [(&str, Part); 5] = [
        ("1 controller", |command| command.controller_us),
        ("2 uplink", |command| command.uplink_us),
        ("3 relay", |command| command.relay_us),
        ("4 downlink", |command| command.downlink_us),
        ("5 agent", |command| {
            command
                .received_at_us
                .map(|at| command.applied_at_us.saturating_sub(at))
        }),
    ];
    parts
        .into_iter()
        .map(|(leg, part)| {
            (
                leg,
                Spread::of(commands.iter().filter_map(|command| part(command)).map(ms)),
            )
        })
        .collect()
}

fn paths(sent: &BTreeMap<u64, u64>, commands: &[&AppliedCommand]) -> BTreeMap<String, PathShare> {
    let mut by_path: BTreeMap<String, Vec<&AppliedCommand>> = BTreeMap::new();
    for command in commands {
        let unknown = || "unknown".to_owned();
        let link = command.link.clone().unwrap_or_else(unknown);
        let relay = command.relay.clone().unwrap_or_else(unknown);
        by_path
            .entry(format!("{link} via {relay}"))
            .or_default()
            .push(command);
    }
    let share = |commands: Vec<&AppliedCommand>| PathShare {
        first: len(commands.len()),
        delay_ms: Spread::of(
            commands
                .into_iter()
                .filter_map(|command| delay(sent, command)),
        ),
    };
    by_path
        .into_iter()
        .map(|(path, commands)| (path, share(commands)))
        .collect()
}

/// Both programs run on this machine, so both times are of one clock.
fn delay(sent: &BTreeMap<u64, u64>, command: &AppliedCommand) -> Option<f64> {
    let called_us = sent.get(&command.number)?;
    Some(ms(command.applied_at_us.saturating_sub(*called_us)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "spans of a drive are far below 2^52 µs"
)]
fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

fn len(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn count_of<S: serde::Serializer>(
    sent: &BTreeMap<u64, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(len(sent.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(number: u64, at_ms: u64) -> AppliedCommand {
        AppliedCommand {
            channel: 1,
            number,
            applied_at_us: at_ms * 1_000,
            received_at_us: None,
            sent_there_us: Some(at_ms * 1_000 - 500),
            relay: Some("relay-a".into()),
            link: Some("lte".into()),
            controller_us: None,
            uplink_us: None,
            relay_us: None,
            downlink_us: None,
        }
    }

    fn report(numbers: &[u64], superseded_and_late: (u64, u64)) -> Report {
        let commands = numbers
            .iter()
            .map(|number| applied(*number, 100 + number * 20))
            .collect();
        let mut report = Report {
            sent: (1..=10)
                .map(|number| (number, (100 + number * 20) * 1_000 - 500))
                .collect(),
            ..Report::default()
        };
        report.count(
            &AppliedLines {
                commands,
                stages: Vec::new(),
            },
            superseded_and_late,
        );
        report
    }

    #[test]
    fn every_command_is_applied_superseded_late_or_lost() {
        let whole = report(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (0, 0));
        assert!(whole.holds());
        assert_eq!((whole.applied, whole.longest_gap_ms), (10, 20.0));
        assert_eq!(
            whole.delay_ms,
            Spread {
                p50: 0.5,
                p99: 0.5,
                max: 0.5
            }
        );

        let missing = report(&[1, 2, 3, 6, 7, 8, 9, 10], (1, 0));
        assert_eq!(
            (missing.applied, missing.superseded, missing.lost),
            (8, 1, 1)
        );
        assert_eq!(missing.longest_gap_ms, 60.0);
        assert!(!missing.holds());

        assert!(!report(&[1, 2, 3, 4, 5, 6, 7, 8, 9], (0, 1)).holds());
        assert_eq!(report(&[1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10], (0, 0)).twice, 1);
    }

    #[test]
    fn a_spread_takes_its_figures_from_the_sorted_values() {
        let spread = Spread::of((1..=1_000).rev().map(f64::from));
        assert_eq!(
            spread,
            Spread {
                p50: 500.0,
                p99: 990.0,
                max: 1_000.0
            }
        );
        assert_eq!(Spread::of([]), Spread::default());
    }
}
