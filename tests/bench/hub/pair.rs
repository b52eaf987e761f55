//! A pair that drives: a controller and a vehicle whose sealed commands the relay forwards. They have a thread of their own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use longrein_io::{clock, runtime};
use longrein_proto::base::{Channel, Class, Flow, MonoTime, NodeKind, NodeName, SessionId};
use longrein_proto::role::{Input, Redial, Role, Transmit};
use longrein_proto::wire::{Notice, Parcel, SealedHeader};
use longrein_tests::RawNode;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::fleet::Door;
use crate::spread::Spread;

/// A pair that drives until this is dropped.
pub struct Pair {
    delays_us: Arc<Mutex<Vec<u64>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Pair {
    /// The names of its two nodes.
    pub fn names() -> anyhow::Result<[NodeName; 2]> {
        Ok([
            NodeName::new(NodeKind::Controller, "pilot".parse()?),
            NodeName::new(NodeKind::Agent, "machine".parse()?),
        ])
    }

    /// Connects both, and drives.
    pub async fn start(door: Door) -> anyhow::Result<Pair> {
        let delays_us = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (noted, end) = (Arc::clone(&delays_us), Arc::clone(&over));
        let thread = thread::Builder::new()
            .name("pair".to_string())
            .spawn(move || runtime::run(async || drive(&door, &noted, &end).await)?)?;
        let pair = Pair {
            delays_us,
            over,
            thread: Some(thread),
        };
        for _ in 0..START_LOOKS {
            if !pair.lock().is_empty() {
                pair.take();
                return Ok(pair);
            }
            sleep(LOOK).await;
        }
        anyhow::bail!("the pair does not drive")
    }

    /// Delays of the commands that arrived since the last call, in µs.
    pub fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock())
    }

    /// Delays of the commands that arrived since the last call.
    pub fn spread(&self) -> Spread {
        Spread::of(self.take())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.delays_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(Err(_) | Ok(Err(_))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the pair did not drive to the end");
        }
    }
}

async fn drive(door: &Door, noted: &Arc<Mutex<Vec<u64>>>, over: &AtomicBool) -> anyhow::Result<()> {
    let [pilot, machine] = Pair::names()?;
    let noted = Arc::clone(noted);
    let to = door.connect_as(&machine, door.address, |_| Machine {
        node: RawNode::new(1),
        noted,
    })?;
    let from = door.connect_as(&pilot, door.address, |_| RawNode::new(1))?;
    to.is_up().await.context("machine")?;
    from.is_up().await.context("pilot")?;
    sleep(SETTLE).await;
    let session = SessionId(1);
    let route = Parcel::Notice(Notice::Route {
        session,
        to: machine,
    });
    from.driver.with(|node, now| node.send(now, route.encode()));
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let mut ciphertext = vec![7; BYTES];
        let sent = clock::now().as_us().to_be_bytes();
        ciphertext
            .iter_mut()
            .zip(sent)
            .for_each(|(byte, sent)| *byte = sent);
        let header = SealedHeader {
            key_phase: 0,
            session,
            flow: Flow {
                channel: Channel::SESSION,
                class: Class::Latest,
            },
            number,
            ttl_ms: 1_000,
        };
        let ciphertext = ciphertext.into();
        let parcel = Parcel::Sealed { header, ciphertext }.encode();
        from.driver.with(|node, now| node.send(now, parcel));
    }
    Ok(())
}

/// A vehicle that notes how long its commands took.
struct Machine {
    node: RawNode,
    noted: Arc<Mutex<Vec<u64>>>,
}

impl Role for Machine {
    type Event = ();

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        self.node.handle(now, input);
        for parcel in self.node.heard.drain(..) {
            if let Parcel::Sealed { ciphertext, .. } = parcel
                && let Some(sent) = ciphertext.first_chunk::<8>()
            {
                let delay = clock::now()
                    .as_us()
                    .saturating_sub(u64::from_be_bytes(*sent));
                let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.push(delay);
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.node.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<()> {
        self.node.poll_event()
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.node.poll_redial()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        self.node.next_timeout()
    }
}

/// Between commands.
pub const PERIOD: Duration = Duration::from_millis(10);
/// Body of 100 bytes, sealed.
const BYTES: usize = 126;
const SETTLE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(20);
const START_LOOKS: usize = 1_000;
