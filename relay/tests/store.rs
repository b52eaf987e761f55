//! The hub's store under what happens to machines: a program that is killed, a disk that is full, and the command line.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod store_child;
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use longrein_proto::hub::{Query, ReadFrom, StoreOp, Table};
use longrein_relay::store::{Sqlite, Store, Sync};
use support::Folder;
use support::program::run;

use store_child::{Chance, JOURNALS, SHORT, SHORT_COUNT, message};

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

#[test]
fn what_was_acknowledged_is_there_after_each_of_many_kills() {
    if let Some(directory) = store_child::told_to("commit") {
        store_child::commit_until_killed(&directory);
        return;
    }
    let seed = match std::env::var("LONGREIN_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) + now.as_secs()
        }
    };
    println!("again: LONGREIN_SEED={seed}");
    let mut chance = Chance::new(seed);
    let folder = Folder::new("store-killed");
    let mut acknowledged = Acknowledged::default();
    for round in 0..15 {
        let test = "what_was_acknowledged_is_there_after_each_of_many_kills";
        let mut command = store_child::again(test, "commit", folder.path());
        command.env("LONGREIN_SEED", chance.next(1 << 40).to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let until = chance.next(400);
        let mut lines = 0;
        let mut line = String::new();
        while lines < until && said.read_line(&mut line).unwrap() > 0 {
            lines += u64::from(acknowledged.note(&line));
            line.clear();
        }
        assert_eq!(lines, until, "round {round}: it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died counts, too; but for a line that was cut off.
        let mut rest = line;
        said.read_to_string(&mut rest).unwrap();
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        whole.lines().for_each(|line| {
            acknowledged.note(line);
        });
        acknowledged.look(folder.path());
    }
}

/// What the children said that is stored.
#[derive(Default)]
struct Acknowledged {
    messages: BTreeSet<(String, u64)>,
    revision: u64,
    /// As last loaded.
    starts: u32,
}

impl Acknowledged {
    /// Takes a line such as `stored 17 b:204 e:205`; whether it is one.
    fn note(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        if words.next() != Some("stored") {
            return false;
        }
        self.revision = words.next().unwrap().parse().unwrap();
        for word in words {
            let (journal, number) = word.split_once(':').unwrap();
            let number = number.parse().unwrap();
            self.messages.insert((journal.to_string(), number));
        }
        true
    }

    /// Looks whether all of it is there, in order and sound.
    fn look(&mut self, directory: &Path) {
        let mut store = Sqlite::open(directory, Sync::Normal).unwrap();
        let loaded = store.load().unwrap();
        // The first of the round may have died before it was one.
        assert!(loaded.starts > self.starts);
        self.starts = loaded.starts;
        let revision = loaded.records.first().map_or(0, |record| record.2);
        assert!(revision >= self.revision, "{revision} {}", self.revision);
        let mut reader = store.reader().unwrap();
        let mut found = BTreeSet::new();
        for (name, head) in loaded.journals {
            let mut query = Query {
                journal: name.clone(),
                from: ReadFrom::Number(0),
                backwards: false,
                count_max: 100,
                bytes_max: 10_000,
            };
            let (mut numbers, mut bytes) = (Vec::new(), 0);
            loop {
                let page = reader.read(&query).unwrap();
                for entry in page.entries {
                    assert_eq!(entry, message(&name, entry.number));
                    bytes += entry.bytes.len() as u64;
                    numbers.push(entry.number);
                }
                if !page.more {
                    break;
                }
                query.from = ReadFrom::Number(numbers.last().unwrap() + 1);
            }
            assert!(numbers.is_sorted_by(|one, next| one < next));
            assert_eq!(head.count, numbers.len() as u64);
            assert_eq!(head.bytes, bytes);
            assert_eq!(Some(&head.first), numbers.first());
            assert_eq!(head.next, numbers.last().unwrap() + 1);
            if &*name == SHORT {
                assert!(head.count <= SHORT_COUNT);
            } else {
                assert!(JOURNALS.contains(&&*name));
                found.extend(numbers.into_iter().map(|number| (name.to_string(), number)));
            }
        }
        let lost: Vec<_> = self.messages.difference(&found).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        drop((reader, store));
        let file = rusqlite::Connection::open(directory.join("hub.sqlite")).unwrap();
        let sound: String = file
            .query_row("PRAGMA integrity_check", (), |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
    }
}

#[test]
fn a_full_disk_refuses_what_is_to_be_stored_until_there_is_room_again() {
    if let Some(directory) = store_child::told_to("fill") {
        store_child::fill_and_empty(&directory);
        return;
    }
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: a file system of its own needs root");
        return;
    }
    let folder = Folder::new("store-full");
    let test = "a_full_disk_refuses_what_is_to_be_stored_until_there_is_room_again";
    let inner = store_child::again(test, "fill", folder.path());
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=4m,mode=700 tmpfs \"$0\" && exec \"$@\"")
        .arg(folder.path())
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap());
    }
    let ended = command.output().unwrap();
    assert!(
        ended.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(String::from_utf8_lossy(&ended.stdout).contains("1 passed"));
}

#[test]
fn a_store_is_copied_while_a_relay_has_it_and_restored_when_none_has() {
    let folder = Folder::new("store-backup");
    let hub = folder.path().join("hub");
    let mut store = Sqlite::open(&hub, Sync::Full).unwrap();
    let put = |revision: u64| StoreOp::Put {
        table: Table::Rooms,
        key: "yard".to_string(),
        revision,
        value: [7][..].into(),
    };
    store.commit(&[vec![put(1)]]).unwrap();
    let config = format!("[hub]\ndirectory = \"{}\"\n", hub.display());
    let config = folder.file("relay.toml", &config).display().to_string();
    let copy = folder.path().join("copy").display().to_string();
    let backup = ["backup", "--config", &config, "--to", &copy];
    let (code, stdout, stderr) = run(RELAY, &backup);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert!(
        stderr.ends_with(&format!(" bytes are in {copy}\n")),
        "{stderr}"
    );
    let (code, _, stderr) = run(RELAY, &backup);
    assert_eq!(code, Some(1));
    let line = format!("longrein-relay: cannot make {copy}: File exists (os error 17)\n");
    assert_eq!(stderr, line);

    store.commit(&[vec![put(2)]]).unwrap();
    let restore = ["restore", "--config", &config, "--from", &copy];
    let (code, _, stderr) = run(RELAY, &restore);
    assert_eq!(code, Some(3));
    let hub_text = hub.display();
    let line = format!("longrein-relay: another program uses the hub's store in {hub_text}\n");
    assert_eq!(stderr, line);
    drop(store);
    let (code, _, stderr) = run(RELAY, &restore);
    assert_eq!(code, Some(0), "{stderr}");
    let mut store = Sqlite::open(&hub, Sync::Full).unwrap();
    let records = store.load().unwrap().records;
    assert_eq!(records.first().map(|record| record.2), Some(1));
}
