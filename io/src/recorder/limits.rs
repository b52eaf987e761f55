//! Every bound of the record, with unit and reason.

use std::time::Duration;

/// Bytes of an entry's kind, time and fields: its length has two bytes. A longer message counts as dropped.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// Bytes of a text in an entry: names and reasons are shorter.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Bytes of a segment file at most: with the default room 16 files, so that little goes at once when the oldest gives way.
pub const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a segment file when there is less room: the longest entry, a checkpoint and the header fit it.
pub const SEGMENT_BYTES_MIN: u64 = 128 * 1024;
/// Segments that the room is for at least, as far as [`SEGMENT_BYTES_MIN`] allows.
pub const SEGMENTS_WANTED: u64 = 16;
/// What a file costs on disk is counted in blocks of this many bytes, so that many short segments are bounded too.
pub const BLOCK_BYTES: u64 = 4_096;
/// Megabytes of a record at least and at most.
pub const ROOM_MB_MIN: u64 = 1;
/// A terabyte: what is more is a mistake.
pub const ROOM_MB_MAX: u64 = 1_000_000;
/// Entries without a signature over them at most.
pub const UNSIGNED_MAX: u64 = 1_024;
/// Time between checkpoints, each with a signature and a sync: what a power cut costs, and a write that flash memory bears for
/// decades (16 KB a second).
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// Time in which the writer gathers entries: what `kill -9` costs, and 20 wake-ups a second at most.
pub const GATHER: Duration = Duration::from_millis(50);
/// Entries that wait for the writer: half a minute of a driven vehicle.
pub const WAITING_MAX: usize = 4_096;
/// Bytes of these.
pub const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Between attempts to write to a disk that is full or broken.
pub const RETRY: Duration = Duration::from_secs(1);
/// A wall clock that moves against the monotonic one by more than this is noted.
pub const CLOCK_JUMP: Duration = Duration::from_millis(100);
/// Between remarks in the log about entries that were dropped.
pub const REMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Faults of a record that are told one by one; the others are counted.
pub const FAULTS_TOLD_MAX: usize = 100;

const _: () = assert!(SEGMENT_BYTES_MIN > 2 * ENTRY_BYTES_MAX as u64 - 8_192);
const _: () = assert!(WAITING_BYTES_MAX > ENTRY_BYTES_MAX);
