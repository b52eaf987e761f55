use std::path::PathBuf;

use longrein_proto::hub::{Loaded, ReadFrom};

use super::super::testing::{Folder, append, numbers, put, query};
use super::super::{Sqlite, Store};
use super::*;

/// A store with three messages and a record, which its log still holds.
fn filled(folder: &Folder) -> Sqlite {
    let mut store = folder.open();
    let batch = (1..=3).map(|n| append("j", n, n)).collect();
    store.commit(&[batch, vec![put("a", 1, b"1")]]).unwrap();
    store
}

fn load(directory: &Path) -> Loaded {
    Sqlite::open(directory, Sync::Normal)
        .unwrap()
        .load()
        .unwrap()
}

fn numbers_in(directory: &Path) -> Vec<u64> {
    let store = Sqlite::open(directory, Sync::Normal).unwrap();
    let all = query("j", ReadFrom::Number(0), false, 99);
    numbers(&store.reader().unwrap().read(&all).unwrap())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a relay leaves in its folder when it is killed now.
fn killed_now(folder: &Folder) -> Folder {
    let left = Folder::new();
    for name in ["hub.sqlite", "hub.sqlite-wal"] {
        fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
    }
    left
}

#[test]
fn a_copy_that_is_made_while_the_relay_writes_is_what_was_committed() {
    let folder = Folder::new();
    let mut store = filled(&folder);
    store
        .connection()
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM entry")
        .unwrap();
    let copy = folder.path().join("copy");
    back_up(folder.path(), &copy).unwrap();
    store.connection().execute_batch("ROLLBACK").unwrap();
    store.commit(&[vec![append("j", 4, 4)]]).unwrap();

    let other = Folder::new();
    restore(other.path(), &copy).unwrap();
    assert_eq!(numbers_in(other.path()), [1, 2, 3]);
    let loaded = load(other.path());
    let before = store.load().unwrap();
    assert_eq!(loaded.records, before.records);
    assert_eq!(loaded.journals.len(), 1);
}

#[test]
fn a_restored_store_has_another_epoch_and_counts_on_behind_all_starts() {
    let folder = Folder::new();
    let epoch = filled(&folder).load().unwrap().epoch;
    let copy = folder.path().join("copy");
    back_up(folder.path(), &copy).unwrap();
    let mut starts = 0;
    for _ in 0..5 {
        starts = load(folder.path()).starts;
    }
    assert_eq!(starts, 6);
    restore(folder.path(), &copy).unwrap();
    let restored = load(folder.path());
    assert_ne!(restored.epoch, epoch);
    assert_eq!(restored.starts, 6 + STARTS_PER_RESTORE + 1);
}

#[test]
fn nothing_is_written_over_and_nothing_is_copied_from_nowhere() {
    let folder = Folder::new();
    let _store = filled(&folder);
    let there = folder.path().join("there");
    fs::write(&there, "a letter").unwrap();
    let refused = back_up(folder.path(), &there).unwrap_err().to_string();
    assert!(refused.contains("File exists"), "{refused}");
    assert_eq!(fs::read(&there).unwrap(), b"a letter");
    let nowhere = folder.path().join("nowhere");
    let refused = back_up(&nowhere, &folder.path().join("copy")).unwrap_err();
    assert!(matches!(refused, BackupError::NoStore { .. }), "{refused}");
    assert!(!nowhere.exists() && !folder.path().join("copy").exists());
}

#[test]
fn a_store_that_a_relay_has_is_not_replaced() {
    let folder = Folder::new();
    let store = filled(&folder);
    let copy = folder.path().join("copy");
    back_up(folder.path(), &copy).unwrap();
    let refused = restore(folder.path(), &copy).unwrap_err();
    assert_eq!(refused.exit(), Exit::Refused, "{refused}");
    drop(store);
    assert_eq!(names(folder.path()), ["copy", "hub.sqlite"]);
}

#[test]
fn the_store_of_a_killed_relay_is_kept_whole_beside_the_restored_one() {
    let folder = Folder::new();
    let mut store = filled(&folder);
    let copy = folder.path().join("copy");
    back_up(folder.path(), &copy).unwrap();
    store.commit(&[vec![append("j", 4, 4)]]).unwrap();
    let killed = killed_now(&folder);
    restore(killed.path(), &copy).unwrap();
    assert_eq!(names(killed.path()), ["hub.sqlite", "hub.sqlite.before"]);
    assert_eq!(numbers_in(killed.path()), [1, 2, 3]);
    // And what was there can be brought back.
    let before = killed.path().join("hub.sqlite.before");
    restore(killed.path(), &before).unwrap();
    assert_eq!(numbers_in(killed.path()), [1, 2, 3, 4]);
}

#[test]
fn a_damaged_store_is_replaced_and_kept() {
    let folder = Folder::new();
    let _store = filled(&folder);
    let copy = folder.path().join("copy");
    back_up(folder.path(), &copy).unwrap();
    let killed = killed_now(&folder);
    let garbage = [7; 8_192];
    for name in ["hub.sqlite", "hub.sqlite-wal"] {
        fs::write(killed.path().join(name), garbage).unwrap();
    }
    restore(killed.path(), &copy).unwrap();
    let before = fs::read(killed.path().join("hub.sqlite.before")).unwrap();
    assert!(before == garbage);
    assert_eq!(numbers_in(killed.path()), [1, 2, 3]);
}

#[test]
fn the_log_of_a_store_that_is_gone_is_not_read_as_that_of_the_restored_one() {
    let folder = Folder::new();
    let mut store = filled(&folder);
    let copy = folder.path().join("copy");
    back_up(folder.path(), &copy).unwrap();
    store.commit(&[vec![append("j", 4, 4)]]).unwrap();
    let killed = killed_now(&folder);
    fs::remove_file(killed.path().join("hub.sqlite")).unwrap();
    restore(killed.path(), &copy).unwrap();
    assert_eq!(
        names(killed.path()),
        ["hub.sqlite", "hub.sqlite.before-wal"]
    );
    assert_eq!(numbers_in(killed.path()), [1, 2, 3]);
}

#[test]
fn a_copy_that_is_damaged_newer_or_none_is_refused_and_the_store_stays() {
    let folder = Folder::new();
    let copy = folder.path().join("copy");
    {
        let mut store = filled(&folder);
        let many = (4..2_000).map(|n| append("j", n, n)).collect();
        store.commit(&[many]).unwrap();
        back_up(folder.path(), &copy).unwrap();
    }
    let whole = fs::read(&copy).unwrap();
    let store_before = fs::read(folder.path().join("hub.sqlite")).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4_096].fill(0xa5);
    let mut newer = whole.clone();
    // Where SQLite keeps `user_version`.
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    let cases: [(&[u8], &str); 5] = [
        (&damaged, "damaged"),
        (&whole[..middle], "damaged"),
        (&newer, "has schema 99"),
        (b"", "is not a hub's store"),
        (&[7; 512], "not a database"),
    ];
    for (bytes, expected) in cases {
        let bad = folder.path().join("bad");
        fs::write(&bad, bytes).unwrap();
        let refused = restore(folder.path(), &bad).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
        fs::remove_file(&bad).unwrap();
    }
    let missing: PathBuf = folder.path().join("missing");
    assert!(restore(folder.path(), &missing).is_err());
    assert_eq!(names(folder.path()), ["copy", "hub.sqlite"]);
    let store_after = fs::read(folder.path().join("hub.sqlite")).unwrap();
    assert!(store_after == store_before);
}
