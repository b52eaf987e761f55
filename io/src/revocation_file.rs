//! The newest list of revocations on disk, so that it counts after a restart too.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use longrein_proto::base::limits::{HANDSHAKE_BYTES_MAX, REVOCATION_PARTS_MAX};
use longrein_proto::crypto::Fleet;

use crate::files::write_atomic;

/// Keeps a fleet's newest list of revocations in a file. The authority's signatures are in it, and are checked again when it is
/// read: whoever can write the file can withhold a list, and make up none.
#[derive(Debug)]
pub struct RevocationFile {
    file: PathBuf,
    fleet: Fleet,
    writing: Mutex<()>,
}

impl RevocationFile {
    /// Takes what is in the file of a directory; a file that is damaged or missing counts as empty, and is told.
    pub fn open(directory: &Path, fleet: &Fleet) -> Arc<RevocationFile> {
        let file = directory.join(FILE);
        match read(&file) {
            Ok(bytes) => {
                take(&bytes, fleet);
                let (number, _) = fleet.revocations_made();
                if number == 0 {
                    tracing::warn!(file = %file.display(), "list of revocations is damaged: a new one is waited for");
                } else {
                    tracing::info!(number, "list of revocations is known");
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(file = %file.display(), why = %error, "list of revocations cannot be read");
            }
        }
        Arc::new(RevocationFile {
            file,
            fleet: fleet.clone(),
            writing: Mutex::new(()),
        })
    }

    /// Writes the newest list, apart from the thread that calls; must be called within a runtime.
    pub fn keep(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // Whoever is second writes what is newest then, too.
        drop(tokio::task::spawn_blocking(move || this.write()));
    }

    fn write(&self) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        for part in self.fleet.revocation_parts() {
            bytes.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(part.as_ref());
        }
        let (number, _) = self.fleet.revocations_made();
        match write_atomic(&self.file, &bytes) {
            Ok(()) => tracing::info!(number, "list of revocations is stored"),
            Err(error) => {
                tracing::error!(number, why = %error, "list of revocations is not stored: it will be unknown after a restart");
            }
        }
    }
}

fn take(mut bytes: &[u8], fleet: &Fleet) {
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((part, rest)) = rest.split_at_checked(length) else {
            return;
        };
        fleet.take_revocations(part);
        bytes = rest;
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if fs::metadata(file)?.len() > BYTES_MAX as u64 {
        return Err(ErrorKind::FileTooLarge.into());
    }
    fs::read(file)
}

/// Of a full list.
const BYTES_MAX: usize = REVOCATION_PARTS_MAX * (HANDSHAKE_BYTES_MAX + 2);
const FILE: &str = "revocations";
