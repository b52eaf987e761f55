//! One end of a session as somebody hostile has it: the real keys, and no rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use longrein_proto::base::{Flow, MonoTime, SessionId};
use longrein_proto::crypto::{Established, OpenKey, SealKey};
use longrein_proto::wire::{Content, Parcel, SealedHeader};

use crate::{Script, forgery};

pub struct Side {
    session: SessionId,
    seal: SealKey,
    open: OpenKey,
    numbers: BTreeMap<u8, u64>,
}

impl Side {
    pub fn new(session: SessionId, established: Established) -> Side {
        Side {
            session,
            seal: established.seal,
            open: established.open,
            numbers: BTreeMap::new(),
        }
    }

    /// A message as an honest end would send it.
    pub fn tell(&mut self, now: MonoTime, flow: Flow, message: Vec<u8>) -> Option<Arc<[u8]>> {
        let content = Content {
            sent_at_us: now.as_us(),
            dictionary: None,
            fragment: None,
            bytes: message,
        };
        self.seal(flow, 1, 1_000, &content.encode())
    }

    /// Anything, sealed.
    pub fn invent(&mut self, now: MonoTime, script: &mut Script<'_>) -> Option<Arc<[u8]>> {
        if script.byte() % 32 == 0 {
            self.seal.rotate();
        }
        let flow = forgery::flow(script);
        let ahead = match script.byte() % 8 {
            0 => script.number().clamp(1, 1 << 61),
            1 => 1 + u64::from(script.byte()),
            _ => 1,
        };
        let ttl_ms = script.u16() % 60_001;
        let content = forgery::content(script, now.as_us());
        self.seal(flow, ahead, ttl_ms, &content)
    }

    /// What the other end sent, when it is for this session.
    pub fn read(&mut self, now: MonoTime, parcel: &[u8]) -> Option<(Flow, Content)> {
        let Ok(Parcel::Sealed { header, ciphertext }) = Parcel::decode(parcel) else {
            return None;
        };
        if header.session != self.session {
            return None;
        }
        let flow = header.flow.to_byte();
        let opened = self.open.open(
            now,
            header.key_phase,
            flow,
            header.number,
            &header.encode(),
            &ciphertext,
        );
        let content = Content::decode(&opened.ok()?).expect("a role seals what can be read");
        Some((header.flow, content))
    }

    fn seal(&mut self, flow: Flow, ahead: u64, ttl_ms: u16, content: &[u8]) -> Option<Arc<[u8]>> {
        let number = self.numbers.entry(flow.to_byte()).or_default();
        *number = number.saturating_add(ahead).min(1 << 62);
        let header = SealedHeader {
            key_phase: self.seal.phase(),
            session: self.session,
            flow,
            number: *number,
            ttl_ms,
        };
        let sealed = self
            .seal
            .seal(flow.to_byte(), *number, &header.encode(), content)
            .ok()?;
        let ciphertext = sealed.into();
        Some(Parcel::Sealed { header, ciphertext }.encode())
    }
}
