//! One member of a room, or one target of a batch, whose access loses most packets: what reaches it, and what the others feel of it.

use std::time::Duration;

use longrein_io::clock;
use longrein_proto::base::{Class, NodeKind, NodeName};
use longrein_proto::wire::hub::{Bytes, Direct, MessageId, Request, Targets, Want};
use longrein_tests::Chance;
use tokio::time::{Instant, sleep, sleep_until};

use super::access::{Access, DELAY};
use super::fleet::{Hub, Node, names};
use super::member::Member;
use super::room::{join, publish, room_name};
use super::verdict::Verdict;
use crate::spread::Spread;

/// How messages go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Published in a room of all.
    Room,
    /// Sent to a list of all, with a result for each.
    Batch,
}

/// What one run showed: first without losses, then with them.
#[derive(Clone, Copy, Debug)]
pub struct PoorFigures {
    seed: u64,
    clean: Turn,
    poor: Turn,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    sent: u64,
    /// At the member with the poor access.
    heard: u64,
    gaps: u64,
    delay: Spread,
    others: Spread,
    others_heard_pct: f64,
    /// Targets of which the sender heard that it was delivered there; of a batch.
    delivered: u64,
    targets: u64,
}

pub async fn measure(way: Way, span: Duration, seed: u64) -> anyhow::Result<PoorFigures> {
    Ok(PoorFigures {
        seed,
        clean: turn(way, span, 0.0, seed).await?,
        poor: turn(way, span, LOSS, seed).await?,
    })
}

async fn turn(way: Way, span: Duration, loss: f64, seed: u64) -> anyhow::Result<Turn> {
    let all = names(NodeKind::Controller, MEMBERS)?;
    let hub = Hub::start(&all, "").await?;
    let (poor_name, rest) = all.split_first().expect("there are members");
    let access = Access::start(hub.door.address, loss, Chance::new(seed)).await?;
    let poor = hub
        .door
        .connect_as(poor_name, access.address, Member::new)?;
    let others = hub.connect_all(rest).await?;
    poor.is_up().await?;
    let room = room_name(0)?;
    for node in others.iter().chain([&poor]) {
        match way {
            Way::Room => join(node, &room).await?,
            // Whoever is asked something is here.
            Way::Batch => node
                .ask(Request::Rooms {
                    after: None,
                    count: 1,
                })
                .await
                .map(drop)?,
        }
    }
    sleep(SETTLE).await;
    let speaker = others.first().expect("there are others");
    let ticks = u32::try_from(span.as_millis())? * RATE_HZ / 1_000;
    let began = Instant::now();
    for tick in 0..ticks {
        sleep_until(began + Duration::from_secs(1) / RATE_HZ * tick).await;
        let number = u64::from(tick) + 1;
        match way {
            Way::Room => publish(speaker, &room, Class::Reliable, number, BODY)?,
            Way::Batch => send(speaker, &all, number)?,
        }
    }
    let sent = u64::from(ticks);
    let until = Instant::now() + DRAIN_MAX;
    let targets = if way == Way::Batch {
        sent * all.len() as u64
    } else {
        0
    };
    let heard = |node: &Node| node.driver.with(|member, _| member.heard);
    let results = || speaker.driver.with(|member, _| member.results);
    while (heard(&poor) < sent || results() < targets) && Instant::now() < until {
        sleep(LOOK).await;
    }
    let (mut delays, mut others_heard) = (Vec::new(), 0);
    for node in &others {
        node.driver.with(|member, _| {
            delays.append(&mut member.delays_us);
            others_heard += member.heard;
        });
    }
    let (own, heard, gaps) = poor.driver.with(|member, _| {
        (
            std::mem::take(&mut member.delays_us),
            member.heard,
            member.gaps,
        )
    });
    Ok(Turn {
        sent,
        heard,
        gaps,
        delay: Spread::of(own),
        others: Spread::of(delays),
        others_heard_pct: 100.0 * others_heard as f64 / (sent * others.len() as u64) as f64,
        delivered: speaker.driver.with(|member, _| member.delivered),
        targets,
    })
}

/// Sends to all of them, with the time and its number in front.
fn send(node: &Node, to: &[NodeName], number: u64) -> anyhow::Result<()> {
    let mut payload = vec![7; BODY];
    let front = clock::now()
        .as_us()
        .to_be_bytes()
        .into_iter()
        .chain(number.to_be_bytes());
    payload
        .iter_mut()
        .zip(front)
        .for_each(|(byte, front)| *byte = front);
    let direct = Direct {
        to: Targets::Nodes(to.to_vec()),
        flow: "shift".parse()?,
        class: Class::Reliable,
        ttl_ms: TTL_MS,
        id: MessageId(u128::from(number).to_be_bytes()),
        is_kept: false,
        want: Want::Delivered,
        payload: Bytes::from(payload),
    };
    node.driver
        .with(|member, now| member.ask(now, Request::Send(direct)))?;
    Ok(())
}

impl PoorFigures {
    /// How much the others' p99 grows: at most by a fifth, or half a millisecond, which this machine's own noise is.
    fn holds(&self) -> bool {
        let (clean, poor) = (&self.clean, &self.poor);
        let bound = (clean.others.p99 * 6 / 5).max(clean.others.p99 + NOISE_US);
        [clean, poor].iter().all(|turn| {
            turn.heard == turn.sent
                && turn.gaps == 0
                && turn.delivered == turn.targets
                && turn.others_heard_pct >= 100.0
        }) && poor.others.p99 <= bound
    }

    pub fn verdict(&self) -> Verdict {
        let turn = |turn: &Turn| {
            serde_json::json!({
                "sent": turn.sent, "heard": turn.heard, "out_of_order": turn.gaps, "delay": turn.delay.json(),
                "others": turn.others.json(), "others_heard_pct": turn.others_heard_pct, "targets": turn.targets,
                "delivered": turn.delivered,
            })
        };
        let json = serde_json::json!({
            "seed": self.seed, "loss_pct": LOSS * 100.0, "delay_ms": DELAY.as_secs_f64() * 1e3, "clean": turn(&self.clean), "poor": turn(&self.poor),
        });
        let poor = &self.poor;
        let text = format!(
            "at {:.0} % loss each way {} of {} messages came, {} out of order, p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms; results {} of {}; the others' \
             {:.2} %, p99 {:.2} ms beside {:.2} ms without losses (seed {})",
            LOSS * 100.0,
            poor.heard,
            poor.sent,
            poor.gaps,
            poor.delay.p50 as f64 / 1e3,
            poor.delay.p99 as f64 / 1e3,
            poor.delay.max as f64 / 1e3,
            poor.delivered,
            poor.targets,
            poor.others_heard_pct,
            poor.others.p99 as f64 / 1e3,
            self.clean.others.p99 as f64 / 1e3,
            self.seed,
        );
        Verdict::new(json, text, self.holds())
    }
}

const MEMBERS: usize = 50;
const LOSS: f64 = 0.8;
const RATE_HZ: u32 = 20;
const BODY: usize = 200;
const TTL_MS: u32 = 30_000;
const NOISE_US: u64 = 500;
const SETTLE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);
const DRAIN_MAX: Duration = Duration::from_secs(30);
