//! Who is at the other end of a session, and what each end shows the other of its newest certificate.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::wall::end_of;
use crate::base::MonoTime;
use crate::base::limits::{PAPERS_BURST, PAPERS_PER_S};
use crate::crypto::{
    Credential, Established, FEATURE_PAPERS, Fleet, PapersError, Peer, fingerprint, sign_papers,
    verify_papers,
};
use crate::leg::Budget;
use crate::wire::{Papers, SessionMessage};

/// The other end of a session by its newest certificate.
#[derive(Debug)]
pub(super) struct FarEnd {
    peer: Peer,
    /// When its newest certificate has ended.
    ends: MonoTime,
    handshake_hash: [u8; 32],
    reads_papers: bool,
    /// Of the newest own certificate that it was shown, or is to be.
    shown: [u8; 32],
    to_show: Option<SessionMessage>,
    /// The newest papers that it has shown and nobody has looked at.
    came: Option<Papers>,
    looks: Budget,
}

impl FarEnd {
    /// `at` is the time for certificates.
    pub(super) fn new(now: MonoTime, established: &Established, at: UnixTime) -> FarEnd {
        FarEnd {
            peer: established.peer.clone(),
            ends: end_of(now, at, established.peer.not_after),
            handshake_hash: established.handshake_hash,
            reads_papers: established.features & FEATURE_PAPERS != 0,
            shown: established.shown,
            to_show: None,
            came: None,
            looks: Budget::new(now, PAPERS_PER_S, PAPERS_BURST),
        }
    }

    pub(super) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether its newest certificate has ended.
    // [WIRE-160]
    pub(super) fn is_over(&self, now: MonoTime) -> bool {
        self.ends <= now
    }

    /// It shows papers.
    pub(super) fn on_papers(&mut self, papers: Papers) {
        self.came = Some(papers);
    }

    /// Looks at papers that came, if that is not too often; who the far end is by them.
    // [WIRE-162]
    pub(super) fn look(&mut self, now: MonoTime, fleet: &Fleet) -> Option<Result<(), PapersError>> {
        if self.came.is_none() || !self.looks.try_spend(now, 1) {
            return None;
        }
        let papers = self.came.take()?;
        let known = verify_papers(&papers, &self.handshake_hash, &self.peer, fleet);
        Some(known.map(|peer| {
            let longer_s = peer.not_after.as_secs() - self.peer.not_after.as_secs();
            self.ends = self.ends + Duration::from_secs(longer_s);
            self.peer = peer;
        }))
    }

    /// Shows it the own certificate, if it has seen an older one and can read papers.
    // [WIRE-161]
    pub(super) fn show(&mut self, credential: &dyn Credential) {
        let newest = fingerprint(credential.certificate());
        if self.reads_papers && self.shown != newest {
            self.shown = newest;
            let papers = sign_papers(credential, &self.handshake_hash);
            self.to_show = papers.map(SessionMessage::Papers);
        }
    }

    /// What is to be shown and was not yet; gone when `send` takes it.
    pub(super) fn show_with(&mut self, send: impl FnOnce(&SessionMessage) -> bool) {
        self.to_show.take_if(|papers| send(papers));
    }
}
