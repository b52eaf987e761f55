//! One network, on which several rows of a case are measured at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use longrein::Class;
use longrein_io::clock;
use longrein_tests::wan::{Lateness, Wan};

use super::arrivals::{Arrivals, body};
use super::case::{Case, Event, Row, VEHICLE_LINKS};
use super::contestant::{Contestant, Peer, Sender};
use super::figures::{Figures, Record, Sent, Window};
use super::site::Site;

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Vehicles of a row.
    pub pairs: usize,
    /// Longest wait for the first message of every vehicle.
    pub patience: Duration,
    /// Messages that are judged, at least.
    pub messages: u32,
    /// The shortest span with commands, of which there are more.
    pub latest_span: Duration,
    /// What arrives later after its end counts as not delivered.
    pub drain: Duration,
}

/// What came out.
pub struct Batch {
    pub figures: Vec<Figures>,
    pub machine: Machine,
}

/// What the machine did meanwhile.
#[derive(Clone, Debug)]
pub struct Machine {
    pub lateness: Lateness,
    pub is_realtime: bool,
    /// Share of both processors' time.
    pub busy: f64,
    /// Datagrams of the control, and those that neither arrived nor were taken away by the emulator.
    pub control: (u64, u64),
    /// Packets that went nowhere.
    pub strays: u64,
}

/// A row at work.
struct Running<'a> {
    row: Row,
    site: Site<'a>,
    contestant: Box<dyn Contestant>,
    arrivals: Vec<Arc<Arrivals>>,
    flows: Vec<JoinHandle<Flow>>,
    bytes: u64,
}

/// What one pair's sender did.
struct Flow {
    sent: Vec<Sent>,
    sender: Box<dyn Sender>,
}

impl Pace {
    fn span(&self, case: &Case, rows: &[Row]) -> Duration {
        if case.event == Event::Dark {
            return DARK_BEFORE + DARK + DARK_AFTER;
        }
        let span_min = if rows.iter().all(|row| row.class == Class::Reliable) {
            Duration::ZERO
        } else {
            self.latest_span
        };
        let slowest = rows.iter().map(|row| row.rate_hz).min().unwrap_or(1);
        let pairs = u32::try_from(self.pairs).unwrap_or(u32::MAX);
        let periods = self.messages.div_ceil(pairs) + 1;
        (Duration::from_secs(1) / slowest * periods).max(span_min)
    }
}

/// Measures these rows of a case, and the control.
pub fn measure(case: &Case, rows: &[Row], pace: &Pace, seed: u64) -> anyhow::Result<Batch> {
    let control = Row {
        peer: Peer::RawUdp,
        class: Class::Latest,
        rate_hz: rows.iter().map(|row| row.rate_hz).max().unwrap_or(10),
    };
    let rows: Vec<Row> = rows.iter().copied().chain([control]).collect();
    let plans: Vec<_> = rows
        .iter()
        .enumerate()
        .flat_map(|(index, row)| Site::plan(case, index, *row, pace.pairs))
        .collect();
    let wan = Wan::start(seed, &plans)?;
    let end_us = Arc::new(AtomicU64::new(u64::MAX));
    let mut running = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let site = Site::new(&wan, case, index, *row, pace.pairs);
        running.push(Running::start(site, *row, &end_us)?);
    }
    wait_for_first(&running, pace.patience);
    let from_us = clock::now().as_us() + us(SETTLE);
    let until_us = from_us + us(pace.span(case, &rows));
    end_us.store(until_us, Ordering::Relaxed);
    sleep_until(from_us);
    let busy_before = processor_time()?;
    for row in &mut running {
        row.bytes = row.site.vehicle_bytes();
    }
    let back_us = happen(case, &mut running, from_us, until_us)?;
    sleep_until(until_us);
    let busy = busy_since(busy_before)?;
    for row in &mut running {
        row.bytes = row.site.vehicle_bytes() - row.bytes;
    }
    let mut flows = Vec::new();
    for row in &mut running {
        let joined = row.flows.drain(..).map(JoinHandle::join);
        let joined: Result<Vec<Flow>, _> = joined.collect();
        flows.push(joined.map_err(|_| anyhow::anyhow!("a sender panicked"))?);
    }
    drain(&running, &flows, until_us, pace.drain);
    let window = Window {
        from_us,
        until_us,
        back_us,
    };
    let mut figures = Vec::new();
    let mut lost = (0, 0);
    for (row, flows) in running.iter().zip(flows) {
        let records: Vec<Record> = row.arrivals.iter().zip(flows).map(record).collect();
        if row.row.peer == Peer::RawUdp {
            lost = control_lost(row, &records);
        }
        let judged = Figures::new(case, row.row, row.site.relays, &records, window, row.bytes);
        figures.push(judged);
    }
    let machine = Machine {
        lateness: wan.lateness(),
        is_realtime: wan.is_realtime(),
        busy,
        control: lost,
        strays: wan.strays(),
    };
    Ok(Batch { figures, machine })
}

impl<'a> Running<'a> {
    fn start(site: Site<'a>, row: Row, end_us: &Arc<AtomicU64>) -> anyhow::Result<Running<'a>> {
        let arrivals: Vec<Arc<Arrivals>> = (0..site.pairs).map(|_| Arc::default()).collect();
        let mut contestant = row.peer.start(&site, row.class, &arrivals)?;
        let period_us = 1_000_000 / u64::from(row.rate_hz);
        let mut flows = Vec::new();
        for pair in 0..site.pairs {
            let sender = contestant.sender(pair)?;
            // So that the vehicles' messages do not come all at once.
            let phase_us = period_us * pair as u64 / site.pairs as u64;
            let end_us = Arc::clone(end_us);
            let run = move || send(sender, period_us, phase_us, &end_us);
            flows.push(
                std::thread::Builder::new()
                    .name("sender".into())
                    .spawn(run)?,
            );
        }
        Ok(Running {
            row,
            site,
            contestant,
            arrivals,
            flows,
            bytes: 0,
        })
    }
}

/// Sends at its rate until the end.
fn send(mut sender: Box<dyn Sender>, period_us: u64, phase_us: u64, end_us: &AtomicU64) -> Flow {
    let began_us = clock::now().as_us() + phase_us;
    let mut sent = Vec::new();
    for number in 0.. {
        let planned_us = began_us + number * period_us;
        sleep_until(planned_us);
        if planned_us >= end_us.load(Ordering::Relaxed) {
            break;
        }
        let now_us = clock::now().as_us();
        // Who is held up counts from the plan: a sender that waits must not hide the delay.
        let is_late = now_us - planned_us > us(LATE);
        let sent_us = if is_late { planned_us } else { now_us };
        sender.send(&body(number));
        sent.push(Sent {
            number,
            planned_us,
            sent_us,
        });
    }
    Flow { sent, sender }
}

fn wait_for_first(running: &[Running<'_>], patience: Duration) {
    let until_us = clock::now().as_us() + us(patience);
    let waits = |row: &Running<'_>| row.arrivals.iter().any(|arrivals| arrivals.count() == 0);
    while clock::now().as_us() < until_us && running.iter().any(waits) {
        sleep(LOOK);
    }
}

/// What happens in the middle; when the first link was back after darkness.
fn happen(
    case: &Case,
    running: &mut [Running<'_>],
    from_us: u64,
    until_us: u64,
) -> anyhow::Result<Option<u64>> {
    let [first, second] = VEHICLE_LINKS;
    let third_us = (until_us - from_us) / 3;
    match case.event {
        Event::None => Ok(None),
        Event::CutAndKill => {
            sleep_until(from_us + third_us);
            for row in running.iter().filter(|row| row.row.peer != Peer::RawUdp) {
                row.site.switch(first, false);
                if row.row.peer != Peer::Longrein {
                    row.site.unroute(first)?;
                }
            }
            sleep_until(from_us + 2 * third_us);
            for row in running {
                row.contestant.kill_relay();
            }
            Ok(None)
        }
        Event::Dark => {
            let dark_us = from_us + us(DARK_BEFORE);
            for (at_us, links, on) in [
                (dark_us, vec![first, second], false),
                (dark_us + us(DARK), vec![first], true),
                (dark_us + us(DARK + SECOND_LINK), vec![second], true),
            ] {
                sleep_until(at_us);
                for (row, link) in running
                    .iter()
                    .flat_map(|row| links.iter().map(move |link| (row, link)))
                {
                    row.site.switch(link, on);
                }
            }
            Ok(Some(dark_us + us(DARK)))
        }
    }
}

/// Waits until everything has arrived, or it is too late; what is of no use any more is not waited for so long.
fn drain(running: &[Running<'_>], flows: &[Vec<Flow>], until_us: u64, most: Duration) {
    let waits = |(row, flows): (&Running<'_>, &Vec<Flow>)| {
        let most = if row.row.class == Class::Reliable {
            most
        } else {
            most.min(DRAIN_LATEST)
        };
        let mut pairs = row.arrivals.iter().zip(flows);
        clock::now().as_us() < until_us + us(most)
            && pairs.any(|(arrivals, flow)| arrivals.count() < flow.sent.len())
    };
    while running.iter().zip(flows).any(waits) {
        sleep(LOOK);
    }
}

fn record((arrivals, mut flow): (&Arc<Arrivals>, Flow)) -> Record {
    Record {
        began_us: arrivals.began_us().unwrap_or_default(),
        sent: flow.sent,
        arrivals: arrivals.all(),
        confirmed: flow.sender.confirmed(),
    }
}

/// Datagrams of the control, and those of them that the machine lost.
fn control_lost(row: &Running<'_>, records: &[Record]) -> (u64, u64) {
    let count = |count: fn(&Record) -> usize| records.iter().map(count).sum::<usize>() as u64;
    let sent = count(|record| record.sent.len());
    let arrived = count(|record| record.arrivals.len());
    let taken = row.site.taken_on_the_way();
    (sent, sent.saturating_sub(arrived + taken))
}

/// Busy and whole time of all processors since the start of the machine, in ticks (proc(5), `/proc/stat`).
fn processor_time() -> anyhow::Result<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let whole: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok((whole - idle, whole))
}

fn busy_since((busy, whole): (u64, u64)) -> anyhow::Result<f64> {
    let (busy_now, whole_now) = processor_time()?;
    Ok((busy_now - busy) as f64 / (whole_now - whole).max(1) as f64)
}

fn sleep_until(at_us: u64) {
    sleep(Duration::from_micros(
        at_us.saturating_sub(clock::now().as_us()),
    ));
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// After the first messages, before any counts: estimates settle.
const SETTLE: Duration = Duration::from_secs(1);
/// Longest wait for what is still under way, where it is of use for [`super::longrein_fleet::LATEST_TTL`] only.
const DRAIN_LATEST: Duration = Duration::from_secs(1);
/// A sender that is later than this counts from its plan.
const LATE: Duration = Duration::from_millis(2);
const LOOK: Duration = Duration::from_millis(10);
/// Before all links go dark, how long they are, and how long is measured afterwards.
const DARK_BEFORE: Duration = Duration::from_secs(5);
const DARK: Duration = Duration::from_secs(30);
const DARK_AFTER: Duration = Duration::from_secs(10);
/// The second link is back this long after the first.
const SECOND_LINK: Duration = Duration::from_secs(2);
