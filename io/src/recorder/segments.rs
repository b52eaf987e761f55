//! The segment files of a folder.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::limits::BLOCK_BYTES;

/// Numbers and bytes of the segments in a folder.
pub(super) fn list(directory: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(number) else {
            continue;
        };
        match entry.metadata() {
            Ok(metadata) => drop(segments.insert(number, metadata.len())),
            // It gave way just now.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}

/// The file of a segment.
pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}{SUFFIX}"))
}

/// Makes a segment with this header, so that a crash leaves all of it or nothing.
pub(super) fn create(directory: &Path, number: u64, header: &[u8]) -> io::Result<File> {
    let temporary = directory.join(TEMPORARY);
    let begun = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(header)?;
            file.sync_all()?;
            fs::rename(&temporary, path(directory, number))?;
            File::open(directory)?.sync_all()?;
            Ok(file)
        });
    if begun.is_err() {
        // What is left of it is of no use; that it could not be removed changes nothing.
        drop(fs::remove_file(&temporary));
    }
    begun
}

/// What a file of this length takes of the room.
pub(super) const fn room(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (format!("{number:010}") == digits && number > 0).then_some(number)
}

const SUFFIX: &str = ".record";
/// A segment that is being begun.
const TEMPORARY: &str = ".segment.new";
