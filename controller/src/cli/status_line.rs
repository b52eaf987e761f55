//! The live line of a drive, on the terminal's last line.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crossterm::terminal;
use longrein_proto::base::Stage;
use longrein_proto::path::{Health, Strain};
use longrein_proto::role::PathView;
use longrein_proto::wire::LegTimes;

use super::report::milliseconds;

/// The live line of a drive, on stderr when that is a terminal; otherwise only what is said goes there.
#[derive(Debug)]
pub struct StatusLine {
    live: bool,
    shown: bool,
}

/// What the line shows.
#[derive(Debug, Default)]
pub struct Shown {
    /// Stage of the function's watchdog.
    pub stage: Option<Stage>,
    /// Whether the emergency stop is latched.
    pub stopped: bool,
    /// Token of the lease, when it is held.
    pub token: Option<u64>,
    /// Where the newest applied command's time went.
    pub times: Option<LegTimes>,
    /// The paths to the relays.
    pub paths: Vec<PathView>,
    /// From telemetry.
    pub speed_mm_s: Option<i16>,
}

impl StatusLine {
    /// A line that is live when stderr is a terminal and nothing else forbids it.
    pub fn new(wanted: bool) -> StatusLine {
        StatusLine {
            live: wanted && io::stderr().is_terminal(),
            shown: false,
        }
    }

    /// Whether it is worth asking for what it shows.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Shows this in place of what was there.
    pub fn show(&mut self, shown: &Shown) {
        if !self.live {
            return;
        }
        // A terminal that does not tell its size has the usual one.
        let columns = terminal::size().map_or(80, |(columns, _)| columns);
        let width = usize::from(columns).saturating_sub(1);
        let text: String = shown.text().chars().take(width).collect();
        self.write(&format!("\r\x1b[2K{text}"));
        self.shown = true;
    }

    /// Says something on a line of its own, above the live one.
    pub fn say(&mut self, text: &str) {
        let clear = if self.shown { "\r\x1b[2K" } else { "" };
        self.shown = false;
        // Raw mode needs the return, and elsewhere on a terminal it does nothing.
        let end = if self.live { "\r\n" } else { "\n" };
        self.write(&format!("{clear}{text}{end}"));
    }

    /// Leaves the last line as it is and goes below it.
    pub fn end(&mut self) {
        if self.shown {
            self.shown = false;
            self.write("\r\n");
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        // Nobody can be told when stderr is gone.
        stderr
            .write_all(text.as_bytes())
            .and_then(|()| stderr.flush())
            .ok();
    }
}

impl Shown {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        parts.push(match (self.stopped, self.stage) {
            (true, _) => "STOPPED".to_string(),
            (false, Some(stage)) => stage.to_string(),
            (false, None) => "no status".to_string(),
        });
        parts.push(match self.token {
            Some(token) => format!("lease {token}"),
            None => "NO LEASE".to_string(),
        });
        if let Some(speed_mm_s) = self.speed_mm_s {
            parts.push(format!("{:.2} m/s", f64::from(speed_mm_s) / 1e3));
        }
        parts.extend(worst(&self.paths));
        if let Some(times) = self.times {
            parts.push(delay(times));
        }
        parts.extend(self.paths.iter().map(path));
        parts.join(" | ")
    }
}

/// The whole delay, and what each leg has of it.
fn delay(times: LegTimes) -> String {
    let ms = |tens: u64| Duration::from_micros(tens * 10);
    let part = |tens: u32| format!("{:.1}", ms(tens.into()).as_secs_f64() * 1e3);
    let whole: u64 = times.parts().into_iter().map(u64::from).sum();
    let parts: Vec<String> = times.parts().into_iter().map(part).collect();
    format!("{} ({})", milliseconds(ms(whole)), parts.join("+"))
}

/// The path that is down, or loses most: stands where a narrow terminal still shows it.
fn worst(paths: &[PathView]) -> Option<String> {
    let loss = |view: &PathView| {
        let status = view.status.as_ref()?;
        match status.health {
            Health::Down => Some(f64::INFINITY),
            Health::Live | Health::Suspect => Some(status.loss),
            Health::Unknown => None,
        }
    };
    let known = paths.iter().filter_map(|view| Some((loss(view)?, view)));
    let (loss, view) = known.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let name = format!("{}/{}", view.relay.name, view.link);
    Some(match loss.is_finite() {
        true => format!("worst loss {:.0} % {name}", loss * 100.0),
        false => format!("DOWN {name}"),
    })
}

/// A path with its loss and round trip.
fn path(view: &PathView) -> String {
    let name = format!("{}/{}", view.relay.name, view.link);
    let Some(status) = &view.status else {
        return format!("{name} greeting");
    };
    match status.health {
        Health::Down => format!("{name} DOWN"),
        Health::Unknown => format!("{name} ?"),
        Health::Live | Health::Suspect => {
            let rtt = status.rtt.map(milliseconds);
            let loss = status.loss * 100.0;
            let strain = match status.strain {
                Strain::None => "",
                Strain::Clogged => " CLOGGED",
                Strain::Broken => " BROKEN",
            };
            format!(
                "{name} loss {loss:.0} % {}{strain}",
                rtt.unwrap_or_default()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use longrein_proto::base::PathId;
    use longrein_proto::path::{LinkId, PathStatus};

    use super::*;

    #[test]
    fn the_line_shows_stage_lease_speed_and_delay_by_leg() {
        let shown = Shown {
            stage: Some(Stage::Nominal),
            token: Some(12),
            speed_mm_s: Some(1_500),
            times: Some(LegTimes {
                controller_10us: 10,
                uplink_10us: 1_100,
                relay_10us: 10,
                downlink_10us: 1_200,
                agent_10us: 20,
            }),
            ..Shown::default()
        };
        assert_eq!(
            shown.text(),
            "Nominal | lease 12 | 1.50 m/s | 23.4 ms (0.1+11.0+0.1+12.0+0.2)"
        );
    }

    fn view(relay: &str, link: &str, health: Health, loss: f64) -> PathView {
        PathView {
            relay: format!("relay/{relay}").parse().unwrap(),
            link: link.parse().unwrap(),
            seen_as: None,
            status: Some(PathStatus {
                path: PathId(1),
                link: LinkId(1),
                health,
                is_lost: false,
                loss,
                rtt: Some(Duration::from_millis(40)),
                rtt_min: None,
                queue: Duration::ZERO,
                queue_in: Duration::ZERO,
                loss_in: loss,
                bits_per_s: 1_000_000.0,
                strain: Strain::None,
                sent_packets: 0,
                sent_bytes: 0,
                received_packets: 0,
                received_bytes: 0,
                sent_packets_per_s: 0,
                received_packets_per_s: 0,
            }),
        }
    }

    #[test]
    fn eighty_columns_show_the_worst_of_four_paths() {
        let mut shown = Shown {
            stage: Some(Stage::MinimalRisk),
            token: Some(1_234),
            speed_mm_s: Some(-1_500),
            times: Some(LegTimes {
                uplink_10us: 11_000,
                downlink_10us: 12_000,
                ..LegTimes::default()
            }),
            paths: vec![
                view("relay-a", "modem-1", Health::Live, 0.0),
                view("relay-a", "modem-2", Health::Live, 0.01),
                view("relay-b", "modem-1", Health::Suspect, 0.34),
                view("relay-b", "modem-2", Health::Live, 0.02),
            ],
            ..Shown::default()
        };
        let narrow = |shown: &Shown| shown.text().chars().take(79).collect::<String>();
        let line = narrow(&shown);
        assert!(line.contains("worst loss 34 % relay-b/modem-1"), "{line}");
        shown
            .paths
            .push(view("relay-b", "cable", Health::Down, 0.0));
        let line = narrow(&shown);
        assert!(line.contains("DOWN relay-b/cable"), "{line}");
    }

    #[test]
    fn a_path_that_hardly_sends_says_why() {
        for (strain, text) in [
            (Strain::None, "relay-a/modem-1 loss 5 % 40.0 ms"),
            (Strain::Clogged, "relay-a/modem-1 loss 5 % 40.0 ms CLOGGED"),
            (Strain::Broken, "relay-a/modem-1 loss 5 % 40.0 ms BROKEN"),
        ] {
            let mut view = view("relay-a", "modem-1", Health::Live, 0.05);
            view.status.as_mut().unwrap().strain = strain;
            assert_eq!(path(&view), text);
        }
    }

    #[test]
    fn a_stop_and_a_lost_lease_are_plain() {
        let shown = Shown {
            stage: Some(Stage::MinimalRisk),
            stopped: true,
            ..Shown::default()
        };
        assert_eq!(shown.text(), "STOPPED | NO LEASE");
    }
}
