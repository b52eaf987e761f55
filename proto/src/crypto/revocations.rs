//! Whose certificates count no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring::digest;
use rustls_pki_types::UnixTime;

use super::credential::Credential;
use crate::base::NodeName;
use crate::base::limits::{
    HANDSHAKE_BYTES_MAX, REVOCATION_PARTS_MAX, REVOKED_PER_PART_MAX, SIGNATURE_BYTES_MAX,
};
use crate::wire::{RevocationPart, RevocationWords, Revoked};

/// The newest list that is known whole, and what has come of the next one.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    current: List,
    coming: Option<Coming>,
}

#[derive(Debug, Default)]
struct List {
    number: u64,
    made_s: u64,
    revoked: BTreeMap<[u8; 8], u32>,
    /// As they came, so that they can be passed on.
    parts: Vec<Arc<[u8]>>,
}

#[derive(Debug)]
struct Coming {
    number: u64,
    made_s: u64,
    count: u8,
    parts: BTreeMap<u8, (Vec<Revoked>, Arc<[u8]>)>,
}

/// What a part of a list came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// A newer list is whole and counts from now on.
    Newer,
    /// More parts of its list are needed.
    Incomplete,
    /// It is of a list that is no newer, or it was there already.
    Known,
    /// It is malformed, or the authority did not sign it.
    Forged,
}

impl Revocations {
    /// Whether certificates of this node that were valid from this time or before count no more.
    pub(super) fn include(&self, node: &NodeName, not_before: UnixTime) -> bool {
        if self.current.revoked.is_empty() {
            return false;
        }
        let since_s = self.current.revoked.get(&name_hash(node));
        since_s.is_some_and(|since_s| not_before.as_secs() <= u64::from(*since_s))
    }

    /// Whether a part is of use, if it is genuine.
    // [WIRE-147]
    pub(super) fn want(&self, words: &RevocationWords) -> bool {
        if words.number <= self.current.number {
            return false;
        }
        self.coming.as_ref().is_none_or(|coming| {
            words.number > coming.number
                || (words.number == coming.number && !coming.parts.contains_key(&words.index))
        })
    }

    /// Takes a genuine part that is wanted.
    // [WIRE-147]
    pub(super) fn take(&mut self, part: RevocationPart) -> RevocationOutcome {
        let bytes = part.encode().into();
        let words = part.words;
        let is_same = |coming: &&mut Coming| {
            coming.number == words.number
                && coming.made_s == words.made_s
                && coming.count == words.count
        };
        let coming = match self.coming.as_mut().filter(is_same) {
            Some(coming) => coming,
            None => self.coming.insert(Coming {
                number: words.number,
                made_s: words.made_s,
                count: words.count,
                parts: BTreeMap::new(),
            }),
        };
        coming.parts.insert(words.index, (words.revoked, bytes));
        if coming.parts.len() < usize::from(coming.count) {
            return RevocationOutcome::Incomplete;
        }
        let Some(whole) = self.coming.take() else {
            return RevocationOutcome::Incomplete;
        };
        let mut list = List {
            number: whole.number,
            made_s: whole.made_s,
            ..List::default()
        };
        for (revoked, bytes) in whole.parts.into_values() {
            let entries = revoked.into_iter().map(|entry| (entry.node, entry.since_s));
            list.revoked.extend(entries);
            list.parts.push(bytes);
        }
        self.current = list;
        RevocationOutcome::Newer
    }

    pub(super) fn number(&self) -> u64 {
        self.current.number
    }

    pub(super) fn made_s(&self) -> u64 {
        self.current.made_s
    }

    pub(super) fn parts(&self) -> Vec<Arc<[u8]>> {
        self.current.parts.clone()
    }
}

/// The parts of a list of revocations, signed: the nodes, each with the second until which its certificates count no more. None
/// when there are too many for a list.
pub fn sign_revocations(
    credential: &dyn Credential,
    (number, made_s): (u64, u64),
    revoked: &BTreeMap<NodeName, u32>,
) -> Option<Vec<Vec<u8>>> {
    let certificate = credential.certificate();
    let room =
        HANDSHAKE_BYTES_MAX.checked_sub(HEAD_BYTES + certificate.len() + SIGNATURE_BYTES_MAX)?;
    let per_part = (room / ENTRY_BYTES).clamp(1, REVOKED_PER_PART_MAX);
    let entry = |(node, since_s): (&NodeName, &u32)| Revoked {
        node: name_hash(node),
        since_s: *since_s,
    };
    let entries: Vec<Revoked> = revoked.iter().map(entry).collect();
    let mut chunks: Vec<&[Revoked]> = entries.chunks(per_part).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    if chunks.len() > REVOCATION_PARTS_MAX {
        return None;
    }
    let count = u8::try_from(chunks.len()).ok()?;
    let part = |(index, revoked): (u8, &[Revoked])| {
        let words = RevocationWords {
            number,
            made_s,
            index,
            count,
            revoked: revoked.to_vec(),
        };
        let signature = credential.sign(&words.to_be_signed());
        let certificate = certificate.to_vec();
        RevocationPart {
            words,
            certificate,
            signature,
        }
        .encode()
    };
    Some((0..).zip(chunks).map(part).collect())
}

fn name_hash(node: &NodeName) -> [u8; 8] {
    let digest = digest::digest(&digest::SHA256, node.to_string().as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Bytes of a part beside entries, certificate and signature.
const HEAD_BYTES: usize = 8 + 8 + 1 + 1 + 1 + 2;
/// Bytes of one entry.
const ENTRY_BYTES: usize = 8 + 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_authority::{KeyType, NOW, TestAuthority, at};
    use crate::crypto::{CertificateError, Fleet};

    const SINCE_S: u32 = 1_780_000_000;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn names(count: usize) -> BTreeMap<NodeName, u32> {
        let name = |number| (node(&format!("agent/truck-{number}")), SINCE_S);
        (0..count).map(name).collect()
    }

    struct Scene {
        authority: TestAuthority,
        fleet: Fleet,
    }

    impl Scene {
        fn new() -> Scene {
            let authority = TestAuthority::new("demo");
            let fleet = authority.fleet();
            Scene { authority, fleet }
        }

        fn sign(&self, number: u64, revoked: &BTreeMap<NodeName, u32>) -> Vec<Vec<u8>> {
            let credential = self
                .authority
                .credential("authority/demo", KeyType::Ed25519);
            sign_revocations(&credential, (number, 7), revoked).unwrap()
        }

        fn take(&self, parts: &[Vec<u8>]) -> Vec<RevocationOutcome> {
            parts
                .iter()
                .map(|part| self.fleet.take_revocations(part))
                .collect()
        }

        fn is_revoked(&self, name: &str) -> bool {
            let (certificate, _) = self.authority.issue(name, KeyType::Ed25519);
            let verified = self.fleet.verify(&certificate, NOW);
            verified == Err(CertificateError::Revoked)
        }
    }

    use RevocationOutcome::{Forged, Incomplete, Known, Newer};

    // [WIRE-147]
    #[test]
    fn a_list_counts_when_all_of_it_is_there_in_any_order() {
        let scene = Scene::new();
        let mut parts = scene.sign(1, &names(150));
        assert!(parts.len() >= 3, "{}", parts.len());
        parts.reverse();
        let last = parts.pop().unwrap();
        assert_eq!(scene.take(&parts), vec![Incomplete; parts.len()]);
        assert_eq!(scene.take(&parts), vec![Known; parts.len()]);
        assert!(!scene.is_revoked("agent/truck-7"));
        assert_eq!(scene.take(&[last]), [Newer]);
        for (name, revoked) in [
            ("agent/truck-0", true),
            ("agent/truck-149", true),
            ("agent/truck-150", false),
            ("controller/truck-7", false),
        ] {
            assert_eq!(scene.is_revoked(name), revoked, "{name}");
        }
        let other = scene.authority.fleet();
        for part in scene.fleet.revocation_parts() {
            other.take_revocations(&part);
        }
        assert_eq!(other.revocations_made(), (1, 7));
    }

    // [WIRE-147]
    #[test]
    fn an_older_list_takes_nothing_back() {
        let scene = Scene::new();
        let (old, new) = (scene.sign(1, &names(0)), scene.sign(2, &names(1)));
        assert_eq!(scene.take(&new), [Newer]);
        assert_eq!(scene.take(&old), [Known]);
        assert_eq!(scene.take(&new), [Known]);
        assert!(scene.is_revoked("agent/truck-0"));
        assert_eq!(scene.take(&scene.sign(3, &names(0))), [Newer]);
        assert!(!scene.is_revoked("agent/truck-0"));
    }

    // [WIRE-147]
    #[test]
    fn parts_of_two_lists_do_not_make_one() {
        let scene = Scene::new();
        let (first, second) = (scene.sign(1, &names(60)), scene.sign(2, &names(60)));
        assert_eq!(
            scene.take(&[first[0].clone(), second[1].clone()]),
            [Incomplete, Incomplete]
        );
        // The newer one has begun, so the older one is of no use any more.
        assert_eq!(scene.take(&first), [Known, Known]);
        assert_eq!(scene.take(&second[..1]), [Newer]);
    }

    // [WIRE-146]
    #[test]
    fn only_the_authority_s_node_signs_a_list() {
        let scene = Scene::new();
        for signer in ["relay/a", "controller/anna", "agent/truck-0", "newcomer/t1"] {
            let credential = scene.authority.credential(signer, KeyType::P256);
            let parts = sign_revocations(&credential, (9, 7), &names(1)).unwrap();
            assert_eq!(scene.take(&parts), [Forged], "{signer}");
        }
        let stranger = TestAuthority::new("demo").credential("authority/demo", KeyType::Ed25519);
        let parts = sign_revocations(&stranger, (9, 7), &names(1)).unwrap();
        assert_eq!(scene.take(&parts), [Forged]);
        let genuine = scene.sign(9, &names(1)).swap_remove(0);
        for at in [0, 7, 15, 20, 30, genuine.len() - 1] {
            let mut forged = genuine.clone();
            forged[at] ^= 1;
            assert_eq!(scene.take(&[forged]), [Forged], "byte {at}");
        }
        assert_eq!(scene.take(&[Vec::new()]), [Forged]);
        assert_eq!(scene.take(&[genuine]), [Newer]);
    }

    // [WIRE-147]
    #[test]
    fn a_certificate_of_after_the_revocation_counts() {
        let scene = Scene::new();
        let before_s = u32::try_from(TestAuthority::NOT_BEFORE.as_secs()).unwrap();
        for (number, since_s, revoked) in [(1, before_s - 1, false), (2, before_s, true)] {
            let list = [(node("agent/truck-0"), since_s)].into();
            assert_eq!(scene.take(&scene.sign(number, &list)), [Newer]);
            assert_eq!(scene.is_revoked("agent/truck-0"), revoked);
        }
    }

    // [WIRE-144]
    #[test]
    fn an_expired_agent_has_a_time_of_grace_unless_it_is_revoked() {
        use crate::base::limits::GRACE;
        let scene = Scene::new();
        let graceful = scene.authority.fleet().with_grace();
        let end_s = TestAuthority::NOT_AFTER.as_secs();
        let verify = |fleet: &Fleet, name: &str, at_s| {
            let (certificate, _) = scene.authority.issue(name, KeyType::Ed25519);
            fleet
                .verify(&certificate, at(at_s))
                .map(|peer| peer.not_after.as_secs())
        };
        let not_after = TestAuthority::NOT_AFTER;
        let expired = Err(CertificateError::Expired { not_after });
        let grace_end_s = end_s + GRACE.as_secs();
        assert_eq!(verify(&graceful, "agent/truck-0", grace_end_s), Ok(end_s));
        assert_eq!(verify(&graceful, "agent/truck-0", grace_end_s + 1), expired);
        assert_eq!(verify(&graceful, "controller/anna", end_s + 1), expired);
        assert_eq!(verify(&scene.fleet, "agent/truck-0", end_s + 1), expired);
        for part in scene.sign(1, &names(1)) {
            graceful.take_revocations(&part);
        }
        let revoked = Err(CertificateError::Revoked);
        assert_eq!(verify(&graceful, "agent/truck-0", end_s + 1), revoked);
    }

    // [WIRE-145]
    #[test]
    fn a_list_has_at_most_64_parts() {
        let scene = Scene::new();
        let credential = scene
            .authority
            .credential("authority/demo", KeyType::Ed25519);
        assert!(sign_revocations(&credential, (1, 7), &names(2_000)).is_some());
        assert!(sign_revocations(&credential, (1, 7), &names(64 * 64 + 1)).is_none());
    }
}
