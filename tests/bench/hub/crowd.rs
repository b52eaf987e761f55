//! Thousands of vehicles at one relay: who is here, a part of them that leaves and comes back at once, and a pair that drives beside them.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use longrein_io::dial::{Dialers, dial};
use longrein_io::drive::Driver;
use longrein_io::keys::Identity;
use longrein_proto::base::{NodeKind, NodeName};
use longrein_proto::wire::hub::{Answer, Request, Selector};
use tokio::time::{Instant, sleep};

use super::fleet::{CONNECT_MAX, Door, Hub, Node, names};
use super::pair::Pair;
use super::throng::Throng;
use super::verdict::Verdict;
use crate::process::processor_us;
use crate::spread::Spread;

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct CrowdFigures {
    vehicles: usize,
    churned: usize,
    /// Vehicles that the watcher did not see as they were, before and after the churn.
    wrong: usize,
    /// From the first that left until the last was seen to be back.
    settled_ms: u64,
    control: Spread,
    beside: Spread,
    /// Of one core of the relay, while they are all here and nothing happens.
    relay_cpu_pct: f64,
}

/// Vehicles that are connected, each with its papers, socket and QUIC connection.
struct Crowd {
    door: Door,
    driver: Driver<Throng>,
    vehicles: VecDeque<(Identity, Dialers<Throng>)>,
}

/// Measures the pair while the crowd is at another relay of this machine, and while it is at its own.
pub async fn measure(
    vehicles: usize,
    churned: usize,
    span: Duration,
) -> anyhow::Result<CrowdFigures> {
    let agents = names(NodeKind::Agent, vehicles)?;
    let watcher = NodeName::new(NodeKind::Controller, "desk".parse()?);
    let pair = Pair::names()?;
    let all: Vec<NodeName> = agents
        .iter()
        .chain(&pair)
        .chain([&watcher])
        .cloned()
        .collect();
    let (here, idle) = (Hub::start(&all, "").await?, Hub::start(&all, "").await?);

    let pair = Pair::start(here.door.clone()).await?;
    let mut elsewhere = Crowd::connect(&idle.door, &agents)
        .await
        .with_context(|| idle.relay.log())?;
    pair.take();
    sleep(span).await;
    elsewhere.churn(churned).await?;
    elsewhere.is_up().await?;
    let control = pair.spread();
    elsewhere.end(vehicles).await?;
    drop(idle);

    let desk = here.door.connect(&watcher)?;
    desk.is_up().await?;
    let mut crowd = Crowd::connect(&here.door, &agents)
        .await
        .with_context(|| here.relay.log())?;
    let watch = Request::WatchPresence {
        watch: 1,
        of: Selector {
            kind: Some(NodeKind::Agent),
            ..Selector::default()
        },
    };
    let answer = desk.ask(watch).await?;
    anyhow::ensure!(
        matches!(answer, Answer::Done { .. }),
        "no watch: {answer:?}"
    );
    let until = Instant::now() + SETTLE_MAX;
    while wrong(&desk, &agents) > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
    let mut bad = wrong(&desk, &agents);
    pair.take();
    let before_us = processor_us(here.relay.id())?;
    let began = Instant::now();
    sleep(span).await;
    let spent_us = processor_us(here.relay.id())? - before_us;
    let relay_cpu_pct = 100.0 * spent_us as f64 / began.elapsed().as_micros() as f64;

    let revisions: Vec<u64> = agents
        .iter()
        .take(churned)
        .map(|name| seen(&desk, name).1)
        .collect();
    let began = Instant::now();
    crowd.churn(churned).await?;
    let settled = || {
        let is_back = |(name, before): (&NodeName, &u64)| {
            let (is_here, revision) = seen(&desk, name);
            is_here && revision > *before
        };
        agents.iter().zip(&revisions).all(is_back)
    };
    while !settled() && began.elapsed() < SETTLE_MAX {
        sleep(LOOK).await;
    }
    let settled_ms = u64::try_from(began.elapsed().as_millis())?;
    sleep(span / 2).await;
    bad += wrong(&desk, &agents);
    let beside = pair.spread();
    Ok(CrowdFigures {
        vehicles,
        churned,
        wrong: bad,
        settled_ms,
        control,
        beside,
        relay_cpu_pct,
    })
}

/// How the watcher sees a vehicle: whether it is here, and the revision of that.
fn seen(desk: &Node, name: &NodeName) -> (bool, u64) {
    desk.driver
        .with(|desk, _| desk.presence.get(name).copied().unwrap_or_default())
}

fn wrong(desk: &Node, names: &[NodeName]) -> usize {
    names.iter().filter(|name| !seen(desk, name).0).count()
}

impl Crowd {
    async fn connect(door: &Door, names: &[NodeName]) -> anyhow::Result<Crowd> {
        let mut crowd = Crowd {
            door: door.clone(),
            driver: Driver::start(Throng::default(), |_, ()| {})?,
            vehicles: VecDeque::new(),
        };
        for (number, name) in names.iter().enumerate() {
            crowd.dial(door.identity(name)?)?;
            if number % 10 == 9 {
                sleep(PAUSE).await;
            }
        }
        crowd.is_up().await?;
        Ok(crowd)
    }

    fn dial(&mut self, identity: Identity) -> anyhow::Result<()> {
        let route = self.door.route(self.door.address)?;
        let dialers = dial(&self.driver, &identity, vec![route], |_, _| {})?;
        self.vehicles.push_back((identity, dialers));
        Ok(())
    }

    /// Waits until as many are connected as are to be.
    async fn is_up(&self) -> anyhow::Result<()> {
        let until = Instant::now() + CONNECT_MAX;
        while self.driver.paths().len() != self.vehicles.len() {
            anyhow::ensure!(Instant::now() < until, "not all vehicles connect");
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// The first so many end.
    async fn end(&mut self, count: usize) -> anyhow::Result<Vec<Identity>> {
        let mut ended = Vec::new();
        for (identity, mut dialers) in self.vehicles.drain(..count) {
            dialers.set_routes(&identity, Vec::new())?;
            ended.push(identity);
        }
        self.is_up().await?;
        Ok(ended)
    }

    /// The first so many end, and begin anew at once.
    async fn churn(&mut self, count: usize) -> anyhow::Result<()> {
        for identity in self.end(count).await? {
            self.dial(identity)?;
        }
        Ok(())
    }
}

impl CrowdFigures {
    fn ratio(&self) -> f64 {
        self.beside.p99 as f64 / self.control.p99.max(1) as f64
    }

    fn holds(&self) -> bool {
        self.wrong == 0 && self.settled_ms < SETTLED_MS_MAX && self.ratio() < RATIO_MAX
    }

    pub fn verdict(&self) -> Verdict {
        let json = serde_json::json!({
            "vehicles": self.vehicles, "churned": self.churned, "wrong": self.wrong, "settled_ms": self.settled_ms,
            "control": self.control.json(), "beside": self.beside.json(), "p99_ratio": self.ratio(),
            "relay_cpu_pct": self.relay_cpu_pct,
        });
        let text = format!(
            "{} vehicles, {} seen wrong; {} that left and came back were seen back after {} ms; the pair's p99 {:.2} ms beside {:.2} ms \
             with the vehicles at an idle relay ({:.2} times), p50 {:.2} beside {:.2}; relay {:.0} % of a core",
            self.vehicles,
            self.wrong,
            self.churned,
            self.settled_ms,
            self.beside.p99 as f64 / 1e3,
            self.control.p99 as f64 / 1e3,
            self.ratio(),
            self.beside.p50 as f64 / 1e3,
            self.control.p50 as f64 / 1e3,
            self.relay_cpu_pct,
        );
        Verdict::new(json, text, self.holds())
    }
}

const LOOK: Duration = Duration::from_millis(10);
const SETTLE_MAX: Duration = Duration::from_secs(30);
const SETTLED_MS_MAX: u64 = 5_000;
const RATIO_MAX: f64 = 2.0;
/// After ten of them: 200 handshakes a second.
const PAUSE: Duration = Duration::from_millis(50);
