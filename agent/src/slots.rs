//! A record in slots of one file, the newest and the one before it in two slots each. A write goes where the older record is,
//! so that a crash in the middle of it leaves the newer one, and costs no more than one synchronous write to room that the
//! file has already. Damage to one slot leaves its copy.
//!
//! ```text
//! file  even generation  odd generation  copy of the first  copy of the second
//! slot  magic (16)  generation (8)  length (4)  record (length)  SHA-256 of all before it (32)
//! ```
//!
//! Numbers are big-endian. A new file has its record in all slots.

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

    /// Opens the file, in which this record is the newest. As the next write goes over the one before it, this one is brought
    /// to disk first, with its copy: a process may have been killed while it wrote them, or one may be damaged.
    ///
    /// # Errors
    /// When it cannot be opened or brought to disk.
    pub(crate) fn open(path: &Path, newest: &Newest<'_>) -> Result<Slots, FileError> {
        let generation = newest.generation;
        let opened = encode(generation, newest.record).and_then(|slot| {
            let file = open(path)?;
            mend(&file, generation, &slot)?;
            Ok(file)
        });
        let file = opened.map_err(|source| FileError {
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
                write_atomic(&self.path, &everywhere(slot))?;
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

// [SAFE-12]
fn overwrite(file: &File, path: &Path, generation: u64, slot: &[u8]) -> io::Result<()> {
    for place in places(generation) {
        file.write_all_at(slot, (place * SLOT_BYTES) as u64)?;
    }
    file.sync_data()?;
    // What was removed or replaced takes writes as before, and nobody would find them.
    let (held, found) = (file.metadata()?, fs::metadata(path)?);
    if (held.dev(), held.ino()) == (found.dev(), found.ino()) {
        Ok(())
    } else {
        Err(io::Error::other("another file is in its place"))
    }
}

/// Writes the slot where it is not as it should be.
fn mend(file: &File, generation: u64, slot: &[u8]) -> io::Result<()> {
    let mut found = vec![0; slot.len()];
    for place in places(generation) {
        let at = (place * SLOT_BYTES) as u64;
        file.read_exact_at(&mut found, at)?;
        if found != slot {
            file.write_all_at(slot, at)?;
        }
    }
    file.sync_data()
}

/// The whole file.
fn everywhere(mut slot: Vec<u8>) -> Vec<u8> {
    slot.resize(SLOT_BYTES, 0);
    slot.repeat(FILE_BYTES / SLOT_BYTES)
}

/// Which slots of the file a record is in: a stretch of damage that has both has one of the other record between.
fn places(generation: u64) -> [usize; 2] {
    if generation.is_multiple_of(2) {
        [0, 2]
    } else {
        [1, 3]
    }
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
    /// What is wrong with the slots.
    pub(crate) flaw: Option<Flaw>,
}

/// What is wrong with slots of which the newest record is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Of one record or both a slot is not whole, but its copy is.
    Mendable,
    /// Neither slot of the other record is whole: a write was cut off, or both slots of a newer record are damaged.
    CutOff,
}

/// Finds the newest record.
///
/// # Errors
/// When no slot is whole, or when another version wrote one: what this version finds might be older then. Also when neither slot
/// of one record is whole and one of the other is not: a write that was cut off never leaves that, so that what is damaged may
/// be newer.
// [SAFE-12]
pub(crate) fn newest(file: &[u8]) -> Result<Newest<'_>, RecordError> {
    if file.len() != FILE_BYTES {
        return Err(RecordError::Damaged);
    }
    let slots: Vec<Option<Slot<'_>>> = file.chunks_exact(SLOT_BYTES).map(Slot::read).collect();
    let whole = || slots.iter().flatten();
    if whole().any(|slot| slot.magic != MAGIC) {
        return Err(RecordError::OtherVersion);
    }
    let found = whole().max_by_key(|slot| slot.generation);
    let found = found.ok_or(RecordError::Damaged)?;
    let broken = |generation: u64| {
        let is_broken = |place: &usize| slots.get(*place).is_none_or(Option::is_none);
        places(generation)
            .iter()
            .filter(|place| is_broken(place))
            .count()
    };
    let flaw = match (broken(found.generation), broken(found.generation ^ 1)) {
        (0, 0) => None,
        (0, 2) => Some(Flaw::CutOff),
        (_, 2) => return Err(RecordError::Damaged),
        (_, _) => Some(Flaw::Mendable),
    };
    Ok(Newest {
        generation: found.generation,
        record: found.record,
        flaw,
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
pub(crate) const FILE_BYTES: usize = 4 * SLOT_BYTES;

#[cfg(test)]
mod tests;
