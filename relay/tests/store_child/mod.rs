//! What the test's program does when it is started once more, as a program of its own.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use longrein_proto::hub::{Entry, StoreOp, Table};
use longrein_proto::wire::hub::MessageId;
use longrein_relay::store::{Keeper, Outcome, Sqlite, Store, StoreError, Sync, Ticket};

/// Journals whose messages stay.
pub const JOURNALS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// The journal whose old messages go.
pub const SHORT: &str = "short";
/// How many of them stay.
pub const SHORT_COUNT: u64 = 10;

/// A command that runs this test once more, told to do this with a folder.
pub fn again(test: &str, what: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env("LONGREIN_STORE_CHILD", what)
        .env("LONGREIN_STORE_DIRECTORY", directory);
    command
}

/// The folder, when this process was told to do this with it.
pub fn told_to(what: &str) -> Option<PathBuf> {
    let told = std::env::var("LONGREIN_STORE_CHILD").ok()?;
    (told == what).then(|| std::env::var_os("LONGREIN_STORE_DIRECTORY").unwrap().into())
}

/// The message with this number, which says all of itself.
pub fn message(journal: &str, number: u64) -> Entry {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let text = format!("{journal} {number} ");
    let length = usize::try_from(number % 700).unwrap();
    Entry {
        number,
        at_ms: 1_700_000_000_000 + number,
        id: MessageId(id),
        bytes: text.bytes().cycle().take(length).collect(),
    }
}

/// Commits batches as fast as it can, several at a time, and says which are stored, until it is killed.
pub fn commit_until_killed(directory: &Path) {
    let mut chance = Chance::new(std::env::var("LONGREIN_SEED").unwrap().parse().unwrap());
    let mut store = Sqlite::open(directory, Sync::Normal).unwrap();
    let loaded = store.load().unwrap();
    let mut number = loaded.journals.iter().map(|(_, head)| head.next).max();
    let mut revision = loaded.records.first().map_or(0, |record| record.2);
    let (keeper, outcomes) = keep(store);
    let mut waiting = VecDeque::new();
    println!();
    loop {
        while waiting.len() < 40 {
            revision += 1;
            let mut batch = vec![StoreOp::Put {
                table: Table::Documents,
                key: "count".to_string(),
                revision,
                value: revision.to_be_bytes()[..].into(),
            }];
            let mut line = format!("stored {revision}");
            for _ in 0..=chance.next(3) {
                let next = number.unwrap_or(1) + 1;
                number = Some(next);
                let journal = usize::try_from(chance.next(5)).unwrap();
                let journal = JOURNALS.get(journal).unwrap();
                batch.push(append(journal, next));
                line += &format!(" {journal}:{next}");
            }
            batch.push(append(SHORT, number.unwrap()));
            batch.push(StoreOp::Retain {
                journal: SHORT.into(),
                count_max: SHORT_COUNT,
                bytes_max: u64::MAX,
                not_before_ms: 0,
            });
            keeper
                .try_commit(Ticket(revision), revision, batch)
                .unwrap();
            waiting.push_back((revision, line));
        }
        let outcome = outcomes.recv().unwrap();
        outcome.result.unwrap();
        let (ticket, line) = waiting.pop_front().unwrap();
        assert_eq!(outcome.ticket, Ticket(ticket));
        let mut stdout = std::io::stdout().lock();
        // The other end may have gone with whoever kills this.
        if writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .is_err()
        {
            return;
        }
    }
}

/// Fills the file system of this folder, stores what it can, makes room, and goes on.
pub fn fill_and_empty(directory: &Path) {
    let mut store = Sqlite::open(&directory.join("hub"), Sync::Full).unwrap();
    store.load().unwrap();
    let (keeper, outcomes) = keep(store);
    let mut tries = 0;
    // Each try is a generation: after a failure the hub says anew what is to be stored.
    let mut commit = |number: u64| {
        tries += 1;
        let batch = vec![append("a", number)];
        keeper.try_commit(Ticket(tries), tries, batch).unwrap();
        outcomes.recv().unwrap().result
    };
    commit(1).unwrap();
    let filler = directory.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[7; 512]).is_ok() {}
    drop(file);
    let mut number = 1;
    // A page of the log that was there already may still be filled.
    let why = loop {
        number += 1;
        match commit(number) {
            Ok(_) => assert!(number < 1_000),
            Err(why) => break why,
        }
    };
    assert_eq!(why, StoreError::Full);
    assert!(keeper.is_degraded());
    assert_eq!(commit(number), Err(StoreError::Full));
    fs::remove_file(filler).unwrap();
    commit(number + 1).unwrap();
    assert!(!keeper.is_degraded());
    keeper.close();
    let mut store = Sqlite::open(&directory.join("hub"), Sync::Full).unwrap();
    let (_, head) = store.load().unwrap().journals.remove(0);
    assert_eq!((head.count, head.next), (number, number + 2));
}

fn keep(store: Sqlite) -> (Keeper, Receiver<Outcome>) {
    let (tell, outcomes) = channel();
    let keeper = Keeper::start(
        Box::new(store),
        move |outcome| drop(tell.send(outcome)),
        drop,
    );
    (keeper.unwrap(), outcomes)
}

fn append(journal: &str, number: u64) -> StoreOp {
    StoreOp::Append {
        journal: Arc::from(journal),
        entry: message(journal, number),
    }
}

/// Numbers that a seed repeats (SplitMix64).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// From 0 to this.
    pub fn next(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % (max + 1)
    }
}
