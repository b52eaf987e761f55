//! The Noise handshake, begun anew as often as needed.

use std::fmt;

use ring::hmac;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::introduction::Role;
use super::run_key::{Run, RunKey};
use super::secret::Secret;
use crate::base::limits::HANDSHAKE_BYTES_MAX;
use crate::base::{Entropy, NodeName, SessionId};

/// All that one end's part of a handshake follows from, so that the same state can be made again after a forged message has
/// spoilt one: snow does not restore its cipher's key and counter when a read fails, and a message of a stranger that reads
/// well but is not believed has moved it on for good.
pub(super) struct Noise {
    role: Role,
    prologue: Vec<u8>,
    static_private: Secret,
    static_public: [u8; 32],
    ephemeral_seed: Secret,
}

impl Noise {
    /// A handshake of the calling end, with fresh keys: who is behind them is said by a signature.
    // [WIRE-62]
    pub(super) fn calling(
        session: SessionId,
        called: &NodeName,
        entropy: &mut dyn Entropy,
    ) -> Noise {
        let static_private = Secret::filled_by(|bytes| entropy.fill(bytes));
        Noise::new(Role::Initiator, session, called, static_private, entropy)
    }

    /// A handshake of the called end, with the static key of its run.
    // [WIRE-62]
    pub(super) fn answering(
        session: SessionId,
        called: &NodeName,
        run: &RunKey,
        entropy: &mut dyn Entropy,
    ) -> Noise {
        Noise::new(Role::Responder, session, called, run.secret(), entropy)
    }

    fn new(
        role: Role,
        session: SessionId,
        called: &NodeName,
        static_private: Secret,
        entropy: &mut dyn Entropy,
    ) -> Noise {
        Noise {
            role,
            prologue: prologue(session, called),
            static_public: static_public(&static_private),
            static_private,
            ephemeral_seed: Secret::filled_by(|bytes| entropy.fill(bytes)),
        }
    }

    /// This end's Noise static public key.
    pub(super) fn static_public(&self) -> &[u8; 32] {
        &self.static_public
    }

    /// The state before step 1; the same each time.
    pub(super) fn begin(&self) -> HandshakeState {
        let resolver = Resolver(hmac::Key::new(
            hmac::HMAC_SHA256,
            self.ephemeral_seed.bytes(),
        ));
        let builder = Builder::with_resolver(pattern(), Box::new(resolver))
            .local_private_key(self.static_private.bytes())
            .and_then(|builder| builder.prologue(&self.prologue))
            .expect("each is given once");
        match self.role {
            Role::Initiator => builder.build_initiator(),
            Role::Responder => builder.build_responder(),
        }
        .expect("the resolver knows the pattern's functions and the key is there")
    }
}

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Noise")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The next message with this payload; absent when it would be too long.
pub(super) fn write(state: &mut HandshakeState, payload: &[u8]) -> Option<Vec<u8>> {
    let mut message = vec![0; HANDSHAKE_BYTES_MAX];
    let length = state.write_message(payload, &mut message).ok()?;
    message.truncate(length);
    Some(message)
}

/// The payload of the other end's next message; absent when it cannot be read, and then the state is spoilt.
pub(super) fn read(state: &mut HandshakeState, message: &[u8]) -> Option<Vec<u8>> {
    if message.len() > HANDSHAKE_BYTES_MAX {
        return None;
    }
    let mut payload = vec![0; HANDSHAKE_BYTES_MAX];
    let length = state.read_message(message, &mut payload).ok()?;
    payload.truncate(length);
    Some(payload)
}

/// The public half of a static key.
fn static_public(private: &Secret) -> [u8; 32] {
    let mut dh = curve25519();
    dh.set(private.bytes());
    let mut public = [0; 32];
    public.copy_from_slice(dh.pubkey());
    public
}

/// The run behind the other end's static key, when that key is a run's.
pub(super) fn far_static(state: &HandshakeState) -> Option<Run> {
    let public = state.get_remote_static()?;
    Some(Run(public.try_into().ok()?))
}

/// The hash of everything in the handshake so far.
pub(super) fn hash(state: &HandshakeState) -> [u8; 32] {
    let hash = state.get_handshake_hash().first_chunk();
    *hash.expect("SHA-256 has 32 bytes")
}

/// The secrets of a finished handshake: of what the initiator sends and of what the responder sends.
// [WIRE-72]
pub(super) fn secrets(state: &mut HandshakeState) -> (Secret, Secret) {
    let hash = state.get_handshake_hash().to_vec();
    let (initiator, responder) = state.dangerously_get_raw_split();
    let (initiator, responder) = (Zeroizing::new(initiator), Zeroizing::new(responder));
    (
        Secret::extract(&hash, &*initiator, b"longrein/1 initiator"),
        Secret::extract(&hash, &*responder, b"longrein/1 responder"),
    )
}

/// Label, session, kind and name of the called node.
// [WIRE-60]
fn prologue(session: SessionId, called: &NodeName) -> Vec<u8> {
    let name = called.name.as_str().as_bytes();
    let length = u8::try_from(name.len()).expect("a name has at most 48 bytes");
    let mut bytes = b"longrein/1 session\0".to_vec();
    bytes.extend_from_slice(&session.0.to_be_bytes());
    bytes.extend_from_slice(&[called.kind as u8, length]);
    bytes.extend_from_slice(name);
    bytes
}

// [WIRE-60]
fn pattern() -> NoiseParams {
    "Noise_XX_25519_AESGCM_SHA256"
        .parse()
        .expect("a pattern that snow knows")
}

fn curve25519() -> Box<dyn Dh> {
    DefaultResolver
        .resolve_dh(&DHChoice::Curve25519)
        .expect("snow is built with Curve25519")
}

/// X25519 from snow's default resolver (ring keeps its private keys to itself), cipher and hash from ring, randomness from
/// the seed.
struct Resolver(hmac::Key);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Seeded {
            key: self.0.clone(),
            blocks: 0,
        }))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// HMAC-SHA256 of a block counter under a secret seed.
struct Seeded {
    key: hmac::Key,
    blocks: u64,
}

impl Random for Seeded {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        for chunk in bytes.chunks_mut(32) {
            let block = hmac::sign(&self.key, &self.blocks.to_be_bytes());
            self.blocks += 1;
            for (byte, random) in chunk.iter_mut().zip(block.as_ref()) {
                *byte = *random;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_authority::SeededEntropy;

    #[test]
    fn a_handshake_begins_the_same_way_each_time_and_another_one_differently() {
        let called = "agent/truck-17".parse().expect("valid");
        let new = |seed| Noise::calling(SessionId(1), &called, &mut SeededEntropy::new(seed));
        let noise = new(1);
        let step1 = write(&mut noise.begin(), &[]);

        assert_eq!(step1.as_ref().map(Vec::len), Some(32));
        assert_eq!(step1, write(&mut noise.begin(), &[]));
        assert_ne!(step1, write(&mut new(2).begin(), &[]));
        assert_ne!(step1.as_deref(), Some(&noise.static_public()[..]));
    }

    // [WIRE-60]
    #[test]
    fn the_prologue_names_protocol_session_and_called_node() {
        assert_eq!(
            prologue(SessionId(0x0102_0304), &"agent/t1".parse().expect("valid")),
            b"longrein/1 session\0\x01\x02\x03\x04\x01\x02t1"
        );
    }

    #[test]
    fn no_key_is_printed() {
        let called = "agent/truck-17".parse().expect("valid");
        let mut entropy = SeededEntropy::new(1);
        let run = RunKey::new(&mut entropy);
        let noise = Noise::answering(SessionId(1), &called, &run, &mut entropy);

        assert_eq!(format!("{noise:?}"), "Noise { role: Responder, .. }");
    }
}
