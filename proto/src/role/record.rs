//! What an agent must still know after a restart.

use std::collections::{BTreeMap, VecDeque};

use ring::digest;

use crate::base::limits::{APPLICATION_IDS_MAX, RECORD_BYTES_MAX};
use crate::base::{ApplicationId, FencingToken, Name, StopId};
use crate::control::StopRecord;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// Fencing tokens, the stop latch, and the reliable commands that were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentRecord {
    /// The newest token of each function.
    pub tokens: BTreeMap<Name, FencingToken>,
    /// The stop latch.
    pub stop: StopRecord,
    /// Application ids of reliable commands, oldest first.
    pub applied: VecDeque<ApplicationId>,
}

/// A record that cannot be used. An agent without its record must not run: its tokens could be granted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not what was written.
    #[error("the record is damaged")]
    Damaged,
    /// Another version wrote it.
    #[error("the record is of another version")]
    OtherVersion,
}

impl AgentRecord {
    /// The bytes to persist: magic and version, tokens, stop latch, application ids, and a SHA-256 over all of it.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(MAGIC);
        w.leb(self.tokens.len() as u64);
        for (name, token) in &self.tokens {
            w.name(name);
            w.leb(token.0);
        }
        w.bool(self.stop.latched);
        w.u32(self.stop.generation);
        w.leb(self.stop.ids.len() as u64);
        for id in &self.stop.ids {
            w.bytes(&id.0);
        }
        w.leb(self.applied.len() as u64);
        for id in &self.applied {
            w.bytes(&id.0);
        }
        let mut bytes = w.into_vec();
        let sum = digest::digest(&digest::SHA256, &bytes);
        bytes.extend_from_slice(sum.as_ref());
        bytes
    }

    /// The record that [`AgentRecord::encode`] gave these bytes.
    ///
    /// # Errors
    /// [`RecordError`]: restore the file from a backup, or remove it only when no controller of the old tokens can still
    /// be alive.
    pub fn decode(bytes: &[u8]) -> Result<AgentRecord, RecordError> {
        let body_len = bytes
            .len()
            .checked_sub(digest::SHA256_OUTPUT_LEN)
            .ok_or(RecordError::Damaged)?;
        let (body, sum) = bytes.split_at(body_len);
        if digest::digest(&digest::SHA256, body).as_ref() != sum {
            return Err(RecordError::Damaged);
        }
        if !body.starts_with(MAGIC) {
            return Err(RecordError::OtherVersion);
        }
        read(body).map_err(|_| RecordError::Damaged)
    }

    /// Notes that a command is applied; the oldest are forgotten beyond [`APPLICATION_IDS_MAX`].
    pub(super) fn note_applied(&mut self, id: ApplicationId) {
        self.applied.push_back(id);
        while self.applied.len() > APPLICATION_IDS_MAX {
            self.applied.pop_front();
        }
    }

    /// Nothing was done under this id after all.
    pub(super) fn forget_applied(&mut self, id: ApplicationId) {
        self.applied.retain(|known| *known != id);
    }
}

fn read(body: &[u8]) -> Result<AgentRecord, DecodeError> {
    let mut r = Reader::new(body, RECORD_BYTES_MAX - digest::SHA256_OUTPUT_LEN)?;
    let mut record = AgentRecord::default();
    r.bytes(MAGIC.len())?;
    for _ in 0..r.leb()? {
        let name = r.name()?;
        record.tokens.insert(name, FencingToken(r.leb()?));
    }
    record.stop.latched = r.bool()?;
    record.stop.generation = r.u32()?;
    for _ in 0..r.leb()? {
        record.stop.ids.push(StopId(r.array()?));
    }
    for _ in 0..r.leb()? {
        record.applied.push_back(ApplicationId(r.array()?));
    }
    r.finish()?;
    Ok(record)
}

/// Names the file's kind and version.
const MAGIC: &[u8] = b"longrein-agent-2\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AgentRecord {
        let mut record = AgentRecord::default();
        record
            .tokens
            .insert("drive".parse().expect("valid"), FencingToken(300));
        record.stop.latched = true;
        record.stop.generation = 7;
        record.stop.ids.push(StopId([3; 16]));
        record.note_applied(ApplicationId([9; 8]));
        record
    }

    #[test]
    fn a_record_survives_its_bytes() {
        assert_eq!(AgentRecord::decode(&record().encode()), Ok(record()));
    }

    #[test]
    fn a_record_with_any_bit_changed_or_cut_is_refused() {
        let bytes = record().encode();
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            if let Some(byte) = damaged.get_mut(index) {
                *byte ^= 1;
            }
            assert_eq!(
                AgentRecord::decode(&damaged),
                Err(RecordError::Damaged),
                "byte {index}"
            );
            assert_eq!(
                AgentRecord::decode(bytes.get(..index).unwrap_or_default()),
                Err(RecordError::Damaged)
            );
        }
    }

    #[test]
    fn applied_ids_are_bounded_and_the_oldest_go() {
        let mut record = AgentRecord::default();
        for n in 0..=APPLICATION_IDS_MAX {
            record.note_applied(ApplicationId(
                u64::try_from(n).expect("small").to_be_bytes(),
            ));
        }
        assert_eq!(record.applied.len(), APPLICATION_IDS_MAX);
        assert_eq!(
            record.applied.front(),
            Some(&ApplicationId(1_u64.to_be_bytes()))
        );
    }
}
