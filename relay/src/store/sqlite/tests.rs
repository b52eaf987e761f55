use longrein_proto::hub::{Page, Query, ReadFrom};

use super::super::pages;
use super::super::testing::{Folder, append, entry, numbers, put, query};
use super::*;

fn one(store: &mut Sqlite, batch: Vec<StoreOp>) -> Result<Committed, StoreError> {
    let mut committed = store.commit(&[batch])?;
    assert_eq!(committed.len(), 1);
    Ok(committed.remove(0))
}

fn read(store: &Sqlite, query: &Query) -> Page {
    store.reader().unwrap().read(query).unwrap()
}

fn all(store: &Sqlite, journal: &str) -> Vec<u64> {
    let from = ReadFrom::Number(0);
    numbers(&read(store, &query(journal, from, false, 4_096)))
}

fn head(first: u64, next: u64, count: u64, bytes: u64) -> JournalHead {
    JournalHead {
        first,
        next,
        count,
        bytes,
    }
}

#[test]
fn a_store_keeps_its_epoch_and_counts_its_starts() {
    let folder = Folder::new();
    let first = folder.open().load().unwrap();
    let second = folder.open().load().unwrap();
    assert_eq!((first.starts, second.starts), (1, 2));
    assert_eq!(first.epoch, second.epoch);
    assert_ne!(first.epoch, Folder::new().open().load().unwrap().epoch);
}

#[test]
fn records_are_loaded_as_they_were_put() {
    let folder = Folder::new();
    let mut store = folder.open();
    let document = StoreOp::Put {
        table: Table::Documents,
        key: "a".to_string(),
        revision: 1,
        value: [7][..].into(),
    };
    one(
        &mut store,
        vec![put("a", 1, b"x"), document, put("b", 1, b"")],
    )
    .unwrap();
    one(&mut store, vec![put("a", 2, b"yy")]).unwrap();
    let table = Table::Rooms;
    let key = "b".to_string();
    one(&mut store, vec![StoreOp::Remove { table, key }]).unwrap();
    drop(store);
    let records = folder.open().load().unwrap().records;
    let expected: Vec<(Table, String, u64, Arc<[u8]>)> = vec![
        (Table::Rooms, "a".to_string(), 2, b"yy"[..].into()),
        (Table::Documents, "a".to_string(), 1, [7][..].into()),
    ];
    assert_eq!(records, expected);
}

#[test]
fn a_revision_that_follows_none_that_is_there_is_a_conflict() {
    let folder = Folder::new();
    let mut store = folder.open();
    one(&mut store, vec![put("a", 1, b"1"), put("a", 2, b"2")]).unwrap();
    for (key, revision, found) in [
        ("a", 1, Some(2)),
        ("a", 2, Some(2)),
        ("a", 4, Some(2)),
        ("b", 2, None),
    ] {
        let conflict = StoreError::Conflict {
            table: Table::Rooms,
            key: key.to_string(),
            revision,
            found,
        };
        let refused = one(&mut store, vec![put(key, revision, b"x")]);
        assert_eq!(refused, Err(conflict));
    }
    let records = store.load().unwrap().records;
    let expected = (Table::Rooms, "a".to_string(), 2, b"2"[..].into());
    assert_eq!(records, [expected]);
}

#[test]
fn batches_are_stored_all_or_none_and_the_store_goes_on() {
    let folder = Folder::new();
    let mut store = folder.open();
    let batches = [
        vec![append("j", 1, 1), put("a", 1, b"1")],
        vec![append("k", 1, 1), append("j", 2, 2), put("a", 3, b"3")],
        vec![append("j", 3, 3)],
    ];
    store.commit(&batches).unwrap_err();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.records, loaded.journals), (vec![], vec![]));
    assert!(all(&store, "j").is_empty());
    one(&mut store, vec![append("j", 1, 1)]).unwrap();
    assert_eq!(all(&store, "j"), [1]);
}

#[test]
fn what_is_above_a_bound_is_refused() {
    let folder = Folder::new();
    let mut store = folder.open();
    let long = "k".repeat(513);
    for op in [
        put(&long, 1, b""),
        put("a", 1, &vec![0; 1024 * 1024 + 1]),
        put("a", u64::MAX, b""),
        append(&long, 1, 1),
        append("j", i64::MAX.unsigned_abs(), 1),
        append("j", u64::MAX, 1),
        append("j", 1, u64::MAX),
    ] {
        let refused = one(&mut store, vec![op]).unwrap_err();
        assert!(matches!(refused, StoreError::TooLarge { .. }), "{refused}");
    }
    assert!(store.load().unwrap().journals.is_empty());
}

#[test]
fn a_number_that_was_used_is_refused_also_when_its_message_is_gone() {
    let folder = Folder::new();
    let mut store = folder.open();
    let journal: Arc<str> = "j".into();
    one(&mut store, vec![append("j", 5, 1)]).unwrap();
    let below = u64::MAX;
    let discard = StoreOp::Discard {
        journal: Arc::clone(&journal),
        below,
    };
    let committed = one(&mut store, vec![discard]).unwrap();
    assert_eq!(
        committed.shortened,
        [(Arc::clone(&journal), head(6, 6, 0, 0))]
    );
    let refused = one(&mut store, vec![append("j", 5, 1)]);
    let (number, next) = (5, 6);
    assert_eq!(
        refused,
        Err(StoreError::Order {
            journal: Arc::clone(&journal),
            number,
            next
        })
    );
    let again = vec![StoreOp::Drop { journal }, append("j", 5, 1)];
    assert_eq!(one(&mut store, again), Ok(Committed::default()));
    assert_eq!(all(&store, "j"), [5]);
}

#[test]
fn each_bound_of_retention_counts() {
    let folder = Folder::new();
    let mut store = folder.open();
    for (name, count_max, bytes_max, not_before_ms, left) in [
        ("count", 3, u64::MAX, 0, vec![30, 40, 50]),
        ("bytes", u64::MAX, 25, 0, vec![40, 50]),
        ("time", u64::MAX, u64::MAX, 1_050, vec![50]),
        ("all", 4, 35, 1_030, vec![30, 40, 50]),
        ("none", 5, 50, 1_000, vec![10, 20, 30, 40, 50]),
        ("nothing", 0, 0, u64::MAX, vec![]),
    ] {
        let journal: Arc<str> = name.into();
        let mut batch: Vec<StoreOp> = (1..=5)
            .map(|n| append(name, n * 10, 1_000 + n * 10))
            .collect();
        batch.push(StoreOp::Retain {
            journal: Arc::clone(&journal),
            count_max,
            bytes_max,
            not_before_ms,
        });
        let committed = one(&mut store, batch).unwrap();
        assert_eq!(all(&store, name), left, "{name}");
        let count = left.len() as u64;
        let first = left.first().copied().unwrap_or(51);
        let told = match count {
            5 => vec![],
            _ => vec![(journal, head(first, 51, count, count * 10))],
        };
        assert_eq!(committed.shortened, told, "{name}");
    }
}

#[test]
fn each_batch_is_told_the_heads_as_they_stood_after_it() {
    let folder = Folder::new();
    let mut store = folder.open();
    let journal: Arc<str> = "j".into();
    let discard = |below| StoreOp::Discard {
        journal: Arc::clone(&journal),
        below,
    };
    let batches = [
        vec![append("j", 1, 1), append("j", 2, 1), discard(2)],
        vec![append("j", 3, 1)],
        vec![discard(2)],
        vec![
            discard(3),
            StoreOp::Drop {
                journal: Arc::clone(&journal),
            },
        ],
    ];
    let shortened: Vec<_> = store
        .commit(&batches)
        .unwrap()
        .into_iter()
        .map(|committed| committed.shortened)
        .collect();
    let first = vec![(Arc::clone(&journal), head(2, 3, 1, 10))];
    assert_eq!(shortened, [first, vec![], vec![], vec![]]);
    assert!(store.load().unwrap().journals.is_empty());
}

#[test]
fn pages_are_bounded_by_count_and_bytes_and_say_whether_there_is_more() {
    let folder = Folder::new();
    let mut store = folder.open();
    one(&mut store, (1..=5).map(|n| append("j", n, n)).collect()).unwrap();
    let page = |backwards, number, count_max, bytes_max| {
        let from = ReadFrom::Number(number);
        let query = Query {
            bytes_max,
            ..query("j", from, backwards, count_max)
        };
        let page = read(&store, &query);
        (numbers(&page), page.more)
    };
    assert_eq!(page(false, 0, 2, 1_000), (vec![1, 2], true));
    assert_eq!(page(false, 4, 2, 1_000), (vec![4, 5], false));
    assert_eq!(page(false, 0, 9, 30), (vec![1, 2, 3], true));
    assert_eq!(page(false, 6, 9, 30), (vec![], false));
    assert_eq!(page(true, u64::MAX, 2, 1_000), (vec![5, 4], true));
    assert_eq!(page(true, 2, 9, 1_000), (vec![2, 1], false));
    // One message at least.
    assert_eq!(page(true, 3, 0, 0), (vec![3], true));
    assert_eq!(page(false, 5, 0, 0), (vec![5], false));
    let from = ReadFrom::Time(0);
    assert_eq!(
        read(&store, &query("nowhere", from, false, 9)),
        Page::default()
    );
}

#[test]
fn a_journals_clock_never_goes_back_for_who_reads_by_time() {
    let folder = Folder::new();
    let mut store = folder.open();
    let times = [100, 200, 200, 150, 300];
    let batch = (1..).zip(times).map(|(n, at_ms)| append("j", n * 7, at_ms));
    one(&mut store, batch.collect()).unwrap();
    let from = |ms, backwards| {
        let page = read(&store, &query("j", ReadFrom::Time(ms), backwards, 1));
        numbers(&page).first().copied()
    };
    for (ms, forwards, backwards) in [
        (99, Some(7), None),
        (100, Some(7), Some(7)),
        (101, Some(14), Some(7)),
        // The fourth came at 150, after the clock had shown 200.
        (150, Some(14), Some(7)),
        (200, Some(14), Some(28)),
        (201, Some(35), Some(28)),
        (300, Some(35), Some(35)),
        (u64::MAX, None, Some(35)),
    ] {
        assert_eq!(
            (from(ms, false), from(ms, true)),
            (forwards, backwards),
            "{ms}"
        );
    }
    // What is read has its own time.
    let page = read(&store, &query("j", ReadFrom::Number(28), false, 1));
    assert_eq!(page.entries, [entry(28, 150, 10)]);
}

#[test]
fn reading_waits_for_no_commit_and_sees_what_was_committed_before_it() {
    let folder = Folder::new();
    let mut store = folder.open();
    one(&mut store, vec![append("j", 1, 1)]).unwrap();
    let mut reader = store.reader().unwrap();
    // A commit at work.
    store
        .connection()
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM entry")
        .unwrap();
    let query = query("j", ReadFrom::Number(0), false, 9);
    assert_eq!(numbers(&reader.read(&query).unwrap()), [1]);
    store.connection().execute_batch("ROLLBACK").unwrap();
    one(&mut store, vec![append("j", 2, 1)]).unwrap();
    assert_eq!(numbers(&reader.read(&query).unwrap()), [1, 2]);
}

#[test]
fn loading_touches_no_message() {
    let folder = Folder::new();
    let mut store = folder.open();
    one(&mut store, (1..=3).map(|n| append("j", n, n)).collect()).unwrap();
    // Without their table, none can be touched.
    store
        .connection()
        .execute_batch("DROP TABLE entry")
        .unwrap();
    drop(store);
    let journals = folder.open().load().unwrap().journals;
    assert_eq!(journals, [("j".into(), head(1, 4, 3, 30))]);
}

#[test]
fn every_look_at_messages_goes_straight_to_its_place() {
    let folder = Folder::new();
    let store = folder.open();
    for sql in pages::STATEMENTS {
        let mut plan = store
            .connection()
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let (one, two) = (1_i64, 2_i64);
        let values: &[&dyn rusqlite::ToSql] = match plan.parameter_count() {
            1 => &[&one],
            _ => &[&one, &two],
        };
        let steps: Vec<String> = plan
            .query_map(values, |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let is_direct = |step: &String| {
            step.starts_with("SEARCH entry USING PRIMARY KEY")
                || step.starts_with("SCALAR SUBQUERY")
                || step == "SCAN CONSTANT ROW"
        };
        assert!(steps.iter().all(is_direct), "{sql}: {steps:?}");
    }
}

#[test]
fn a_second_program_is_refused_while_the_first_has_the_store() {
    let folder = Folder::new();
    let store = folder.open();
    let refused = Sqlite::open(folder.path(), Sync::Full).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    drop(store);
    folder.open();
}

#[test]
fn a_newer_programs_store_and_another_programs_file_are_refused_and_stay_as_they_are() {
    let folder = Folder::new();
    let set = |version: i64| {
        let store = folder.open();
        let connection = store.connection();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
    };
    set(99);
    let refused = Sqlite::open(folder.path(), Sync::Full).unwrap_err();
    let file = StoreFile::of(folder.path()).path().display().to_string();
    assert_eq!(
        refused.to_string(),
        format!(
            "{file} has schema 99, and this longrein-relay knows schemas up to 1: install the newer longrein-relay, or restore a backup of before"
        )
    );
    let words = b"a letter, and no store of any hub. ".repeat(40);
    std::fs::write(&file, &words).unwrap();
    let refused = Sqlite::open(folder.path(), Sync::Full).unwrap_err();
    assert!(
        refused.to_string().contains("file is not a database"),
        "{refused}"
    );
    assert!(std::fs::read(&file).unwrap() == words);
}

#[test]
fn only_its_owner_may_read_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let directory = folder.path().join("a/hub");
    let _store = Sqlite::open(&directory, Sync::Full).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for ending in ["", "-wal", "-shm"] {
        assert_eq!(mode(&StoreFile::of(&directory).beside(ending)), 0o600);
    }
}

#[test]
fn a_store_that_was_closed_is_one_file() {
    let folder = Folder::new();
    let mut store = folder.open();
    one(&mut store, vec![append("j", 1, 1)]).unwrap();
    Box::new(store).close().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
