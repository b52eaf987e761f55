//! A session of a controller with valid papers that keeps to no rule: the real keys, and whatever it likes under them.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::{Flow, NodeKind, SessionId};
use longrein_proto::crypto::{Initiator, SealKey};
use longrein_proto::wire::{Content, Notice, Parcel, SealedHeader};
use rustls_pki_types::UnixTime;

use crate::{Station, TestFleet, World};

/// What a hostile controller keeps of a session.
pub struct RawSession {
    node: Station,
    id: SessionId,
    seal: SealKey,
    numbers: BTreeMap<u8, u64>,
}

impl RawSession {
    /// Opens a session of a raw node, with the papers of the controller of this name; none when nobody answers within a second.
    pub fn open(
        world: &mut World,
        (node, papers): (Station, &str),
        agent: Station,
        id: SessionId,
    ) -> Option<RawSession> {
        let credential = world.stolen_credential(NodeKind::Controller, papers);
        let fleet = world.fleet().fleet();
        let to = world.name_of(agent).clone();
        let mut chance = world.branch();
        let handshake = |step, to, body: Vec<u8>| {
            Parcel::Handshake {
                session: id,
                step,
                to,
                body: body.into(),
            }
            .encode()
        };
        let mut initiator = world.with_raw(node, |node, now| {
            let to = to.clone();
            let route = Notice::Route {
                session: id,
                to: to.clone(),
            };
            node.send(now, Parcel::Notice(route).encode());
            let (initiator, step1) = Initiator::new(now, id, &to, &mut chance);
            node.send(now, handshake(1, Some(to), step1));
            initiator
        });
        let mut answer = None;
        world.run_until(Duration::from_secs(1), |world| {
            answer = world.with_raw(node, |node, _| {
                node.heard.iter().find_map(|parcel| match parcel {
                    Parcel::Handshake {
                        session,
                        step: 2,
                        body,
                        ..
                    } if *session == id => Some(body.clone()),
                    _ => None,
                })
            });
            answer.is_some()
        });
        let at = UnixTime::since_unix_epoch(Duration::from_millis(TestFleet::UNIX_MS));
        let done = world.with_raw(node, |node, now| {
            let done = initiator.on_step2(now, &answer?, &fleet, at, credential.as_ref());
            let (step3, established) = done.expect("the papers are genuine");
            node.send(now, handshake(3, None, step3));
            Some(established)
        });
        Some(RawSession {
            node,
            id,
            seal: done?.seal,
            numbers: BTreeMap::new(),
        })
    }

    /// Seals a message and sends it.
    pub fn send(&mut self, world: &mut World, flow: Flow, ttl_ms: u16, message: Vec<u8>) {
        let number = self.numbers.entry(flow.to_byte()).or_default();
        *number += 1;
        let header = SealedHeader {
            key_phase: self.seal.phase(),
            session: self.id,
            flow,
            number: *number,
            ttl_ms,
        };
        let (seal, number) = (&mut self.seal, *number);
        world.with_raw(self.node, |node, now| {
            let content = Content {
                sent_at_us: now.as_us(),
                dictionary: None,
                fragment: None,
                bytes: message,
            };
            let sealed = seal
                .seal(flow.to_byte(), number, &header.encode(), &content.encode())
                .expect("a fresh number");
            let ciphertext = sealed.into();
            node.send(now, Parcel::Sealed { header, ciphertext }.encode());
        });
    }
}
