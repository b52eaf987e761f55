//! Bounds of the store.

use std::time::Duration;

/// Bytes of a key or of a journal's name: a fleet's longest names and a topic fit several times.
pub(super) const KEY_BYTES_MAX: usize = 512;
/// Bytes of a record's value: a document with all its items.
pub(super) const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one message: the longest of the hub with room for what is added to it.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Messages of one page: what an answer holds, many times.
pub(super) const PAGE_COUNT_MAX: usize = 4_096;
/// Bytes of the messages of one page, which are in memory at once.
pub(super) const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Batches that wait: a second of the busiest hub.
pub(super) const WAITING_BATCHES_MAX: usize = 8_192;
/// Bytes of batches that wait: what a stuck disk may cost in memory. One batch waits even if it is longer.
pub(super) const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Batches of one transaction: those who wait for it wait for no more than this, and what fails, fails with no more than this.
pub(super) const GROUP_BATCHES_MAX: usize = 1_024;
/// Bytes of one transaction. One batch is committed even if it is longer.
pub(super) const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Queries that wait: each is answered in about a millisecond.
pub(super) const WAITING_QUERIES_MAX: usize = 1_024;
/// How often a store that failed is tried when nobody commits anything.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Between two times that the log says that a store fails, which may come and go with what is written.
pub(super) const REMARK_INTERVAL: Duration = Duration::from_secs(10);

/// KiB of pages that the writing connection keeps in memory: the last pages of a thousand journals.
pub(super) const WRITER_CACHE_KIB: u32 = 8 * 1024;
/// KiB of pages that a reading connection keeps in memory: a page of an answer.
pub(super) const READER_CACHE_KIB: u32 = 4 * 1024;
/// Bytes to which the write-ahead log is cut once a long reader or a burst has made it longer.
pub(super) const LOG_BYTES_KEPT: u32 = 16 * 1024 * 1024;
/// How long a connection waits for another one: only a backup's beginning and end hold each other up.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared: all of this program's.
pub(super) const STATEMENTS_MAX: usize = 32;

/// Openings that a restored store counts as having missed: as many starts between backup and restore leave what has the count in
/// its upper bits growing.
pub(super) const STARTS_PER_RESTORE: u32 = 4_096;
/// How often the store's folder is tried before it counts as another program's: a second in all.
pub(super) const LOCK_TRIES: u32 = 50;
/// Between two tries.
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(20);
