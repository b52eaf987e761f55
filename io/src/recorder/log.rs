//! The record as its writer sees it: segments that are begun, filled, sealed, and give way.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longrein_proto::base::MonoTime;
use longrein_proto::crypto::Credential;
use rustix::fs::{FlockOperation, flock};

use super::Event;
use super::chain::{CHECKPOINT, Chain, SEAL};
use super::field::Hex;
use super::frame::{self, Next};
use super::header::Header;
use super::limits::{
    CLOCK_JUMP, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_WANTED, UNSIGNED_MAX,
};
use super::segments;
use crate::files::make_private_directory;

/// Monotonic time, and the wall clock in ms.
pub(super) type Clock = Box<dyn FnMut() -> (MonoTime, u64) + Send>;

/// A record that is written.
pub(super) struct Log {
    directory: PathBuf,
    bytes_max: u64,
    credential: Arc<dyn Credential>,
    clock: Clock,
    /// None before the first entry, and after a failure.
    tail: Option<Tail>,
}

/// What is on disk, and where to go on.
struct Tail {
    /// Numbers and bytes.
    segments: BTreeMap<u64, u64>,
    kept_from: u64,
    chain: Chain,
    open: Option<Open>,
    /// No other program may write here; ends with the process, however that ends.
    _lock: File,
}

/// The segment that is being filled.
struct Open {
    file: File,
    number: u64,
    bytes: u64,
    /// Entries without a signature over them.
    unsigned: u64,
    /// The wall clock's lead over the monotonic one, in ms.
    lead_ms: i64,
}

impl Log {
    /// A record in this folder. Nothing is done before the first entry.
    pub(super) fn new(
        directory: PathBuf,
        bytes_max: u64,
        credential: Arc<dyn Credential>,
        clock: Clock,
    ) -> Log {
        Log {
            directory,
            bytes_max,
            credential,
            clock,
            tail: None,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes what waits, as it comes first; what is written waits no more.
    pub(super) fn append(&mut self, waiting: &mut VecDeque<Vec<u8>>) -> io::Result<()> {
        while !waiting.is_empty() {
            self.begin_if_needed()?;
            let (mut chain, mut bytes, mut unsigned) = self.position();
            let (mut buffer, mut taken) = (Vec::new(), 0);
            for body in waiting.iter() {
                let length = (buffer.len() + frame::len(body.len())) as u64;
                if bytes + length + RESERVE > self.segment_bytes() {
                    break;
                }
                if unsigned + 2 >= UNSIGNED_MAX {
                    unsigned = self.sign(&mut buffer, &mut chain, unsigned, false);
                }
                frame::append(&mut buffer, &mut chain, body);
                unsigned += 1;
                taken += 1;
            }
            if taken == 0 {
                self.seal()?;
                continue;
            }
            bytes += buffer.len() as u64;
            self.put(&buffer, chain, bytes, unsigned)?;
            waiting.drain(..taken);
        }
        Ok(())
    }

    /// Signs what is not signed yet, and brings all to disk.
    pub(super) fn checkpoint(&mut self) -> io::Result<()> {
        self.close_off(false)
    }

    /// Ends the segment: it is whole, and on disk.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        self.close_off(true)?;
        if let Some(tail) = &mut self.tail {
            tail.open = None;
        }
        Ok(())
    }

    /// Whether a checkpoint would sign anything.
    pub(super) fn is_unsigned(&self) -> bool {
        let open = self.tail.as_ref().and_then(|tail| tail.open.as_ref());
        open.is_some_and(|open| open.unsigned > 0)
    }

    fn close_off(&mut self, seal: bool) -> io::Result<()> {
        let open = self.tail.as_ref().and_then(|tail| tail.open.as_ref());
        let Some(lead_ms) = open.map(|open| open.lead_ms) else {
            return Ok(());
        };
        let (mut chain, mut bytes, unsigned) = self.position();
        if unsigned == 0 && !seal {
            return Ok(());
        }
        let mut buffer = Vec::new();
        let (at, wall_ms) = (self.clock)();
        let jump_ms = lead(at, wall_ms).saturating_sub(lead_ms);
        if u128::from(jump_ms.unsigned_abs()) > CLOCK_JUMP.as_millis() {
            let event = Event::Clock {
                wall_ms,
                error_ms: None,
                jump_ms,
            };
            entry(&mut buffer, &mut chain, at, &event);
            if let Some(open) = self.tail.as_mut().and_then(|tail| tail.open.as_mut()) {
                open.lead_ms = lead(at, wall_ms);
            }
        }
        let unsigned = self.sign(&mut buffer, &mut chain, unsigned, seal);
        bytes += buffer.len() as u64;
        self.put(&buffer, chain, bytes, unsigned)?;
        let synced = match self.tail.as_ref().and_then(|tail| tail.open.as_ref()) {
            Some(open) => open.file.sync_data(),
            None => Ok(()),
        };
        // What a failed sync did not write is gone, and a second one would not say so.
        synced.inspect_err(|_| self.tail = None)
    }

    /// Appends a checkpoint or a seal; how many entries are without a signature then.
    fn sign(&mut self, to: &mut Vec<u8>, chain: &mut Chain, unsigned: u64, seal: bool) -> u64 {
        let (at, _) = (self.clock)();
        let context = if seal { SEAL } else { CHECKPOINT };
        let signature = Hex(self.credential.sign(&chain.words(context, at)));
        let signed = !signature.0.is_empty();
        let event = match seal {
            true => Event::Seal { signature },
            false => Event::Checkpoint { signature },
        };
        entry(to, chain, at, &event);
        if signed { 0 } else { unsigned + 1 }
    }

    fn put(&mut self, buffer: &[u8], chain: Chain, bytes: u64, unsigned: u64) -> io::Result<()> {
        let Some(tail) = &mut self.tail else {
            return Err(ErrorKind::NotFound.into());
        };
        let Some(open) = &mut tail.open else {
            return Err(ErrorKind::NotFound.into());
        };
        if let Err(error) = open.file.write_all(buffer) {
            // Part of it may be there: it goes, or what is whole of it is found and stays.
            drop(open.file.set_len(open.bytes));
            self.tail = None;
            return Err(error);
        }
        open.bytes = bytes;
        open.unsigned = unsigned;
        tail.segments.insert(open.number, bytes);
        tail.chain = chain;
        Ok(())
    }

    fn position(&self) -> (Chain, u64, u64) {
        match &self.tail {
            Some(tail) => match &tail.open {
                Some(open) => (tail.chain, open.bytes, open.unsigned),
                None => (tail.chain, 0, 0),
            },
            None => (Chain::START, 0, 0),
        }
    }

    fn begin_if_needed(&mut self) -> io::Result<()> {
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => Tail::find(&self.directory)?,
        };
        if tail.open.is_none() {
            self.begin(&mut tail)?;
        }
        self.tail = Some(tail);
        Ok(())
    }

    /// A new segment; the oldest give way to it.
    fn begin(&mut self, tail: &mut Tail) -> io::Result<()> {
        let number = tail
            .segments
            .last_key_value()
            .map_or(1, |(last, _)| last + 1);
        let mut taken: u64 = tail.segments.values().copied().map(segments::room).sum();
        let mut giving_way = Vec::new();
        for (old, bytes) in &tail.segments {
            if taken + self.segment_bytes() <= self.bytes_max {
                break;
            }
            taken -= segments::room(*bytes);
            giving_way.push(*old);
        }
        let kept_from = giving_way.last().map_or(tail.kept_from, |last| last + 1);
        let (at, wall_ms) = (self.clock)();
        let header = Header {
            number,
            kept_from: kept_from.max(tail.kept_from),
            chain: tail.chain,
            at,
            wall_ms,
            error_ms: None,
            certificate: self.credential.certificate().to_vec(),
        };
        let bytes = header.sign(self.credential.as_ref());
        let file = segments::create(&self.directory, number, &bytes)?;
        tail.chain.on_header(&bytes);
        tail.kept_from = header.kept_from;
        let length = bytes.len() as u64;
        tail.segments.insert(number, length);
        tail.open = Some(Open {
            file,
            number,
            bytes: length,
            unsigned: 0,
            lead_ms: lead(at, wall_ms),
        });
        // From here on the record says that they are gone.
        for old in giving_way {
            match fs::remove_file(segments::path(&self.directory, old)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!(segment = old, %error, "old part of the record cannot be removed");
                }
                Ok(()) | Err(_) => drop(tail.segments.remove(&old)),
            }
        }
        Ok(())
    }

    fn segment_bytes(&self) -> u64 {
        (self.bytes_max / SEGMENTS_WANTED).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    }
}

impl Tail {
    /// What was written here before, up to the last entry that is whole.
    fn find(directory: &Path) -> io::Result<Tail> {
        make_private_directory(directory).map_err(|error| error.source)?;
        let lock = File::open(directory)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            let error = io::Error::from(errno);
            if error.kind() == ErrorKind::WouldBlock {
                io::Error::other("another program records in this folder")
            } else {
                error
            }
        })?;
        let segments = segments::list(directory)?;
        let (mut kept_from, mut chain) = (1, Chain::START);
        for number in segments.keys().rev() {
            let bytes = fs::read(segments::path(directory, *number))?;
            // One that cannot be read holds nothing to go on from; `verify` says so.
            if let Ok(signed) = Header::read(&bytes) {
                kept_from = signed.header.kept_from;
                chain = signed.header.chain;
                chain.on_header(signed.bytes);
                let mut rest = signed.rest;
                while let Next::Entry { rest: behind, .. } = frame::next(rest, &mut chain) {
                    rest = behind;
                }
                break;
            }
        }
        Ok(Tail {
            segments,
            kept_from,
            chain,
            open: None,
            _lock: lock,
        })
    }
}

fn entry(to: &mut Vec<u8>, chain: &mut Chain, at: MonoTime, event: &Event) {
    if let Some(body) = frame::body(at, event) {
        frame::append(to, chain, &body);
    }
}

/// The wall clock's lead over the monotonic one, in ms.
fn lead(at: MonoTime, wall_ms: u64) -> i64 {
    let ms = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    ms(wall_ms).saturating_sub(ms(at.as_us() / 1_000))
}

/// Bytes of a segment that are kept for checkpoints, a word about the clock, and the seal.
const RESERVE: u64 = 1_024;
