//! How an entry stands in a segment.

use longrein_proto::base::MonoTime;
use longrein_proto::wire::Writer;

use super::Event;
use super::chain::{Chain, TAG_BYTES};
use super::limits::ENTRY_BYTES_MAX;

/// Kind, time and fields of an entry; none when they are too long.
///
/// ```text
/// offset  bytes
///      0  2      length of the body, 7 to 65,535
///      2  2      guard: the length, each bit turned over where the first two bytes of the hash before are set
///      4  ..     body: 1 kind, 6 monotonic time in µs, the kind's fields
///      .  8      tag: the first bytes of the hash after the body
/// ```
pub(super) fn body(at: MonoTime, event: &Event) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    writer.u8(event.number());
    writer.u48(at.as_us());
    event.write(&mut writer);
    let body = writer.into_vec();
    (body.len() <= ENTRY_BYTES_MAX).then_some(body)
}

/// Appends an entry, and moves the chain on.
pub(super) fn append(to: &mut Vec<u8>, chain: &mut Chain, body: &[u8]) {
    let length = u16::try_from(body.len()).expect("an entry has a bound");
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(&guard(length, chain));
    to.extend_from_slice(body);
    chain.on_entry(body);
    to.extend_from_slice(&chain.tag());
}

/// Bytes of an entry on disk.
pub(super) const fn len(body: usize) -> usize {
    HEAD_BYTES + body + TAG_BYTES
}

/// What stands next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// An entry as it was written.
    Entry {
        /// Kind, time and fields.
        body: &'a [u8],
        /// What follows.
        rest: &'a [u8],
    },
    /// Nothing: the segment ends.
    End,
    /// A beginning of an entry whose rest was never written.
    Cut,
    /// Something that nobody wrote here.
    Damaged,
}

/// Reads the next entry and moves the chain on when it is as it was written.
pub(super) fn next<'a>(bytes: &'a [u8], chain: &mut Chain) -> Next<'a> {
    if bytes.is_empty() {
        return Next::End;
    }
    // Room that a file system gave and never filled.
    if bytes.iter().all(|byte| *byte == 0) {
        return Next::Cut;
    }
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Next::Cut;
    };
    let length = u16::from_be_bytes(*length);
    let Some((found, rest)) = rest.split_first_chunk::<2>() else {
        return Next::Cut;
    };
    // Else a changed length would look like an entry that was cut off.
    if *found != guard(length, chain) || usize::from(length) < BODY_BYTES_MIN {
        return Next::Damaged;
    }
    let Some((body, rest)) = rest.split_at_checked(length.into()) else {
        return Next::Cut;
    };
    let Some((tag, rest)) = rest.split_first_chunk::<TAG_BYTES>() else {
        return Next::Cut;
    };
    let mut after = *chain;
    after.on_entry(body);
    if *tag != after.tag() {
        return Next::Damaged;
    }
    *chain = after;
    Next::Entry { body, rest }
}

fn guard(length: u16, chain: &Chain) -> [u8; 2] {
    let [first, second, ..] = chain.hash;
    (length ^ u16::from_be_bytes([first, second])).to_be_bytes()
}

/// Length and guard.
const HEAD_BYTES: usize = 4;
/// Kind and time.
pub(super) const BODY_BYTES_MIN: usize = 7;
