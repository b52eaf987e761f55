//! What is removed, changed, reordered or added is found; what a crash cut off is no more than a cut.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::chain::Chain;
use super::super::frame::{self, Next};
use super::super::header::Header;
use super::super::limits::UNSIGNED_MAX;
use super::*;

fn file(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}.record"))
}

/// A segment's header and entries, as they stand in its file.
fn parts(segment: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let signed = Header::read(segment).unwrap();
    let mut chain = signed.header.chain;
    chain.on_header(signed.bytes);
    let (mut entries, mut rest) = (Vec::new(), signed.rest);
    while let Next::Entry { rest: behind, .. } = frame::next(rest, &mut chain) {
        entries.push(rest[..rest.len() - behind.len()].to_vec());
        rest = behind;
    }
    assert_eq!(rest, b"");
    (signed.bytes.to_vec(), entries)
}

/// The same with all tags made to fit, as anybody can.
fn refitted(header: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    let mut chain = Header::read(header).unwrap().header.chain;
    chain.on_header(header);
    for entry in entries {
        frame::append(&mut bytes, &mut chain, &entry[4..entry.len() - 8]);
    }
    bytes
}

#[test]
fn any_changed_byte_is_found() {
    let (folder, authority) = (Folder::new(), Authority::new());
    three_segments(&folder, &authority.node("agent/truck-17"), true);
    for number in 1..=3 {
        let path = file(&folder.0, number);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, changed).unwrap();
            let (report, _) = look(&folder.0);
            // The last file, when its header claims to be longer than the file, looks like one that a crash cut off.
            let cut_back = number == 3 && LENGTH_OF_CERTIFICATE.contains(&at);
            assert!(!report.is_good() || cut_back, "segment {number}, byte {at}");
        }
        fs::write(&path, good).unwrap();
    }
    assert_eq!(flaws(&folder.0), []);
}

#[test]
fn any_removed_repeated_or_reordered_entry_is_found_even_when_all_tags_are_made_to_fit() {
    let (folder, authority) = (Folder::new(), Authority::new());
    three_segments(&folder, &authority.node("agent/truck-17"), true);
    for number in 1..=3 {
        let path = file(&folder.0, number);
        let good = fs::read(&path).unwrap();
        let (header, entries) = parts(&good);
        assert_eq!(entries.len(), 6);
        for at in 0..entries.len() {
            let mut removed = entries.clone();
            removed.remove(at);
            let mut repeated = entries.clone();
            repeated.insert(at, entries[at].clone());
            let mut swapped = entries.clone();
            swapped.swap(at, (at + 1) % entries.len());
            let mut changed = entries.clone();
            changed[at][12] ^= 1;
            let cases = [
                ("removed", removed),
                ("repeated", repeated),
                ("swapped", swapped),
                ("changed", changed),
            ];
            for (case, entries) in cases {
                let plain = [header.clone(), entries.concat()].concat();
                for (fit, bytes) in [(false, plain), (true, refitted(&header, &entries))] {
                    if bytes == good {
                        continue;
                    }
                    fs::write(&path, &bytes).unwrap();
                    let (report, _) = look(&folder.0);
                    // Without the last entry, the seal, the record ends like that of a program that was killed.
                    let cut_back = number == 3 && case == "removed" && at == 5;
                    assert_eq!(report.is_good(), cut_back, "{case} {number} {at} {fit}");
                    assert!(!(report.is_good() && report.sealed));
                }
            }
        }
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn a_segment_that_is_removed_emptied_swapped_or_of_another_record_is_found() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (other, node) = (Folder::new(), authority.node("agent/truck-17"));
    three_segments(&folder, &node, true);
    // The same node with a renewed key.
    three_segments(&other, &authority.node("agent/truck-17"), true);
    let read = |number| fs::read(file(&folder.0, number)).unwrap();
    let good = [read(1), read(2), read(3)];
    let restore = || {
        for (number, bytes) in (1..).zip(&good) {
            fs::write(file(&folder.0, number), bytes).unwrap();
        }
    };
    for number in 1..=2 {
        fs::remove_file(file(&folder.0, number)).unwrap();
        assert_eq!(flaws(&folder.0), [Flaw::Missing], "{number}");
        fs::write(file(&folder.0, number), b"").unwrap();
        assert_eq!(flaws(&folder.0), [Flaw::NotContinued], "{number}");
        fs::copy(file(&other.0, number), file(&folder.0, number)).unwrap();
        assert!(flaws(&folder.0).contains(&Flaw::NotContinued), "{number}");
        restore();
    }
    for (one, another) in [(1, 2), (2, 3), (1, 3)] {
        fs::write(file(&folder.0, one), &good[another - 1]).unwrap();
        fs::write(file(&folder.0, another as u64), &good[(one - 1) as usize]).unwrap();
        assert!(flaws(&folder.0).contains(&Flaw::Number(one)), "{one}");
        restore();
    }
    // The same segment again, at the end.
    fs::copy(file(&folder.0, 3), file(&folder.0, 4)).unwrap();
    assert_eq!(flaws(&folder.0), [Flaw::Number(3), Flaw::NotContinued]);
}

#[test]
fn a_record_that_was_cut_off_at_any_byte_is_whole_up_to_the_cut_and_goes_on() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = authority.node("agent/truck-17");
    three_segments(&folder, &node, false);
    let path = file(&folder.0, 3);
    let whole = fs::read(&path).unwrap();
    let (header, entries) = parts(&whole);
    for end in 0..=whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let mut left = header.len();
        let kept = entries.iter().take_while(|entry| {
            left += entry.len();
            left <= end
        });
        let kept = 12 + kept.count() as u64;

        let (report, found) = look(&folder.0);
        assert!(report.is_good(), "{end}: {report:?}");
        assert!(!report.sealed);
        assert_eq!(found.len() as u64, kept, "{end}");
        let [cut] = &report.cuts[..] else {
            panic!("{end}: {report:?}");
        };
        assert_eq!((cut.segment, cut.entry), (3, kept + 1), "{end}");

        let mut log = folder.log(&node);
        log.append(&mut bodies([stage(9)])).unwrap();
        log.seal().unwrap();
        let (report, found) = look(&folder.0);
        assert!(report.is_good() && report.sealed, "{end}: {report:?}");
        assert_eq!(report.cuts.len(), 1);
        assert_eq!(found[kept as usize].event, stage(9));
        fs::remove_file(file(&folder.0, 4)).unwrap();
    }
}

#[test]
fn room_that_a_file_system_gave_and_never_filled_is_a_cut() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = authority.node("agent/truck-17");
    three_segments(&folder, &node, false);
    let mut bytes = fs::read(file(&folder.0, 3)).unwrap();
    bytes.resize(bytes.len() + 4_096, 0);
    fs::write(file(&folder.0, 3), bytes).unwrap();
    let (report, entries) = look(&folder.0);
    assert!(report.is_good(), "{report:?}");
    assert_eq!((entries.len(), report.cuts[0].bytes), (17, 4_096));
}

#[test]
fn a_damaged_end_stays_a_fault_when_the_recorder_goes_on_behind_it() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = authority.node("agent/truck-17");
    three_segments(&folder, &node, true);
    let mut bytes = fs::read(file(&folder.0, 3)).unwrap();
    let (header, entries) = parts(&bytes);
    let second = header.len() + entries[0].len();
    bytes[second + 6] ^= 1;
    fs::write(file(&folder.0, 3), bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(flaws(&folder.0), [Flaw::Entry]);
        let mut log = folder.log(&node);
        log.append(&mut bodies([stage(9)])).unwrap();
        log.seal().unwrap();
    }
}

#[test]
fn an_end_that_was_made_up_is_found_when_it_is_longer_than_a_recorder_leaves_unsigned() {
    let (folder, authority) = (Folder::new(), Authority::new());
    three_segments(&folder, &authority.node("agent/truck-17"), false);
    let path = file(&folder.0, 3);
    let good = fs::read(&path).unwrap();
    let signed = Header::read(&good).unwrap();
    let mut end: Chain = signed.header.chain;
    end.on_header(signed.bytes);
    let mut rest = signed.rest;
    while let Next::Entry { rest: behind, .. } = frame::next(rest, &mut end) {
        rest = behind;
    }
    // Two of them are the recorder's.
    for (added, found) in [(UNSIGNED_MAX - 2, false), (UNSIGNED_MAX - 1, true)] {
        let mut bytes = good.clone();
        let mut chain = end;
        for body in bodies((0..added).map(stage)) {
            frame::append(&mut bytes, &mut chain, &body);
        }
        fs::write(&path, bytes).unwrap();
        let expected: &[Flaw] = if found { &[Flaw::Unsigned] } else { &[] };
        assert_eq!(flaws(&folder.0), expected);
    }
}

#[test]
fn no_stretch_without_a_signature_is_longer_than_its_bound() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let mut log = folder.log(&authority.node("agent/truck-17"));
    log.append(&mut bodies((0..3 * UNSIGNED_MAX).map(stage)))
        .unwrap();
    let (report, _) = look(&folder.0);
    assert!(report.is_good(), "{report:?}");
    assert!(report.unsigned < UNSIGNED_MAX);
}

/// Where a header has it.
const LENGTH_OF_CERTIFICATE: std::ops::Range<usize> = 88..90;
