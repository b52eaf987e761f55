//! The hash that ties each entry to all before it.

use longrein_proto::base::MonoTime;
use ring::digest::{Context, SHA256, digest};

/// SHA-256 of everything up to a point of the record.
pub(super) type Hash = [u8; 32];

/// Where the record stands: the number of the next entry, and the hash of all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) next: u64,
    pub(super) hash: Hash,
}

impl Chain {
    /// Before the first segment.
    pub(super) const START: Chain = Chain {
        next: 1,
        hash: [0; 32],
    };

    /// A segment begins; its header names the hash before it.
    pub(super) fn on_header(&mut self, header: &[u8]) {
        self.hash.copy_from_slice(digest(&SHA256, header).as_ref());
    }

    /// An entry follows.
    pub(super) fn on_entry(&mut self, body: &[u8]) {
        let mut context = Context::new(&SHA256);
        context.update(&self.hash);
        context.update(body);
        self.hash.copy_from_slice(context.finish().as_ref());
        self.next += 1;
    }

    /// What a checkpoint or a seal at this time signs: everything before it, and its own time.
    pub(super) fn words(&self, context: &[u8], at: MonoTime) -> Vec<u8> {
        let [_, _, time @ ..] = at.as_us().to_be_bytes();
        [context, &self.hash, &time].concat()
    }

    /// What stands behind an entry.
    pub(super) fn tag(&self) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(self.hash.first_chunk::<TAG_BYTES>().expect("32 are more"));
        tag
    }
}

/// So that no other signature of the key can stand in a checkpoint.
pub(super) const CHECKPOINT: &[u8] = b"longrein/1 record checkpoint";
/// As [`CHECKPOINT`], in a seal.
pub(super) const SEAL: &[u8] = b"longrein/1 record seal";
/// Bytes of a hash that stand behind an entry: they say which entry is damaged. Forgery is found by the signatures over the
/// whole hash.
pub(super) const TAG_BYTES: usize = 8;
