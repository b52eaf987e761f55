use std::os::unix::fs::PermissionsExt;

use super::*;

fn path(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("longrein-slots-{test}-{}", std::process::id()))
}

/// The file's bytes with these records, of which each came after the one before it.
fn written(records: &[(u64, &[u8])]) -> Vec<u8> {
    let mut file = vec![0; FILE_BYTES];
    for (generation, record) in records {
        let slot = encode(*generation, record).unwrap();
        for start in starts(*generation) {
            file[start..][..slot.len()].copy_from_slice(&slot);
        }
    }
    file
}

/// Where in the file this generation's slots begin.
fn starts(generation: u64) -> [usize; 2] {
    places(generation).map(|place| place * SLOT_BYTES)
}

fn found(file: &[u8]) -> Result<(u64, Vec<u8>), RecordError> {
    newest(file).map(|newest| (newest.generation, newest.record.to_vec()))
}

#[test]
fn the_highest_generation_is_the_newest_in_either_slot() {
    for newer in 1..300 {
        let file = written(&[(newer - 1, b"older"), (newer, b"newer")]);
        assert_eq!(found(&file), Ok((newer, b"newer".to_vec())));
        assert_eq!(newest(&file).unwrap().flaw, None);
    }
}

/// The file when a write of this slot is cut off: so much of it is there from the beginning, or from the end, in the first
/// place and in the second.
fn cut_off(file: &[u8], generation: u64, slot: &[u8], ends: [(usize, bool); 2]) -> Vec<u8> {
    let mut file = file.to_vec();
    for (start, (bytes, from_end)) in starts(generation).into_iter().zip(ends) {
        let range = if from_end {
            slot.len() - bytes..slot.len()
        } else {
            0..bytes
        };
        file[start..][range.clone()].copy_from_slice(&slot[range]);
    }
    file
}

/// [SAFE-12]
#[test]
fn a_write_that_ends_at_any_byte_leaves_the_record_before_it_or_the_new_one() {
    // The slots hold a longer record, a shorter one, and one of the same length.
    for beneath in [&[7; 200][..], &[7; 20], &[7; 100]] {
        let before = written(&[(7, beneath), (8, b"acknowledged")]);
        let slot = encode(9, &[9; 100]).unwrap();
        for bytes in 0..slot.len() {
            for other in [0, bytes / 2, bytes, slot.len()] {
                // A disk may as well write the end first, and the second place before the first.
                for from_end in [false, true] {
                    for ends in [(bytes, other), (other, bytes)] {
                        let ends = [(ends.0, from_end), (ends.1, from_end)];
                        let (generation, record) =
                            found(&cut_off(&before, 9, &slot, ends)).unwrap();
                        // A single byte that is missing may be the one that was there before.
                        assert!(
                            (generation, &record[..]) == (8, b"acknowledged")
                                || (generation, &record[..]) == (9, &[9; 100]),
                            "{ends:?}"
                        );
                    }
                }
            }
        }
        let whole = cut_off(&before, 9, &slot, [(slot.len(), false); 2]);
        assert_eq!(found(&whole), Ok((9, vec![9; 100])));
    }
}

/// [SAFE-12]
#[test]
fn any_changed_byte_of_one_place_loses_nothing_and_is_told() {
    let good = written(&[(8, b"older"), (9, b"newer")]);
    for start in [starts(8), starts(9)].into_iter().flatten() {
        for index in 0..encode(9, b"newer").unwrap().len() {
            let mut file = good.clone();
            file[start + index] ^= 1;
            assert_eq!(found(&file), Ok((9, b"newer".to_vec())), "{start} {index}");
            assert_eq!(newest(&file).unwrap().flaw, Some(Flaw::Mendable));
        }
        let mut file = good.clone();
        file[start..][..SLOT_BYTES].fill(0);
        assert_eq!(found(&file), Ok((9, b"newer".to_vec())), "{start}");
        assert_eq!(newest(&file).unwrap().flaw, Some(Flaw::Mendable));
    }
}

/// [SAFE-12]
#[test]
fn a_stretch_of_damage_never_brings_an_older_record_back() {
    let good = written(&[(8, &[8; 3_000]), (9, &[9; 3_000])]);
    for from in (0..FILE_BYTES).step_by(1_000) {
        for to in (from..=FILE_BYTES).step_by(7_000) {
            for byte in [0, 0xff] {
                let mut file = good.clone();
                file[from..to].fill(byte);
                let found = found(&file);
                assert!(
                    found == Ok((9, vec![9; 3_000])) || found == Err(RecordError::Damaged),
                    "{from} to {to}"
                );
            }
        }
    }
}

/// [SAFE-12]
#[test]
fn what_no_crash_explains_is_damaged() {
    let good = written(&[(8, b"older"), (9, b"newer")]);
    let damaged = |starts: &[usize]| {
        let mut file = good.clone();
        for start in starts {
            file[start + 40] ^= 1;
        }
        found(&file)
    };
    let ([older, older_copy], [newer, newer_copy]) = (starts(8), starts(9));
    for starts in [
        vec![newer, newer_copy, older],
        vec![newer, newer_copy, older_copy],
        vec![older, older_copy, newer],
        vec![older, older_copy, newer_copy],
        vec![older, older_copy, newer, newer_copy],
    ] {
        assert_eq!(damaged(&starts), Err(RecordError::Damaged), "{starts:?}");
    }
    // A write of the next record may leave this.
    assert_eq!(damaged(&[older, older_copy]), Ok((9, b"newer".to_vec())));
    assert_eq!(damaged(&[newer, older]), Ok((9, b"newer".to_vec())));
    for file in [vec![0; FILE_BYTES], good[..FILE_BYTES - 1].to_vec(), vec![]] {
        assert_eq!(found(&file), Err(RecordError::Damaged));
    }
}

#[test]
fn a_slot_of_another_version_is_refused_also_beside_one_of_this() {
    let mut file = written(&[(8, b"older")]);
    let mut other = encode(9, b"newer").unwrap();
    other.truncate(other.len() - digest::SHA256_OUTPUT_LEN);
    other[MAGIC.len() - 2] = b'2';
    other.extend_from_slice(digest::digest(&digest::SHA256, &other).as_ref());
    file[starts(9)[1]..][..other.len()].copy_from_slice(&other);
    assert_eq!(found(&file), Err(RecordError::OtherVersion));
}

#[test]
fn the_largest_record_fits_and_a_larger_one_is_refused() {
    assert!(encode(1, &vec![1; RECORD_BYTES_MAX]).unwrap().len() <= SLOT_BYTES);
    assert!(encode(1, &vec![1; RECORD_BYTES_MAX + 1]).is_err());
}

#[test]
fn a_record_and_the_one_before_it_are_in_the_file_also_when_it_is_opened_between_writes() {
    let path = path("between");
    let mut slots = Slots::create(&path, b"0").unwrap();
    let made = fs::metadata(&path).unwrap();
    assert_eq!(made.len(), FILE_BYTES as u64);
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    for next in 1..20_u8 {
        if next % 3 == 0 {
            drop(slots);
            let bytes = fs::read(&path).unwrap();
            slots = Slots::open(&path, &newest(&bytes).unwrap()).unwrap();
        }
        slots.write(&[next]).unwrap();
        let mut file = fs::read(&path).unwrap();
        let (generation, record) = found(&file).unwrap();
        assert_eq!(record, [next]);
        if next > 1 {
            for start in starts(generation) {
                file[start] ^= 1;
            }
            assert_eq!(found(&file).unwrap(), (generation - 1, vec![next - 1]));
        }
    }
    assert_eq!(fs::metadata(&path).unwrap().ino(), made.ino());
    fs::remove_file(path).unwrap();
}

/// [SAFE-12]
#[test]
fn a_place_that_is_damaged_is_mended_before_anything_is_written() {
    let path = path("mended");
    let mut slots = Slots::create(&path, b"one").unwrap();
    slots.write(b"two").unwrap();
    drop(slots);
    let good = fs::read(&path).unwrap();
    for start in starts(2) {
        let mut damaged = good.clone();
        damaged[start + 40] ^= 1;
        fs::write(&path, &damaged).unwrap();
        Slots::open(&path, &newest(&damaged).unwrap()).unwrap();
        assert!(fs::read(&path).unwrap() == good);
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn a_file_that_is_gone_or_replaced_fails_one_write_and_is_made_anew() {
    let path = path("gone");
    let mut slots = Slots::create(&path, b"one").unwrap();
    fs::remove_file(&path).unwrap();
    slots.write(b"two").unwrap_err();
    slots.write(b"two").unwrap();
    fs::rename(&path, path.with_extension("old")).unwrap();
    fs::copy(path.with_extension("old"), &path).unwrap();
    slots.write(b"three").unwrap_err();
    slots.write(b"three").unwrap();
    slots.write(b"four").unwrap();
    let (generation, record) = found(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((generation, &record[..]), (4, &b"four"[..]));
    fs::remove_file(path.with_extension("old")).unwrap();
    fs::remove_file(path).unwrap();
}
