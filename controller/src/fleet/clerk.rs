//! Answers who asks the authority for a certificate.

use std::path::Path;

use longrein_proto::base::{Name, NodeKind, NodeName};
use longrein_proto::crypto::{Issued, Peer, Token, TokenVerdict, judge_renewal};
use longrein_proto::wire::{EnrolRefusal, Enrolment};

use super::register::{Register, Signed};
use super::{FleetError, FleetFolder, SigningRequest, Validity};

/// The authority at work: judges by its register, signs, and writes down before it gives away.
#[derive(Debug)]
pub struct Clerk {
    folder: FleetFolder,
    register: Register,
    lives: Lives,
}

/// How long certificates are valid, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// Of agents, services and relays.
    pub machine_s: u64,
    /// Of controllers.
    pub operator_s: u64,
}

impl Default for Lives {
    /// A year; half a day, so that a lost laptop does not come back.
    fn default() -> Lives {
        Lives {
            machine_s: u64::from(Validity::DAYS_MACHINE) * 86_400,
            operator_s: 12 * 3_600,
        }
    }
}

impl Clerk {
    /// The authority of the fleet in a folder.
    ///
    /// # Errors
    /// Those of [`FleetFolder::open`].
    pub fn open(folder: &Path, lives: Lives) -> Result<Clerk, FleetError> {
        let folder = FleetFolder::open(folder)?;
        let register = folder.register();
        Ok(Clerk {
            folder,
            register,
            lives,
        })
    }

    /// The fleet's folder.
    pub fn folder(&self) -> &FleetFolder {
        &self.folder
    }

    /// The answer to `peer`, who asks for a certificate of `node` with a signing request. What it gives away is on disk before.
    pub fn answer(&self, now_s: u64, peer: &Peer, node: &NodeName, request: &[u8]) -> Enrolment {
        let answer = match peer.node.kind {
            NodeKind::Newcomer => self.enrol(now_s, peer, node, request),
            NodeKind::Agent
            | NodeKind::Controller
            | NodeKind::Service
            | NodeKind::Relay
            | NodeKind::Authority => self.renew(now_s, peer, node, request),
        };
        let asker = &peer.node;
        match answer {
            Ok(certificate) => {
                tracing::info!(%asker, %node, "certificate is given");
                Enrolment::Certified(certificate)
            }
            Err(No::Refused(why)) => {
                tracing::warn!(%asker, %node, why = %why, "certificate is refused");
                Enrolment::Refused(why)
            }
            Err(No::Failed(why)) => {
                tracing::error!(%asker, %node, why = %why, "certificate cannot be given");
                Enrolment::Refused(EnrolRefusal::Broken)
            }
        }
    }

    fn enrol(&self, now_s: u64, peer: &Peer, node: &NodeName, request: &[u8]) -> Answer {
        let request = SigningRequest::parse(request).ok_or(EnrolRefusal::BadRequest)?;
        let key = request.key_sha256();
        let token = self.register.token(&peer.node.name)?;
        let mut token: Token = token.ok_or(EnrolRefusal::UnknownToken)?;
        let signed = self.register.signed(node)?;
        let by_hand = || {
            let made = self.folder.node(node).exists();
            made.then_some(Issued {
                token: None,
                key: [0; 32],
            })
        };
        let issued = signed.as_ref().map(|signed| signed.issued.clone());
        let issued = issued.or_else(by_hand);
        match token.judge(now_s, peer, (node, &key), issued.as_ref()) {
            TokenVerdict::Refuse(why) => Err(why.into()),
            TokenVerdict::Again => Ok(signed.map(|signed| signed.certificate).unwrap_or_default()),
            TokenVerdict::Sign => {
                // The use counts before the certificate exists: no crash makes a token work twice.
                token.used.insert(node.name.clone());
                self.register.write_token(&token)?;
                let id = Some(token.id.clone());
                let validity = self.validity(now_s, node);
                self.sign(validity, (node, &token.groups), &request, id)
            }
        }
    }

    fn renew(&self, now_s: u64, peer: &Peer, node: &NodeName, request: &[u8]) -> Answer {
        judge_renewal(peer, node)?;
        if self.folder.revocations()?.includes(peer) {
            return Err(EnrolRefusal::Revoked.into());
        }
        let request = SigningRequest::parse(request).ok_or(EnrolRefusal::BadRequest)?;
        // The token of its first certificate stays used by the key that it has now.
        let token = self.register.signed(node)?.and_then(|s| s.issued.token);
        let mut validity = self.validity(now_s, node);
        // [WIRE-150] One that was made by hand may have more before it than its kind is given now.
        validity.not_after_s = validity.not_after_s.max(peer.not_after.as_secs());
        self.sign(validity, (node, &peer.groups), &request, token)
    }

    fn validity(&self, now_s: u64, node: &NodeName) -> Validity {
        Validity::seconds(now_s, self.lives.of(node.kind))
    }

    fn sign(
        &self,
        mut validity: Validity,
        (node, groups): (&NodeName, &[Name]),
        request: &SigningRequest,
        token: Option<Name>,
    ) -> Answer {
        // A name that is revoked begins anew: what counts no more is what was valid before.
        if let Some(since_s) = self.folder.revocations()?.revoked.get(node) {
            validity.not_before_s = validity.not_before_s.max(u64::from(*since_s) + 1);
        }
        let certificate = self
            .folder
            .authority()
            .certify(node, groups, validity, request)?;
        let signed = Signed {
            issued: Issued {
                token,
                key: request.key_sha256(),
            },
            certificate,
        };
        self.register.write_signed(node, &signed)?;
        Ok(signed.certificate)
    }
}

impl Lives {
    fn of(&self, kind: NodeKind) -> u64 {
        match kind {
            NodeKind::Controller => self.operator_s,
            NodeKind::Agent
            | NodeKind::Service
            | NodeKind::Relay
            | NodeKind::Authority
            | NodeKind::Newcomer => self.machine_s,
        }
    }
}

type Answer = Result<Vec<u8>, No>;

/// Why there is no certificate.
enum No {
    Refused(EnrolRefusal),
    Failed(FleetError),
}

impl From<EnrolRefusal> for No {
    fn from(why: EnrolRefusal) -> No {
        No::Refused(why)
    }
}

impl From<FleetError> for No {
    fn from(why: FleetError) -> No {
        No::Failed(why)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longrein_io::enrol::EnrolmentToken;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
    use rustls_pki_types::UnixTime;

    use super::*;
    use crate::fleet::TokenOrder;
    use crate::local_fleet::Folder;

    const NOW_S: u64 = 1_800_000_000;

    struct Office {
        clerk: Clerk,
        _folder: Folder,
    }

    impl Office {
        fn new() -> Office {
            let folder = Folder::new().unwrap();
            let path = folder.path().join("fleet");
            FleetFolder::create(&path, "harbour".parse().unwrap(), &[], NOW_S).unwrap();
            Office {
                clerk: Clerk::open(&path, Lives::default()).unwrap(),
                _folder: folder,
            }
        }

        fn token(&self, order: &TokenOrder) -> EnrolmentToken {
            self.clerk.folder.token(order, NOW_S).unwrap()
        }

        fn holder(&self, token: &EnrolmentToken) -> Peer {
            let fleet = self.clerk.folder.authority().trust();
            let at = UnixTime::since_unix_epoch(Duration::from_secs(NOW_S));
            fleet.verify(&token.certificate, at).unwrap()
        }

        fn ask(&self, peer: &Peer, node: &str, request: &[u8]) -> Result<Peer, EnrolRefusal> {
            let node = node.parse().unwrap();
            match self.clerk.answer(NOW_S, peer, &node, request) {
                Enrolment::Certified(certificate) => {
                    let fleet = self.clerk.folder.authority().trust();
                    let at = UnixTime::since_unix_epoch(Duration::from_secs(NOW_S));
                    Ok(fleet.verify(&certificate, at).unwrap())
                }
                Enrolment::Refused(why) => Err(why),
                Enrolment::Certify { .. } => panic!("an answer"),
            }
        }
    }

    fn one(node: &str) -> TokenOrder {
        TokenOrder::one(node.parse().unwrap(), NOW_S + 3_600)
    }

    fn request(key: &KeyPair) -> Vec<u8> {
        let request = CertificateParams::default().serialize_request(key);
        request.unwrap().der().to_vec()
    }

    fn key() -> KeyPair {
        KeyPair::generate_for(&PKCS_ED25519).unwrap()
    }

    // [WIRE-141]
    #[test]
    fn a_token_gives_one_certificate_however_often_its_key_asks() {
        let office = Office::new();
        let mut order = one("agent/truck-17");
        order.groups = vec!["yard".parse().unwrap()];
        let holder = office.holder(&office.token(&order));
        let (first, second) = (request(&key()), request(&key()));
        let truck = office.ask(&holder, "agent/truck-17", &first).unwrap();
        assert_eq!(truck.node, "agent/truck-17".parse().unwrap());
        assert_eq!(truck.groups, order.groups);
        let again = office.ask(&holder, "agent/truck-17", &first);
        assert_eq!(again, Ok(truck));
        let other = office.ask(&holder, "agent/truck-17", &second);
        assert_eq!(other, Err(EnrolRefusal::TokenUsed));
    }

    // [WIRE-147]
    #[test]
    fn a_revoked_node_gets_nothing_and_its_name_begins_anew_with_a_new_token() {
        let office = Office::new();
        let truck = "agent/truck-17";
        let holder = office.holder(&office.token(&one(truck)));
        let peer = office.ask(&holder, truck, &request(&key())).unwrap();
        let node = peer.node.clone();
        let list = office.clerk.folder.revoke(&[node], NOW_S - 1).unwrap();
        let refused = office.ask(&peer, truck, &request(&key()));
        assert_eq!(refused, Err(EnrolRefusal::Revoked));
        let again = office.holder(&office.token(&one(truck)));
        let new = office.ask(&again, truck, &request(&key())).unwrap();
        assert!(list.includes(&peer) && !list.includes(&new));
    }

    #[test]
    fn certificates_have_the_life_of_their_kind() {
        let office = Office::new();
        for (node, life_s) in [("agent/a", 365 * 86_400), ("controller/a", 12 * 3_600)] {
            let holder = office.holder(&office.token(&one(node)));
            let peer = office.ask(&holder, node, &request(&key())).unwrap();
            assert_eq!(peer.not_after.as_secs(), NOW_S + life_s, "{node}");
        }
    }

    // [WIRE-150]
    #[test]
    fn a_renewed_certificate_ends_no_sooner_than_the_one_before() {
        let office = Office::new();
        let holder = office.holder(&office.token(&one("controller/a")));
        let mut peer = office
            .ask(&holder, "controller/a", &request(&key()))
            .unwrap();
        for (before_s, renewed_s) in [(7, 12 * 3_600), (30 * 86_400, 30 * 86_400)] {
            let end = Duration::from_secs(NOW_S + before_s);
            peer.not_after = UnixTime::since_unix_epoch(end);
            let renewed = office.ask(&peer, "controller/a", &request(&key())).unwrap();
            assert_eq!(renewed.not_after.as_secs(), NOW_S + renewed_s);
        }
    }

    // [WIRE-141]
    #[test]
    fn a_request_that_its_own_key_did_not_sign_is_refused() {
        let office = Office::new();
        let holder = office.holder(&office.token(&one("agent/truck-17")));
        let good = request(&key());
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;
        let refused = Err(EnrolRefusal::BadRequest);
        for bad in [forged, Vec::new(), vec![0x30; 90]] {
            assert_eq!(office.ask(&holder, "agent/truck-17", &bad), refused);
        }
        // None of these has used the token up.
        assert!(office.ask(&holder, "agent/truck-17", &good).is_ok());
    }

    #[test]
    fn a_p256_key_is_certified_too() {
        let office = Office::new();
        let holder = office.holder(&office.token(&one("agent/truck-17")));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        assert!(
            office
                .ask(&holder, "agent/truck-17", &request(&key))
                .is_ok()
        );
    }

    // [WIRE-141]
    #[test]
    fn a_token_for_many_gives_names_that_nobody_has() {
        let office = Office::new();
        let mut order = one("agent/dev-");
        order.is_prefix = true;
        order.uses = 2;
        let holder = office.holder(&office.token(&order));
        let hand_made = [crate::fleet::Order::new("agent/dev-0".parse().unwrap())];
        office.clerk.folder.add(&hand_made, NOW_S).unwrap();
        let ask = |name: &str| office.ask(&holder, name, &request(&key())).map(|_| ());
        assert_eq!(ask("agent/dev-0"), Err(EnrolRefusal::NameTaken));
        assert_eq!(ask("agent/dev-1"), Ok(()));
        assert_eq!(ask("agent/dev-1"), Err(EnrolRefusal::TokenUsed));
        assert_eq!(ask("agent/dev-2"), Ok(()));
        assert_eq!(ask("agent/dev-3"), Err(EnrolRefusal::TokenUsed));
    }

    // [WIRE-141]
    #[test]
    fn a_node_renews_itself_with_its_groups_and_nobody_else() {
        let office = Office::new();
        let mut order = one("agent/truck-17");
        order.groups = vec!["yard".parse().unwrap()];
        let holder = office.holder(&office.token(&order));
        let first = key();
        let truck = office
            .ask(&holder, "agent/truck-17", &request(&first))
            .unwrap();
        let renewed = office
            .ask(&truck, "agent/truck-17", &request(&first))
            .unwrap();
        assert_eq!(renewed.groups, order.groups);
        let other = office.ask(&truck, "agent/truck-18", &request(&first));
        assert_eq!(other, Err(EnrolRefusal::OtherName));
        // The token is still its own, and nobody else's.
        let stolen = office.ask(&holder, "agent/truck-17", &request(&key()));
        assert_eq!(stolen, Err(EnrolRefusal::TokenUsed));
    }
}
