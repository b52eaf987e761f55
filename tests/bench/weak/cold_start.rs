//! How soon agents that start all at once have a path that both ends use.

use std::time::Duration;

use longrein_io::clock;
use longrein_tests::wan::{Loss, Wan};

use super::case::{self, Case, Event, Row};
use super::contestant::Peer;
use super::longrein_fleet::Programs;
use super::site::Site;

/// What came out: from the start of each agent's program until its first path was up at both ends, in ms; sorted, and fewer
/// than agents when some never had one.
#[derive(Clone, Debug)]
pub struct ColdStart {
    pub up_ms: Vec<u64>,
}

impl ColdStart {
    /// Share of the agents that were up within this, in %.
    pub fn within_pct(&self, most: Duration) -> f64 {
        let within = self
            .up_ms
            .iter()
            .filter(|ms| u128::from(**ms) <= most.as_millis());
        100.0 * within.count() as f64 / AGENTS as f64
    }

    /// So many of 100 were up after this; none when they never were.
    pub fn at_ms(&self, percent: usize) -> Option<u64> {
        self.up_ms
            .get((AGENTS * percent).div_ceil(100) - 1)
            .copied()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "case": NAME, "peer": Peer::Longrein.slug(), "agents": AGENTS, "loss": LOSS,
            "within_1s_pct": self.within_pct(Duration::from_secs(1)),
            "within_3s_pct": self.within_pct(Duration::from_secs(3)),
            "p50_ms": self.at_ms(50), "max_ms": self.at_ms(100),
        })
    }

    pub fn line(&self) -> String {
        let time = |ms: Option<u64>| ms.map_or("never".into(), |ms| format!("{ms} ms"));
        format!(
            "{NAME}: first path up at both ends for {:.1} % within 1 s, {:.1} % within 3 s; half after {}, all after {}",
            self.within_pct(Duration::from_secs(1)),
            self.within_pct(Duration::from_secs(3)),
            time(self.at_ms(50)),
            time(self.at_ms(100)),
        )
    }
}

pub fn measure(seed: u64) -> anyhow::Result<ColdStart> {
    eprintln!(
        "{NAME}: {AGENTS} agents at once, {:.0} % both ways",
        LOSS * 100.0
    );
    let row = Row {
        peer: Peer::Longrein,
        class: longrein::Class::Latest,
        rate_hz: 1,
    };
    let case = Case {
        name: NAME.into(),
        links: 1,
        controller_links: 1,
        relays: 1,
        vehicle: case::access().with_loss(Loss::random(LOSS)),
        controller: case::access(),
        loss: LOSS,
        event: Event::None,
        rows: vec![row],
    };
    let mut plans = Site::plan(&case, 0, row, AGENTS);
    plans.retain(|plan| !Site::is_controller(&plan.name));
    let wan = Wan::start(seed, &plans)?;
    let site = Site::new(&wan, &case, 0, row, AGENTS);
    let programs = Programs::new(&site)?;
    let relay = programs.relay(&site, 0)?;
    let started: Vec<_> = std::thread::scope(|scope| {
        let start = |pair| {
            let (programs, site) = (&programs, &site);
            scope.spawn(move || {
                let began_ms = clock::unix_ms();
                Ok::<_, anyhow::Error>((began_ms, programs.agent(site, pair, FUNCTION)?))
            })
        };
        let threads: Vec<_> = (0..AGENTS).map(start).collect();
        let joined = threads.into_iter().map(|thread| {
            let panicked = |_| anyhow::anyhow!("a thread panicked");
            thread.join().map_err(panicked).and_then(|started| started)
        });
        joined.collect::<anyhow::Result<_>>()
    })?;
    let up = || {
        let relay_log = relay.log();
        let up = started
            .iter()
            .enumerate()
            .filter_map(|(pair, (began_ms, agent))| {
                let here = first(
                    &relay_log,
                    &["node is here", &format!("agent/truck-{pair}\n")],
                )?;
                let there = first(&agent.log(), &["relay is reached"])?;
                let since = |ms: u64| (ms + DAY_MS - began_ms % DAY_MS) % DAY_MS;
                Some(since(here).max(since(there)))
            });
        up.collect::<Vec<u64>>()
    };
    for _ in 0..LOOKS {
        if up().len() == AGENTS {
            break;
        }
        std::thread::sleep(LOOK);
    }
    let mut up_ms = up();
    up_ms.sort_unstable();
    Ok(ColdStart { up_ms })
}

/// When the first line with all these words was written, in ms of its day (UTC).
fn first(log: &str, words: &[&str]) -> Option<u64> {
    let line = log
        .split_inclusive('\n')
        .find(|line| words.iter().all(|word| line.contains(word)))?;
    let (_, time) = line.split_whitespace().next()?.split_once('T')?;
    let mut parts = time.trim_end_matches('Z').split([':', '.']);
    let mut next = || parts.next()?.get(..)?.parse::<u64>().ok();
    let (hours, minutes, seconds, fraction) = (next()?, next()?, next()?, next()?);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + fraction / 1_000)
}

pub const NAME: &str = "cold start";
const AGENTS: usize = 40;
const LOSS: f64 = 0.8;
const DAY_MS: u64 = 86_400_000;
const LOOK: Duration = Duration::from_millis(200);
/// 20 s.
const LOOKS: usize = 100;
const FUNCTION: &str = "[[function]]\nname = \"drive\"\nadapter = { kind = \"sim\" }\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_with_all_words_tells_its_time_of_day() {
        let log = "2026-11-21T01:02:03.004005Z  INFO node is here node=agent/truck-11\n\
                   2026-11-21T01:02:04.500000Z  INFO node is here node=agent/truck-1\n";
        let at = |word| first(log, &["node is here", word]);
        assert_eq!(at("agent/truck-1\n"), Some(3_724_500));
        assert_eq!(at("agent/truck-11\n"), Some(3_723_004));
        assert_eq!(at("agent/truck-2\n"), None);
    }

    #[test]
    fn who_never_came_up_is_slower_than_everybody() {
        let start = ColdStart {
            up_ms: (0..30).map(|n| n * 100).collect(),
        };
        assert_eq!(start.within_pct(Duration::from_secs(1)), 27.5);
        assert_eq!((start.at_ms(50), start.at_ms(100)), (Some(1_900), None));
    }
}
