//! Broadcasts in rooms: their delay, what they cost, and how many there can be.

use std::collections::VecDeque;
use std::time::Duration;

use longrein_io::clock;
use longrein_proto::base::{Class, Name};
use longrein_proto::wire::hub::{
    Answer, Bytes, MessageId, Publish, Request, Retention, RoomRole, RoomSettings, Start,
    TopicFrom, Want,
};
use tokio::time::{Instant, sleep, sleep_until};

use super::fleet::{Hub, Node};
use super::verdict::Verdict;
use crate::process::processor_us;
use crate::spread::Spread;

/// What a room did in one run.
#[derive(Clone, Copy, Debug)]
pub struct RoomFigures {
    pub members: usize,
    pub rooms: usize,
    pub sent_per_s: f64,
    pub deliveries_per_s: f64,
    pub delivered_pct: f64,
    pub gaps: u64,
    pub delay: Spread,
    /// Of the relay's processor time, for each delivery.
    pub cpu_us: f64,
}

/// One load: so many rooms of so many members, so many messages a second in all rooms together.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub rooms: usize,
    pub members: usize,
    pub messages_per_s: u32,
    pub class: Class,
    pub span: Duration,
}

/// What a load has to reach, beside that all of it arrives in order.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    pub deliveries_per_s: f64,
    pub p99_us: u64,
}

impl Targets {
    pub fn of(load: &Load) -> Targets {
        let deliveries_per_s = f64::from(load.messages_per_s) * load.members as f64;
        Targets {
            // The first message is sent at the beginning, the last one a period before the end.
            deliveries_per_s: deliveries_per_s * 0.99,
            p99_us: if deliveries_per_s > READERS_AT_EASE_PER_S {
                SUSTAINED_P99_US_MAX
            } else {
                P99_US_MAX
            },
        }
    }
}

/// Whether a delivery costs the same in rooms of all these sizes.
pub fn flatness(all: &[RoomFigures]) -> Verdict {
    let costs: Vec<f64> = all.iter().map(|figures| figures.cpu_us).collect();
    let mean = costs.iter().sum::<f64>() / costs.len().max(1) as f64;
    let off = |cost: &f64| 100.0 * (cost - mean).abs() / mean;
    let worst = costs.iter().map(off).fold(0.0, f64::max);
    let members: Vec<usize> = all.iter().map(|figures| figures.members).collect();
    let json = serde_json::json!({ "members": members, "relay_cpu_us_per_delivery": costs, "off_pct": worst });
    let text = format!(
        "a delivery takes {} µs of the relay in rooms of {members:?}, the same nodes and deliveries a second: {worst:.0} % off their mean at most",
        costs
            .iter()
            .map(|cost| format!("{cost:.1}"))
            .collect::<Vec<_>>()
            .join(", "),
    );
    let is_whole = |figures: &RoomFigures| figures.delivered_pct >= 100.0 && figures.gaps == 0;
    Verdict::new(json, text, worst <= OFF_PCT_MAX && all.iter().all(is_whole))
}

/// Has members of rooms publish in turn, and counts what arrives.
pub async fn broadcast(hub: &Hub, nodes: &[Node], load: Load) -> anyhow::Result<RoomFigures> {
    let mut joining = VecDeque::new();
    for (place, node) in nodes.iter().enumerate() {
        for room in rooms_of(place, nodes.len(), load) {
            joining.push_back((node, node.begin(join_request(&room_name(room)?)?)?));
            if joining.len() >= JOINING_MAX
                && let Some((node, ask)) = joining.pop_front()
            {
                expect_joined(&node.answer(ask).await?)?;
            }
        }
    }
    for (node, ask) in joining {
        expect_joined(&node.answer(ask).await?)?;
    }
    sleep(SETTLE).await;
    for node in nodes {
        node.driver.with(|member, _| member.clear());
    }
    let before_us = processor_us(hub.relay.id())?;
    let began = Instant::now();
    let ticks = u32::try_from(load.span.as_millis())? * load.messages_per_s / 1_000;
    let gap = Duration::from_secs(1) / load.messages_per_s;
    let mut sent = 0_u64;
    for tick in 0..ticks {
        sleep_until(began + gap * tick).await;
        let room = tick as usize % load.rooms;
        let speaker = speaker_of(room, nodes.len(), load);
        if let Some(node) = nodes.get(speaker) {
            publish(
                node,
                &room_name(room)?,
                load.class,
                u64::from(tick) + 1,
                BODY,
            )?;
            sent += 1;
        }
    }
    let took = began.elapsed();
    sleep(DRAIN).await;
    let spent_us = processor_us(hub.relay.id())? - before_us;
    let (mut delays, mut heard, mut gaps) = (Vec::new(), 0_u64, 0);
    for node in nodes {
        node.driver.with(|member, _| {
            delays.append(&mut member.delays_us);
            heard += member.heard;
            gaps += member.gaps;
        });
    }
    let expected = sent * load.members as u64;
    Ok(RoomFigures {
        members: load.members,
        rooms: load.rooms,
        sent_per_s: sent as f64 / took.as_secs_f64(),
        deliveries_per_s: heard as f64 / took.as_secs_f64(),
        delivered_pct: 100.0 * heard as f64 / expected.max(1) as f64,
        gaps,
        delay: Spread::of(delays),
        cpu_us: spent_us as f64 / heard.max(1) as f64,
    })
}

impl RoomFigures {
    pub fn verdict(&self, targets: Targets) -> Verdict {
        let holds = self.delivered_pct >= 100.0
            && self.gaps == 0
            && self.deliveries_per_s >= targets.deliveries_per_s
            && self.delay.p99 <= targets.p99_us;
        let json = serde_json::json!({
            "rooms": self.rooms, "members": self.members, "sent_per_s": self.sent_per_s,
            "deliveries_per_s": self.deliveries_per_s, "delivered_pct": self.delivered_pct, "gaps": self.gaps,
            "delay": self.delay.json(), "relay_cpu_us_per_delivery": self.cpu_us,
        });
        let text = format!(
            "{} room(s) of {}, {:.0} messages/s: {:.0} deliveries/s, {:.3} % arrived, {} out of order, delay p50 {:.1} ms, p99 {:.1} ms, \
             p99.9 {:.1} ms, max {:.1} ms, {:.1} µs of the relay each",
            self.rooms,
            self.members,
            self.sent_per_s,
            self.deliveries_per_s,
            self.delivered_pct,
            self.gaps,
            self.delay.p50 as f64 / 1e3,
            self.delay.p99 as f64 / 1e3,
            self.delay.p999 as f64 / 1e3,
            self.delay.max as f64 / 1e3,
            self.cpu_us,
        );
        Verdict::new(json, text, holds)
    }
}

/// Joins a room, which is made if it is not there, and reads its topic.
pub async fn join(node: &Node, room: &Name) -> anyhow::Result<()> {
    expect_joined(&node.ask(join_request(room)?).await?)
}

fn join_request(room: &Name) -> anyhow::Result<Request> {
    Ok(Request::Join {
        room: room.clone(),
        role: RoomRole::Driver,
        topics: vec![TopicFrom {
            topic: TOPIC.parse()?,
            from: Start::Now,
        }],
        create: Some(settings()),
    })
}

fn expect_joined(answer: &Answer) -> anyhow::Result<()> {
    let is_joined = matches!(answer, Answer::Joined { .. });
    anyhow::ensure!(is_joined, "not joined: {answer:?}");
    Ok(())
}

/// Publishes so many bytes, which begin with the time.
pub fn publish(
    node: &Node,
    room: &Name,
    class: Class,
    number: u64,
    bytes: usize,
) -> anyhow::Result<()> {
    let mut payload = vec![7; bytes.max(8)];
    let sent = clock::now().as_us().to_be_bytes();
    payload
        .iter_mut()
        .zip(sent)
        .for_each(|(byte, sent)| *byte = sent);
    let mut id = [0; 16];
    id.iter_mut()
        .zip(number.to_be_bytes().into_iter().chain(sent))
        .for_each(|(byte, part)| *byte = part);
    let publish = Request::Publish(Publish {
        room: room.clone(),
        topic: TOPIC.parse()?,
        class,
        ttl_ms: 30_000,
        id: MessageId(id),
        to: Vec::new(),
        want: Want::Nothing,
        payload: Bytes::from(payload),
    });
    node.driver.with(|member, now| member.ask(now, publish))?;
    Ok(())
}

fn settings() -> RoomSettings {
    RoomSettings {
        members_max: 10_000,
        retention: Retention {
            count_max: 10_000,
            bytes_max: 16 * 1024 * 1024,
            age_max_s: 3_600,
        },
        is_transient: false,
        role_max: RoomRole::Dispatcher,
    }
}

/// Rooms that a node is in: they are filled one after the other, and then from the first node again.
fn rooms_of(place: usize, nodes: usize, load: Load) -> Vec<usize> {
    let seats = load.rooms * load.members;
    let own = (place..seats).step_by(nodes.max(1));
    own.map(|seat| seat / load.members).collect()
}

fn speaker_of(room: usize, nodes: usize, load: Load) -> usize {
    room * load.members % nodes.max(1)
}

pub fn room_name(room: usize) -> anyhow::Result<Name> {
    Ok(format!("room-{room}").parse()?)
}

const P99_US_MAX: u64 = 50_000;
/// Above this the members' process takes all of its core, and what is measured is how long a message waits there: what counts is that nothing
/// piles up.
const READERS_AT_EASE_PER_S: f64 = 15_000.0;
const SUSTAINED_P99_US_MAX: u64 = 100_000;
const OFF_PCT_MAX: f64 = 20.0;
const TOPIC: &str = "talk";
/// Bytes of a message: a position with a few words.
const BODY: usize = 200;
const SETTLE: Duration = Duration::from_secs(2);
/// Answers that are waited for at once.
const JOINING_MAX: usize = 256;
const DRAIN: Duration = Duration::from_secs(2);
