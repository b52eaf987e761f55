//! A record in two slots of one file, written in turn: a write goes where the older record is, so that a crash in the middle
//! of it leaves the newer one, and it costs no more than one synchronous write to room that the file has already.
//!
//! ```text
//! slot  magic (16)  generation (8)  length (4)  record (length)  SHA-256 of all before it (32)
//! ```
//!
//! Numbers are big-endian. The record of an even generation is in the first slot, that of an odd one in the second.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use longrein_io::files::{FileError, write_atomic};
use longrein_proto::base::limits::RECORD_BYTES_MAX;
use longrein_proto::role::RecordError;
use ring::digest;

/// The file, open. A record that was written is whole in it until the next one is.
#[derive(Debug)]
pub struct Slots {
    path: PathBuf,
    /// None after a write that failed: the next one makes the file anew.
    file: Option<File>,
    /// Of the record that was written last.
    generation: u64,
}

impl Slots {
    /// Makes the file with this record, in place of any other.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, record: &[u8]) -> Result<Slots, FileError> {
        let mut slots = Slots {
            path: path.to_path_buf(),
            file: None,
            generation: 0,
        };
        slots.write(record)?;
        Ok(slots)
    }

    /// Opens the file, in which the record of this generation is the newest. It may be there without being on disk, where a
    /// process was killed while it wrote; as the next write goes over the one before it, this one is brought to disk first.
    ///
    /// # Errors
    /// When it cannot be opened or brought to disk.
    pub(crate) fn open(path: &Path, generation: u64) -> Result<Slots, FileError> {
        let file = open(path).and_then(|file| file.sync_data().map(|()| file));
        let file = file.map_err(|source| FileError {
            file: path.to_path_buf(),
            doing: "open",
            source,
        })?;
        Ok(Slots {
            path: path.to_path_buf(),
            file: Some(file),
            generation,
        })
    }

    /// Writes the next record; it is on disk when this returns.
    ///
    /// # Errors
    /// When it is not: then the one before it still is, and the same may be tried again.
    pub fn write(&mut self, record: &[u8]) -> Result<(), FileError> {
        let generation = self.generation + 1;
        let failed = |source| FileError {
            file: self.path.clone(),
            doing: "write",
            source,
        };
        let slot = encode(generation, record).map_err(failed)?;
        let file = match self.file.take() {
            Some(file) => {
                overwrite(&file, &self.path, generation, &slot).map_err(failed)?;
                file
            }
            None => {
                write_atomic(&self.path, &alone(generation, &slot))?;
                open(&self.path).map_err(failed)?
            }
        };
        self.file = Some(file);
        self.generation = generation;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn overwrite(file: &File, path: &Path, generation: u64, slot: &[u8]) -> io::Result<()> {
    file.write_all_at(slot, u64::from(is_second(generation)) * SLOT_BYTES as u64)?;
    file.sync_data()?;
    // What was removed or replaced takes writes as before, and nobody would find them.
    let (held, found) = (file.metadata()?, fs::metadata(path)?);
    if (held.dev(), held.ino()) == (found.dev(), found.ino()) {
        Ok(())
    } else {
        Err(io::Error::other("another file is in its place"))
    }
}

/// The whole file, with one slot empty.
fn alone(generation: u64, slot: &[u8]) -> Vec<u8> {
    let before = if is_second(generation) { SLOT_BYTES } else { 0 };
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(slot);
    bytes.resize(FILE_BYTES, 0);
    bytes
}

fn is_second(generation: u64) -> bool {
    generation % 2 == 1
}

fn encode(generation: u64, record: &[u8]) -> io::Result<Vec<u8>> {
    if record.len() > RECORD_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let length = u32::try_from(record.len()).map_err(io::Error::other)?;
    let mut slot = MAGIC.to_vec();
    slot.extend_from_slice(&generation.to_be_bytes());
    slot.extend_from_slice(&length.to_be_bytes());
    slot.extend_from_slice(record);
    let sum = digest::digest(&digest::SHA256, &slot);
    slot.extend_from_slice(sum.as_ref());
    Ok(slot)
}

/// The newest record in the bytes of a file.
#[derive(Debug)]
pub(crate) struct Newest<'a> {
    pub(crate) generation: u64,
    pub(crate) record: &'a [u8],
    /// The other slot was written once and is not whole now.
    pub(crate) other_is_torn: bool,
}

/// Finds the newest record.
///
/// # Errors
/// When no slot is whole, or when another version wrote one: what this version finds might be older then.
pub(crate) fn newest(file: &[u8]) -> Result<Newest<'_>, RecordError> {
    let (first, second) = file
        .split_at_checked(SLOT_BYTES)
        .ok_or(RecordError::Damaged)?;
    let slots = [first, second];
    let whole = || slots.into_iter().filter_map(Slot::read);
    if whole().any(|slot| slot.magic != MAGIC) {
        return Err(RecordError::OtherVersion);
    }
    let found = whole().max_by_key(|slot| slot.generation);
    let found = found.ok_or(RecordError::Damaged)?;
    let torn = |slot: &[u8]| Slot::read(slot).is_none() && slot.iter().any(|byte| *byte != 0);
    Ok(Newest {
        generation: found.generation,
        record: found.record,
        other_is_torn: slots.into_iter().any(torn),
    })
}

struct Slot<'a> {
    magic: &'a [u8; MAGIC.len()],
    generation: u64,
    record: &'a [u8],
}

impl Slot<'_> {
    /// None unless it is as it was written.
    fn read(bytes: &[u8]) -> Option<Slot<'_>> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        let sum = rest.get(..digest::SHA256_OUTPUT_LEN)?;
        let summed = bytes.get(..bytes.len() - rest.len())?;
        (digest::digest(&digest::SHA256, summed).as_ref() == sum).then_some(Slot {
            magic,
            generation: u64::from_be_bytes(*generation),
            record,
        })
    }
}

/// Names the slot's kind and version.
const MAGIC: &[u8; 16] = b"longrein-slot-1\n";
/// Bytes of a slot: the largest record, and a page for what is around it.
const SLOT_BYTES: usize = RECORD_BYTES_MAX + 4096;
/// Bytes of the file, whatever is in it. No record is as large, so that the length tells one without slots apart.
pub(crate) const FILE_BYTES: usize = 2 * SLOT_BYTES;

#[cfg(test)]
mod tests {
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
            file[at(*generation)..][..slot.len()].copy_from_slice(&slot);
        }
        file
    }

    fn at(generation: u64) -> usize {
        (generation % 2) as usize * SLOT_BYTES
    }

    fn found(file: &[u8]) -> Result<(u64, Vec<u8>), RecordError> {
        newest(file).map(|newest| (newest.generation, newest.record.to_vec()))
    }

    #[test]
    fn the_highest_generation_is_the_newest_in_either_slot() {
        for newer in 1..300 {
            let file = written(&[(newer - 1, b"older"), (newer, b"newer")]);
            assert_eq!(found(&file), Ok((newer, b"newer".to_vec())));
            assert!(!newest(&file).unwrap().other_is_torn);
        }
    }

    #[test]
    fn a_write_that_ends_at_any_byte_leaves_the_record_before_it() {
        // The slot holds a longer record, a shorter one, and one of the same length.
        for beneath in [&[7; 200][..], &[7; 20], &[7; 100]] {
            let before = written(&[(7, beneath), (8, b"acknowledged")]);
            let slot = encode(9, &[9; 100]).unwrap();
            for cut in 0..slot.len() {
                let mut file = before.clone();
                file[at(9)..][..cut].copy_from_slice(&slot[..cut]);
                assert_eq!(found(&file), Ok((8, b"acknowledged".to_vec())), "{cut}");
                // A disk may as well write the end first.
                let mut file = before.clone();
                file[at(9) + cut + 1..][..slot.len() - cut - 1].copy_from_slice(&slot[cut + 1..]);
                let (generation, record) = found(&file).unwrap();
                // A single byte that is missing may be the one that was there before.
                assert!(
                    generation == 8 || (generation, record) == (9, vec![9; 100]),
                    "{cut}"
                );
            }
            let mut file = before;
            file[at(9)..][..slot.len()].copy_from_slice(&slot);
            assert_eq!(found(&file), Ok((9, vec![9; 100])));
        }
    }

    #[test]
    fn any_changed_byte_of_the_newer_slot_leaves_the_older_one_and_is_told() {
        let good = written(&[(8, b"older"), (9, b"newer")]);
        for index in 0..encode(9, b"newer").unwrap().len() {
            let mut file = good.clone();
            file[at(9) + index] ^= 1;
            assert_eq!(found(&file), Ok((8, b"older".to_vec())), "{index}");
            assert!(newest(&file).unwrap().other_is_torn);
        }
    }

    #[test]
    fn a_file_without_a_whole_slot_is_damaged() {
        let mut file = written(&[(8, b"older"), (9, b"newer")]);
        for generation in [8, 9] {
            file[at(generation) + 40] ^= 1;
        }
        assert_eq!(found(&file), Err(RecordError::Damaged));
        assert_eq!(found(&vec![0; FILE_BYTES]), Err(RecordError::Damaged));
        assert_eq!(found(b""), Err(RecordError::Damaged));
    }

    #[test]
    fn a_slot_of_another_version_is_refused_also_beside_one_of_this() {
        let mut file = written(&[(8, b"older")]);
        let mut other = encode(9, b"newer").unwrap();
        other.truncate(other.len() - digest::SHA256_OUTPUT_LEN);
        other[MAGIC.len() - 2] = b'2';
        other.extend_from_slice(digest::digest(&digest::SHA256, &other).as_ref());
        file[at(9)..][..other.len()].copy_from_slice(&other);
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
                let generation = found(&fs::read(&path).unwrap()).unwrap().0;
                slots = Slots::open(&path, generation).unwrap();
            }
            slots.write(&[next]).unwrap();
            let mut file = fs::read(&path).unwrap();
            let (generation, record) = found(&file).unwrap();
            assert_eq!(record, [next]);
            if next > 1 {
                file[at(generation)] ^= 1;
                assert_eq!(found(&file).unwrap(), (generation - 1, vec![next - 1]));
            }
        }
        assert_eq!(fs::metadata(&path).unwrap().ino(), made.ino());
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
}
