//! The handshake that opens a session: Noise XX, with the ends' certificates and signatures inside.
//!
//! ```text
//! initiator (controller)                                  responder (agent)
//!   step 1: ephemeral key                          ->
//!                <- step 2: ephemeral key, sealed: static key, introduction
//!   step 3: sealed: static key, introduction       ->
//! ```
//!
//! Each end keeps the bytes of the steps it made and sends the same ones again when they seem lost; neither knows here
//! about retries. A step that is refused leaves everything as it was and is not answered.

use std::fmt;

use rustls_pki_types::UnixTime;
use snow::HandshakeState;

use super::credential::Credential;
use super::fleet::{CertificateError, Fleet, Peer, fingerprint};
use super::introduction::{
    FEATURE_RUN, FEATURES, Introduced, Introduction, Role, VERSION_MAX, VERSION_MIN, to_be_signed,
};
use super::keys::{OpenKey, SealKey};
use super::noise::{self, Noise};
use super::run_key::{Run, RunKey};
use crate::base::{ClockSample, Entropy, MonoTime, NodeName, SessionId};

/// What one end of a session has after the handshake.
#[derive(Debug)]
pub struct Established {
    /// Who the other end is.
    pub peer: Peer,
    /// The version of the session protocol that both speak.
    pub version: u8,
    /// The features that both know.
    pub features: u32,
    /// Seals what this end sends.
    pub seal: SealKey,
    /// Opens what the other end sends.
    pub open: OpenKey,
    /// The first sample of the other end's clock.
    pub sample: ClockSample,
    /// The final handshake hash: names this session and no other, and is no secret.
    pub handshake_hash: [u8; 32],
    /// SHA-256 of the own certificate (DER) that the other end was shown.
    pub shown: [u8; 32],
    /// Which run of the called node's program this is; at its caller only, and when the called node says it.
    pub run: Option<Run>,
}

/// The end that opens the session, after step 1.
pub struct Initiator {
    noise: Noise,
    /// The state after step 1, unless an attempt has used it up.
    ready: Option<HandshakeState>,
    to: NodeName,
    sent: MonoTime,
    /// Step 2s that were taken.
    taken: Vec<Vec<u8>>,
}

impl Initiator {
    /// Begins a session with the node `to`; returns step 1 as well.
    pub fn new(
        now: MonoTime,
        session: SessionId,
        to: &NodeName,
        entropy: &mut dyn Entropy,
    ) -> (Initiator, Vec<u8>) {
        let noise = Noise::calling(session, to, entropy);
        let (state, step1) = after_step1(&noise);
        let initiator = Initiator {
            noise,
            ready: Some(state),
            to: to.clone(),
            sent: now,
            taken: Vec::new(),
        };
        (initiator, step1)
    }

    /// Takes step 2; returns step 3 and what the session needs. `at` is the time for certificates.
    ///
    /// # Errors
    /// Why step 2 is refused: count it, tell nobody, and wait for another one. [`HandshakeError::Complete`] for one that was
    /// taken before: send its step 3 again. The called node may have answered more than once with different steps, when it
    /// forgot the first; each gives a session of its own, and only that node knows which one stands.
    pub fn on_step2(
        &mut self,
        now: MonoTime,
        step2: &[u8],
        fleet: &Fleet,
        at: UnixTime,
        credential: &dyn Credential,
    ) -> Result<(Vec<u8>, Established), HandshakeError> {
        if self.taken.iter().any(|taken| taken == step2) {
            return Err(HandshakeError::Complete);
        }
        // [WIRE-68]
        let mut state = self
            .ready
            .take()
            .unwrap_or_else(|| after_step1(&self.noise).0);
        let hash = state.get_handshake_hash().to_vec();
        let payload = noise::read(&mut state, step2).ok_or(HandshakeError::Unreadable)?;
        let introduced = Introduction::decode(&payload).ok_or(HandshakeError::Malformed)?;
        let peer = believe(Role::Responder, &state, &hash, &introduced, fleet, at)?;
        // [WIRE-67]
        if peer.node != self.to {
            return Err(HandshakeError::WrongPeer(peer.node));
        }
        let theirs = introduced.introduction;
        let version = theirs.common_version().ok_or(HandshakeError::Version)?;
        let features = theirs.features & FEATURES;
        let run = noise::far_static(&state).filter(|_| features & FEATURE_RUN != 0);
        let mine = Introduction {
            received_us: now.as_us(),
            sent_us: now.as_us(),
            version_min: version,
            version_max: version,
            features,
            certificate: credential.certificate(),
        };
        let payload = sign(Role::Initiator, &state, &self.noise, &mine, credential)?;
        let step3 = noise::write(&mut state, &payload).ok_or(HandshakeError::Credential)?;
        self.taken.push(step2.to_vec());
        let handshake_hash = noise::hash(&state);
        let (mine, peers) = noise::secrets(&mut state);
        let established = Established {
            peer,
            version,
            features,
            seal: SealKey::new(&mine),
            open: OpenKey::new(&peers),
            sample: sample(self.sent, &theirs, now),
            handshake_hash,
            shown: fingerprint(credential.certificate()),
            run,
        };
        Ok((step3, established))
    }
}

/// The called end, after step 2.
pub struct Responder {
    noise: Noise,
    /// The state after step 2, unless an attempt has used it up.
    ready: Option<HandshakeState>,
    step1: Vec<u8>,
    /// The payload of step 2: an ECDSA signature would not be the same a second time.
    payload: Vec<u8>,
    sent: MonoTime,
    /// SHA-256 of the certificate in it.
    shown: [u8; 32],
    complete: bool,
}

impl Responder {
    /// Takes step 1 of a session with this node, `me`, in one run of its program; returns step 2 as well.
    ///
    /// # Errors
    /// [`HandshakeError::Unreadable`] when it is no step 1; [`HandshakeError::Credential`] when this node's own certificate
    /// or key cannot be used.
    pub fn new(
        now: MonoTime,
        session: SessionId,
        me: &NodeName,
        step1: &[u8],
        credential: &dyn Credential,
        run: &RunKey,
        entropy: &mut dyn Entropy,
    ) -> Result<(Responder, Vec<u8>), HandshakeError> {
        // [WIRE-61]
        if step1.len() != STEP1_BYTES {
            return Err(HandshakeError::Unreadable);
        }
        let noise = Noise::answering(session, me, run, entropy);
        let mut state = noise.begin();
        noise::read(&mut state, step1).ok_or(HandshakeError::Unreadable)?;
        let mine = Introduction {
            received_us: now.as_us(),
            sent_us: now.as_us(),
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            features: FEATURES,
            certificate: credential.certificate(),
        };
        let payload = sign(Role::Responder, &state, &noise, &mine, credential)?;
        let step2 = noise::write(&mut state, &payload).ok_or(HandshakeError::Credential)?;
        let responder = Responder {
            noise,
            ready: Some(state),
            step1: step1.to_vec(),
            payload,
            sent: now,
            shown: fingerprint(credential.certificate()),
            complete: false,
        };
        Ok((responder, step2))
    }

    /// Whether this is the step 1 that this handshake answers: then its step 2 is to be sent again.
    // [WIRE-69]
    pub fn answers(&self, step1: &[u8]) -> bool {
        self.step1 == step1
    }

    /// Takes step 3; returns what the session needs. `at` is the time for certificates.
    ///
    /// # Errors
    /// Why step 3 is refused: count it, tell nobody, and wait for another one. [`HandshakeError::Complete`] after success.
    pub fn on_step3(
        &mut self,
        now: MonoTime,
        step3: &[u8],
        fleet: &Fleet,
        at: UnixTime,
    ) -> Result<Established, HandshakeError> {
        if self.complete {
            return Err(HandshakeError::Complete);
        }
        // [WIRE-68]
        let mut state = match self.ready.take() {
            Some(state) => state,
            None => self.after_step2()?,
        };
        let hash = state.get_handshake_hash().to_vec();
        let payload = noise::read(&mut state, step3).ok_or(HandshakeError::Unreadable)?;
        let introduced = Introduction::decode(&payload).ok_or(HandshakeError::Malformed)?;
        let peer = believe(Role::Initiator, &state, &hash, &introduced, fleet, at)?;
        let theirs = introduced.introduction;
        // [WIRE-70]
        let version = theirs.common_version().ok_or(HandshakeError::Version)?;
        if theirs.version_min != theirs.version_max || theirs.features & !FEATURES != 0 {
            return Err(HandshakeError::Version);
        }
        self.complete = true;
        let handshake_hash = noise::hash(&state);
        let (peers, mine) = noise::secrets(&mut state);
        Ok(Established {
            peer,
            version,
            features: theirs.features,
            seal: SealKey::new(&mine),
            open: OpenKey::new(&peers),
            sample: sample(self.sent, &theirs, now),
            handshake_hash,
            shown: self.shown,
            run: None,
        })
    }

    fn after_step2(&self) -> Result<HandshakeState, HandshakeError> {
        let mut state = self.noise.begin();
        noise::read(&mut state, &self.step1).ok_or(HandshakeError::Unreadable)?;
        noise::write(&mut state, &self.payload).ok_or(HandshakeError::Credential)?;
        Ok(state)
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator")
            .field("to", &self.to)
            .field("complete", &!self.taken.is_empty())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

fn after_step1(noise: &Noise) -> (HandshakeState, Vec<u8>) {
    let mut state = noise.begin();
    let step1 = noise::write(&mut state, &[]).expect("an empty payload fits");
    (state, step1)
}

/// The payload of a step: this end's introduction and its signature.
fn sign(
    role: Role,
    state: &HandshakeState,
    noise: &Noise,
    introduction: &Introduction<'_>,
    credential: &dyn Credential,
) -> Result<Vec<u8>, HandshakeError> {
    let mut payload = introduction.encode().ok_or(HandshakeError::Credential)?;
    let signature = credential.sign(&to_be_signed(
        role,
        state.get_handshake_hash(),
        noise.static_public(),
        &payload,
    ));
    if signature.is_empty() {
        return Err(HandshakeError::Credential);
    }
    payload.extend_from_slice(&signature);
    Ok(payload)
}

/// Who introduced itself, when its certificate and signature are right. `hash` is the handshake hash before the step.
fn believe(
    role: Role,
    state: &HandshakeState,
    hash: &[u8],
    introduced: &Introduced<'_>,
    fleet: &Fleet,
    at: UnixTime,
) -> Result<Peer, HandshakeError> {
    let certificate = introduced.introduction.certificate;
    let peer = fleet.verify(certificate, at)?;
    let static_public = state
        .get_remote_static()
        .ok_or(HandshakeError::Unreadable)?;
    // [WIRE-64]
    fleet
        .verify_signature(
            certificate,
            &to_be_signed(role, hash, static_public, introduced.clear),
            introduced.signature,
        )
        .map_err(|_| HandshakeError::Signature)?;
    Ok(peer)
}

/// Right also when either step was sent more than once: the points are of the first making and of the first arrival that
/// counted, so the sample's bounds only widen.
// [WIRE-71]
fn sample(sent: MonoTime, theirs: &Introduction<'_>, received: MonoTime) -> ClockSample {
    ClockSample {
        sent,
        far_received_us: theirs.received_us,
        far_sent_us: theirs.sent_us,
        received,
    }
}

/// One X25519 public key.
const STEP1_BYTES: usize = 32;

/// Why a step of a handshake is refused; for counters, the other end is not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Forged, damaged, too long, or of another session, node or step.
    #[error("the step cannot be read")]
    Unreadable,
    /// It opens but makes no sense.
    #[error("the step is malformed")]
    Malformed,
    /// The other end's certificate is not believed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The other end does not have the key of its certificate.
    #[error("the step is not signed by the owner of its certificate")]
    Signature,
    /// Another node than the called one answered.
    #[error("{0} answered instead of the called node")]
    WrongPeer(NodeName),
    /// There is no version that both speak.
    #[error("no common version of the session protocol")]
    Version,
    /// This end's own certificate is too long, or its key cannot be used now.
    #[error("the own certificate or key cannot be used")]
    Credential,
    /// The handshake has succeeded before, with this step.
    #[error("the handshake is complete")]
    Complete,
}

#[cfg(test)]
mod tests;
