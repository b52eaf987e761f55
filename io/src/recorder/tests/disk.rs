//! A disk that takes nothing, and a queue that is full.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::super::Recorder;
use super::super::limits::{ENTRY_BYTES_MAX, WAITING_BYTES_MAX, WAITING_MAX};
use super::super::testing::{ROOM, clock};
use super::*;

/// A recorder whose folder cannot be made, as there is a file where it should be.
fn blocked(folder: &Folder, node: Arc<dyn Credential>) -> (Recorder, PathBuf, PathBuf) {
    let in_the_way = folder.0.join("disk");
    fs::write(&in_the_way, b"").unwrap();
    let directory = in_the_way.join("record");
    let log = Log::new(directory.clone(), 64 * ROOM, node, clock());
    (Recorder::of(log).unwrap(), in_the_way, directory)
}

#[test]
fn what_a_disk_does_not_take_waits_and_what_finds_no_place_is_counted_in_the_record() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (recorder, in_the_way, directory) = blocked(&folder, authority.node("agent/truck-17"));
    let all = 3 * WAITING_MAX as u64;
    for number in 0..all {
        recorder.record(MonoTime::from_us(number), &stage(number));
    }
    fs::remove_file(in_the_way).unwrap();
    drop(recorder);

    let (report, entries) = look(&directory);
    assert!(report.is_good() && report.sealed, "{report:?}");
    let stages = entries.iter().filter(|entry| entry.event.name() == "stage");
    let kept = stages.count() as u64;
    assert!(kept >= WAITING_MAX as u64 && report.dropped > 0);
    assert_eq!(kept + report.dropped, all);
}

#[test]
fn no_more_bytes_wait_than_their_bound_and_an_entry_that_is_too_long_counts_as_dropped() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (recorder, in_the_way, directory) = blocked(&folder, authority.node("agent/truck-17"));
    let telemetry = |bytes: usize| Event::Telemetry {
        function: "camera".into(),
        telemetry: super::super::Told(vec![2; bytes]),
    };
    let long = 60_000;
    for _ in 0..100 {
        recorder.record(MonoTime::from_us(1), &telemetry(long));
    }
    recorder.record(MonoTime::from_us(1), &telemetry(ENTRY_BYTES_MAX));
    fs::remove_file(in_the_way).unwrap();
    drop(recorder);

    let (report, entries) = look(&directory);
    let kept = entries
        .iter()
        .filter(|e| e.event.name() == "telemetry")
        .count();
    // As much again may have been taken off the queue before.
    assert!(kept <= 2 * WAITING_BYTES_MAX / long, "{kept}");
    assert_eq!(kept as u64 + report.dropped, 101);
}

#[test]
fn one_folder_is_one_programs() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = authority.node("agent/truck-17");
    let mut first = folder.log(&node);
    first.append(&mut bodies([stage(1)])).unwrap();
    let mut second = folder.log(&node);
    let error = second.append(&mut bodies([stage(2)])).unwrap_err();
    assert_eq!(error.to_string(), "another program records in this folder");
    drop(first);
    second.append(&mut bodies([stage(2)])).unwrap();
    assert_eq!(flaws(&folder.0), []);
}

/// No test by itself, where nobody names a folder: the process that the next test starts under a limit of the size of files.
#[test]
fn fill_files_that_may_not_grow() {
    let Some(directory) = env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let node = Authority::new().node("agent/truck-17");
    let mut log = Log::new(directory, ROOM, node, clock());
    let mut failures = 0;
    for number in 0..STAGES / 10 {
        let mut waiting = bodies((0..10).map(|more| stage(10 * number + more)));
        while log.append(&mut waiting).is_err() {
            failures += 1;
        }
    }
    while log.checkpoint().is_err() {
        failures += 1;
    }
    println!("failed writes: {failures}");
}

#[test]
fn a_write_that_stops_half_way_is_done_again_in_a_new_segment_and_nothing_is_there_twice() {
    let folder = Folder::new();
    // A write over the limit is an error for a process that ignores the signal; 20 KiB in blocks of 512.
    let limited = "trap '' XFSZ; ulimit -f 40; exec \"$0\" --exact \"$1\" --nocapture";
    let child = Command::new("sh")
        .args(["-c", limited])
        .arg(env::current_exe().unwrap())
        .arg("recorder::tests::disk::fill_files_that_may_not_grow")
        .env(DIRECTORY, &folder.0)
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    let (_, failures) = said.split_once("failed writes: ").expect(&said);
    let failures: usize = failures.lines().next().unwrap().parse().unwrap();
    assert!(child.status.success() && failures >= 3, "{said}");

    let (report, entries) = look(&folder.0);
    assert!(report.is_good(), "{report:?}");
    // The last one is still open.
    assert_eq!(report.cuts.len(), failures + 1);
    let stages: Vec<&Event> = entries
        .iter()
        .map(|entry| &entry.event)
        .filter(|event| event.name() == "stage")
        .collect();
    let expected: Vec<Event> = (0..STAGES).map(stage).collect();
    assert_eq!(stages, expected.iter().collect::<Vec<_>>());
}

const DIRECTORY: &str = "LONGREIN_TEST_RECORD";
const STAGES: u64 = 2_000;
