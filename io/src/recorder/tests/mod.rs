//! What a record keeps, and what a look at it finds.

mod disk;
mod tampering;
mod vectors;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use longrein_proto::base::MonoTime;
use longrein_proto::crypto::Credential;

use super::log::Log;
use super::report::{Flaw, Report};
use super::testing::{Authority, Folder};
use super::verify::{Recorded, verify};
use super::{Event, frame};

fn stage(number: u64) -> Event {
    Event::Stage {
        function: "drive".into(),
        stage: format!("stage {number}"),
    }
}

fn bodies(events: impl IntoIterator<Item = Event>) -> VecDeque<Vec<u8>> {
    let body = |event| frame::body(MonoTime::from_us(7), &event).unwrap();
    events.into_iter().map(body).collect()
}

/// Two stages, a checkpoint, two stages; a second segment of the same, and a third, which ends as the second argument says.
fn three_segments(folder: &Folder, node: &Arc<dyn Credential>, sealed: bool) {
    for run in 0..3 {
        let mut log = folder.log(node);
        log.append(&mut bodies([stage(run), stage(run)])).unwrap();
        log.checkpoint().unwrap();
        log.append(&mut bodies([stage(run), stage(run)])).unwrap();
        if run < 2 || sealed {
            log.seal().unwrap();
        }
    }
}

fn look(directory: &Path) -> (Report, Vec<Recorded>) {
    let mut entries = Vec::new();
    let report = verify(directory, None, &mut |entry| {
        entries.push(entry.clone());
        ControlFlow::Continue(())
    });
    (report.unwrap(), entries)
}

fn flaws(directory: &Path) -> Vec<Flaw> {
    let (report, _) = look(directory);
    assert_eq!(report.faults_in_all, report.faults.len() as u64);
    report.faults.into_iter().map(|fault| fault.flaw).collect()
}

#[test]
fn what_is_recorded_is_found_in_order_with_a_seal_at_the_end() {
    let (folder, authority) = (Folder::new(), Authority::new());
    three_segments(&folder, &authority.node("agent/truck-17"), true);

    let authorities = authority.certificates();
    let report = verify(&folder.0, Some(&authorities), &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let (_, entries) = look(&folder.0);

    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.node, Some("agent/truck-17".parse().unwrap()));
    assert_eq!((report.segments, report.entries), (3, 18));
    assert_eq!((report.first, report.unsigned), (Some(1), 0));
    assert_eq!((report.sealed, report.cuts.len()), (true, 0));
    assert_eq!(report.head.unwrap().entry, 18);
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.entry).collect();
    assert_eq!(numbers, (1..=18).collect::<Vec<_>>());
    let stages: Vec<&Event> = entries
        .iter()
        .map(|entry| &entry.event)
        .filter(|event| event.name() == "stage")
        .collect();
    let expected: Vec<Event> = (0..12).map(|number| stage(number / 4)).collect();
    assert_eq!(stages, expected.iter().collect::<Vec<_>>());
}

#[test]
fn the_oldest_give_way_and_the_record_says_so() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = authority.node("agent/truck-17");
    let mut log = folder.log(&node);
    let note = Event::Note {
        subject: "filler".into(),
        text: "x".repeat(1_000),
    };
    for _ in 0..300 {
        log.append(&mut bodies(vec![note.clone(); 10])).unwrap();
        log.checkpoint().unwrap();
    }
    log.seal().unwrap();

    let files: Vec<_> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    let bytes: u64 = files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert!(bytes <= super::testing::ROOM, "{bytes}");
    let (report, entries) = look(&folder.0);
    assert!(report.is_good(), "{report:?}");
    assert!(report.first.unwrap() > 1_000);
    assert_eq!(entries.last().unwrap().entry, report.head.unwrap().entry);

    // One that had not given way.
    let oldest = files.iter().map(std::fs::DirEntry::path).min().unwrap();
    std::fs::write(&oldest, b"").unwrap();
    assert_eq!(flaws(&folder.0), [Flaw::Header]);
    std::fs::remove_file(oldest).unwrap();
    assert_eq!(flaws(&folder.0), [Flaw::Missing]);
}

#[test]
fn a_restart_does_not_make_a_removed_segment_one_that_gave_way() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = authority.node("agent/truck-17");
    three_segments(&folder, &node, true);
    std::fs::remove_file(folder.0.join("0000000001.record")).unwrap();

    let mut log = folder.log(&node);
    log.append(&mut bodies([stage(9)])).unwrap();
    log.seal().unwrap();

    assert_eq!(flaws(&folder.0), [Flaw::Missing]);
}

#[test]
fn another_fleets_node_and_another_node_of_the_fleet_are_found_out() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let write = |name: &str| {
        let mut log = folder.log(&authority.node(name));
        log.append(&mut bodies([stage(1)])).unwrap();
        log.seal().unwrap();
    };
    write("agent/truck-17");
    // A renewed certificate is of the same node.
    write("agent/truck-17");
    let look = |authority: &Authority| {
        let authorities = authority.certificates();
        let go_on = &mut |_: &Recorded| ControlFlow::Continue(());
        let report = verify(&folder.0, Some(&authorities), go_on).unwrap();
        let flaws = report.faults.into_iter().map(|fault| fault.flaw);
        flaws.collect::<Vec<_>>()
    };
    assert_eq!(look(&authority), []);
    assert!(matches!(
        look(&Authority::new())[..],
        [Flaw::Certificate(_), Flaw::Certificate(_)]
    ));
    write("agent/truck-18");
    assert_eq!(
        look(&authority),
        [Flaw::Node("agent/truck-18".parse().unwrap())]
    );
}

#[test]
fn a_kind_of_a_later_version_and_fields_behind_those_that_are_known_are_kept() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let mut later = bodies([stage(1)]);
    later[0].extend_from_slice(b"more");
    let unknown = Event::Unknown {
        number: 200,
        fields: super::Hex(vec![1, 2, 3]),
    };
    later.extend(bodies([unknown.clone()]));
    let mut log = folder.log(&authority.node("agent/truck-17"));
    log.append(&mut later).unwrap();
    log.seal().unwrap();

    let (report, entries) = look(&folder.0);
    assert!(report.is_good());
    assert_eq!(
        (&entries[0].event, &entries[1].event),
        (&stage(1), &unknown)
    );
}

#[test]
fn a_wall_clock_that_jumps_is_in_the_record() {
    let (folder, authority) = (Folder::new(), Authority::new());
    // It begins in 1970, and is set half way.
    let mut looks = 0;
    let clock = Box::new(move || {
        looks += 1;
        let wall_ms = if looks < 5 { 1_000 } else { 1_795_000_000_000 };
        (MonoTime::from_us(0), wall_ms)
    });
    let node = authority.node("agent/truck-17");
    let mut log = Log::new(folder.0.clone(), super::testing::ROOM, node, clock);
    for number in 0..4 {
        log.append(&mut bodies([stage(number)])).unwrap();
        log.checkpoint().unwrap();
    }
    let (_, entries) = look(&folder.0);
    let jump = entries.iter().find(|entry| entry.event.name() == "clock");
    assert_eq!(
        jump.unwrap().event,
        Event::Clock {
            wall_ms: 1_795_000_000_000,
            error_ms: None,
            jump_ms: 1_794_999_999_000
        }
    );
    assert_eq!(entries[0].wall_us, 1_000_007);
    assert!(entries.last().unwrap().wall_us >= 1_795_000_000_000_000);
}

#[test]
fn no_two_kinds_share_a_number_or_a_name() {
    let mut numbers: Vec<u8> = Event::KINDS.iter().map(|kind| kind.number).collect();
    let mut names: Vec<&str> = Event::KINDS.iter().map(|kind| kind.name).collect();
    let kinds = (numbers.len(), names.len());
    numbers.sort_unstable();
    numbers.dedup();
    names.sort_unstable();
    names.dedup();
    assert_eq!((numbers.len(), names.len()), kinds);
}
