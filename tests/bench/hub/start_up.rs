//! How soon a relay answers whose hub has stored much.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use longrein_proto::base::{Class, NodeKind};
use longrein_proto::hub::{Entry, Query, ReadFrom, StoreOp};
use longrein_proto::wire::hub::{MessageId, Request};
use longrein_relay::store::{Sqlite, Store, Sync};
use tokio::time::{Instant, sleep};

use super::fleet::{Hub, names};
use super::room::{join, publish, room_name};
use super::verdict::Verdict;

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct StartFigures {
    messages: u64,
    /// From the start of the process until a node has an answer of the hub, its connecting included.
    answered_ms: f64,
}

/// Has a hub keep one message in each of some rooms, kills it, adds so many like it to its store, and starts it again.
pub async fn measure(messages: u64) -> anyhow::Result<StartFigures> {
    let node = names(NodeKind::Controller, 1)?;
    let mut hub = Hub::start(&node, "").await?;
    let nodes = hub.connect_all(&node).await?;
    for (room, node) in (0..ROOMS).flat_map(|room| nodes.iter().map(move |node| (room, node))) {
        let name = room_name(room)?;
        join(node, &name).await?;
        publish(node, &name, Class::Reliable, room as u64 + 1, BODY)?;
    }
    sleep(SETTLE).await;
    drop(nodes);
    hub.kill()?;
    fill(&hub, messages)?;
    let began = Instant::now();
    hub.restart()?;
    let nodes = hub.connect_all(&node).await?;
    for node in &nodes {
        let rooms = Request::Rooms {
            after: None,
            count: 1,
        };
        node.ask(rooms).await?;
    }
    Ok(StartFigures {
        messages,
        answered_ms: began.elapsed().as_secs_f64() * 1e3,
    })
}

/// Adds messages to the journals that are there.
fn fill(hub: &Hub, messages: u64) -> anyhow::Result<()> {
    let mut store = Sqlite::open(&hub.store(), Sync::Normal)?;
    let journals = store.load()?.journals;
    anyhow::ensure!(journals.len() >= ROOMS, "{} journals", journals.len());
    let each = messages.div_ceil(journals.len() as u64);
    let mut reader = store.reader()?;
    for (journal, head) in journals {
        let query = Query {
            journal: Arc::clone(&journal),
            from: ReadFrom::Number(0),
            backwards: false,
            count_max: 1,
            bytes_max: BODY * 10,
        };
        let page = reader.read(&query)?;
        let model = page.entries.first().context("a message in each journal")?;
        let append = |place: u64| StoreOp::Append {
            journal: Arc::clone(&journal),
            entry: Entry {
                number: head.next + place,
                at_ms: model.at_ms,
                id: MessageId(u128::from(head.next + place).to_be_bytes()),
                bytes: Arc::clone(&model.bytes),
            },
        };
        store.commit(&[(0..each).map(append).collect()])?;
    }
    Ok(())
}

impl StartFigures {
    fn holds(&self) -> bool {
        self.answered_ms < ANSWERED_MS_MAX
    }

    pub fn verdict(&self) -> Verdict {
        let json =
            serde_json::json!({ "messages": self.messages, "answered_ms": self.answered_ms });
        let text = format!(
            "with {} stored messages a node has an answer {:.0} ms after the start of the program",
            self.messages, self.answered_ms
        );
        Verdict::new(json, text, self.holds())
    }
}

const ROOMS: usize = 200;
const BODY: usize = 200;
const ANSWERED_MS_MAX: f64 = 1_000.0;
const SETTLE: Duration = Duration::from_secs(2);
