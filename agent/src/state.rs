//! The folder with what an agent must still know after a restart.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use longrein_io::files::{FileError, make_private_directory};
use longrein_proto::role::{AgentRecord, RecordError};
use rustix::fs::{FlockOperation, flock};

use crate::slots::{FILE_BYTES, Flaw, Slots, newest};

/// The state directory, which no other process may use: two agents with one record would grant the same fencing token twice.
#[derive(Debug)]
pub struct State {
    record: PathBuf,
    /// Its lock ends with the process, however that ends.
    directory: File,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused something.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process has it.
    #[error("state_directory {} is in use by another longrein-agent: give each its own", .directory.display())]
    InUse {
        /// The folder.
        directory: PathBuf,
    },
    /// The record cannot be used.
    #[error("{}: {source}: restore it from a backup, or remove it once no controller from before can still be driving", .file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: RecordError,
    },
}

impl State {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// When it cannot be made or opened, or another process has it.
    pub fn open(directory: &Path) -> Result<State, StateError> {
        let failed = |doing, source: io::Error| FileError {
            file: directory.to_path_buf(),
            doing,
            source,
        };
        if !directory.exists() {
            make_private_directory(directory)?;
            sync_above(directory).map_err(|source| failed("make", source))?;
        }
        let opened = File::open(directory).map_err(|source| failed("open", source))?;
        flock(&opened, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            let source = io::Error::from(errno);
            if source.kind() == ErrorKind::WouldBlock {
                StateError::InUse {
                    directory: directory.to_path_buf(),
                }
            } else {
                failed("lock", source).into()
            }
        })?;
        Ok(State {
            record: directory.join(RECORD_FILE),
            directory: opened,
        })
    }

    /// What the agent knew before, and where to write what it learns. Without a file this is the first start: then an empty
    /// record is written at once, so that the directory is known to work before a token is granted.
    ///
    /// # Errors
    /// When it cannot be read or is damaged: an agent without its record must not run.
    pub fn load(&self) -> Result<(AgentRecord, Slots), StateError> {
        let unreadable = |source| FileError {
            file: self.record.clone(),
            doing: "read",
            source,
        };
        let unusable = |source| StateError::Record {
            file: self.record.clone(),
            source,
        };
        // A file that another process has just put in its place, and was killed, may not be there after a power cut.
        self.directory.sync_all().map_err(unreadable)?;
        let bytes = match read_bounded(&self.record) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let record = AgentRecord::default();
                let slots = Slots::create(&self.record, &record.encode())?;
                tracing::info!(file = %self.record.display(), "first start: an empty record is made");
                return Ok((record, slots));
            }
            Err(source) => return Err(unreadable(source).into()),
        };
        if bytes.len() != FILE_BYTES {
            // A record without slots around it.
            let record = AgentRecord::decode(&bytes).map_err(unusable)?;
            return Ok((record, Slots::create(&self.record, &bytes)?));
        }
        let newest = newest(&bytes).map_err(unusable)?;
        let file = self.record.display();
        match newest.flaw {
            None => {}
            Some(Flaw::Mendable) => {
                tracing::warn!(%file, "part of the record is not whole: its copy is used");
            }
            Some(Flaw::CutOff) => {
                tracing::warn!(%file, "the last write of the record is not whole: the one before it is used");
            }
        }
        let record = AgentRecord::decode(newest.record).map_err(unusable)?;
        Ok((record, Slots::open(&self.record, &newest)?))
    }
}

fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(file)?.len() > FILE_BYTES as u64 {
        return Err(ErrorKind::FileTooLarge.into());
    }
    fs::read(file)
}

/// A folder survives a power cut only when the folder above it is on disk.
fn sync_above(directory: &Path) -> io::Result<()> {
    match directory.canonicalize()?.parent() {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

/// In the state directory: fencing tokens, stop latch, ids of applied commands.
pub const RECORD_FILE: &str = "agent.record";

#[cfg(test)]
mod tests {
    use longrein_proto::base::FencingToken;

    use super::*;

    fn directory(test: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("longrein-state-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn the_first_start_makes_the_folder_and_an_empty_record() {
        let path = directory("first");
        let state = State::open(&path.join("a/b")).unwrap();
        assert_eq!(state.load().unwrap().0, AgentRecord::default());
        drop(state);
        let again = State::open(&path.join("a/b")).unwrap();
        assert_eq!(again.load().unwrap().0, AgentRecord::default());
        fs::remove_dir_all(path).unwrap();
    }

    fn with_token(token: u64) -> AgentRecord {
        let mut record = AgentRecord::default();
        let drive = "drive".parse().unwrap();
        record.tokens.insert(drive, FencingToken(token));
        record
    }

    #[test]
    fn a_record_is_found_again_whatever_a_crash_left_beside_it() {
        let path = directory("again");
        let state = State::open(&path).unwrap();
        let (_, mut slots) = state.load().unwrap();
        for token in 1..=7 {
            slots.write(&with_token(token).encode()).unwrap();
        }
        fs::write(path.join(".agent.record.new"), b"ha").unwrap();
        drop(state);
        let (record, mut slots) = State::open(&path).unwrap().load().unwrap();
        assert_eq!(record, with_token(7));
        slots.write(&with_token(8).encode()).unwrap();
        let (record, _) = State::open(&path).unwrap().load().unwrap();
        assert_eq!(record, with_token(8));
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_record_without_slots_is_found_and_gets_them() {
        let path = directory("without");
        let state = State::open(&path).unwrap();
        let file = path.join(RECORD_FILE);
        fs::write(&file, with_token(7).encode()).unwrap();
        for _ in 0..2 {
            assert_eq!(state.load().unwrap().0, with_token(7));
            assert_eq!(fs::metadata(&file).unwrap().len(), FILE_BYTES as u64);
        }
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_damaged_record_is_named_with_what_to_do_and_stays() {
        let path = directory("damaged");
        let state = State::open(&path).unwrap();
        let file = path.join(RECORD_FILE);
        for damaged in [b"rubbish".to_vec(), vec![7; FILE_BYTES]] {
            fs::write(&file, &damaged).unwrap();
            let error = state.load().unwrap_err().to_string();
            assert!(
                error.contains("agent.record: the record is damaged: restore it"),
                "{error}"
            );
            assert_eq!(fs::read(&file).unwrap(), damaged);
        }
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn one_folder_serves_one_agent() {
        let path = directory("lock");
        let first = State::open(&path).unwrap();
        let error = State::open(&path).unwrap_err();
        assert!(matches!(error, StateError::InUse { .. }), "{error}");
        drop(first);
        State::open(&path).unwrap();
        fs::remove_dir_all(path).unwrap();
    }
}
