//! How fast is the hub's store? `cargo run --release -p longrein-relay --example store_speed -- FOLDER`
//!
//! Each batch appends one message of 200 bytes to one of 1,000 journals. Printed are commits a second with 1,000 batches on their way, the
//! time from giving a batch to hearing that it is stored at 1,000 batches a second, and the time to open a store with 1,000,000
//! messages.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use longrein_proto::hub::{Entry, Query, ReadFrom, StoreOp};
use longrein_proto::wire::hub::MessageId;
use longrein_relay::store::{Keeper, Sqlite, Store, Sync, Ticket};

const JOURNALS: u64 = 1_000;
const MESSAGES: u64 = 1_000_000;

fn main() {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("a folder is needed that does not exist yet");
        return;
    };
    let folder = Path::new(&folder);
    for sync in [Sync::Full, Sync::Normal] {
        let directory = folder.join(format!("{sync:?}"));
        throughput(&directory, sync);
        latency(&directory, sync);
    }
    start(&folder.join("start"));
    std::fs::remove_dir_all(folder).unwrap();
}

fn batch(number: u64) -> Vec<StoreOp> {
    let journal = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    vec![StoreOp::Append {
        journal: format!("topic/yard-{}/status", journal % JOURNALS).into(),
        entry: Entry {
            number,
            at_ms: 1_700_000_000_000 + number,
            id: MessageId(u128::from(number).to_be_bytes()),
            bytes: Arc::from([7; 200]),
        },
    }]
}

fn keeper(directory: &Path, sync: Sync) -> (Keeper, Receiver<(u64, Instant)>, u64) {
    let mut store = Sqlite::open(directory, sync).unwrap();
    let loaded = store.load().unwrap();
    let next = loaded.journals.iter().map(|(_, head)| head.next).max();
    let (tell, told) = channel();
    let on_outcome = move |outcome: longrein_relay::store::Outcome| {
        outcome.result.unwrap();
        let _ = tell.send((outcome.ticket.0, Instant::now()));
    };
    let keeper = Keeper::start(Box::new(store), on_outcome, drop).unwrap();
    (keeper, told, next.unwrap_or(1))
}

fn throughput(directory: &Path, sync: Sync) {
    let (keeper, told, mut next) = keeper(directory, sync);
    let begun = Instant::now();
    let (mut stored, mut waiting) = (0, 0);
    while begun.elapsed() < Duration::from_secs(8) {
        while waiting < 1_000 {
            keeper.try_commit(Ticket(next), next, batch(next)).unwrap();
            next += 1;
            waiting += 1;
        }
        told.recv().unwrap();
        stored += 1;
        waiting -= 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let counts = keeper.counts();
    println!(
        "{sync:?}: {:.0} commits/s in {:.0} transactions/s",
        f64::from(stored) / seconds,
        u32::try_from(counts.transactions).map_or(0.0, f64::from) / seconds,
    );
}

fn latency(directory: &Path, sync: Sync) {
    let (keeper, told, next) = keeper(directory, sync);
    let count = 15_000_u32;
    let begun = Instant::now();
    let due = |index: u32| begun + Duration::from_millis(1) * index;
    for index in 0..count {
        std::thread::sleep(due(index).saturating_duration_since(Instant::now()));
        let number = next + u64::from(index);
        keeper
            .try_commit(Ticket(number), number, batch(number))
            .unwrap();
    }
    // From when it was due: whoever is held up counts the delay, too.
    let mut us: Vec<u128> = told
        .iter()
        .take(15_000)
        .map(|(ticket, at)| {
            let index = u32::try_from(ticket - next).unwrap();
            at.saturating_duration_since(due(index)).as_micros()
        })
        .collect();
    us.sort_unstable();
    let at = |per_mille: usize| us[us.len() * per_mille / 1_000];
    println!(
        "{sync:?}: at 1,000/s stored after p50 {} p90 {} p99 {} p99.9 {} max {} us",
        at(500),
        at(900),
        at(990),
        at(999),
        us[us.len() - 1],
    );
}

fn start(directory: &Path) {
    let mut store = Sqlite::open(directory, Sync::Normal).unwrap();
    store.load().unwrap();
    let begun = Instant::now();
    for first in (1..=MESSAGES).step_by(10_000) {
        let batches: Vec<_> = (first..first + 10_000).map(batch).collect();
        store.commit(&batches).unwrap();
    }
    println!("{MESSAGES} messages written in {:?}", begun.elapsed());
    drop(store);
    let bytes = directory.join("hub.sqlite").metadata().unwrap().len();
    let begun = Instant::now();
    let mut store = Sqlite::open(directory, Sync::Full).unwrap();
    let loaded = store.load().unwrap();
    println!(
        "start with {} journals in a file of {} MB: {:?}",
        loaded.journals.len(),
        bytes / 1_000_000,
        begun.elapsed()
    );
    let mut reader = store.reader().unwrap();
    let mut us = Vec::new();
    for index in 0..1_000_u64 {
        let journal = &loaded.journals[usize::try_from(index).unwrap()].0;
        let query = Query {
            journal: Arc::clone(journal),
            from: ReadFrom::Time(1_700_000_000_000 + index * 1_000),
            backwards: index % 2 == 0,
            count_max: 100,
            bytes_max: 100_000,
        };
        let begun = Instant::now();
        reader.read(&query).unwrap();
        us.push(begun.elapsed().as_micros());
    }
    us.sort_unstable();
    println!("page of 100 by time: p50 {} p99 {} us", us[500], us[990]);
    let begun = Instant::now();
    let journal = Arc::clone(&loaded.journals[0].0);
    let retain = StoreOp::Retain {
        journal,
        count_max: 10,
        bytes_max: u64::MAX,
        not_before_ms: 0,
    };
    store.commit(&[vec![retain]]).unwrap();
    println!("about 1,000 messages gone after {:?}", begun.elapsed());
}
