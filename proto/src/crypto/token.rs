//! What a token gives: for whom the authority signs, and how often.

use std::collections::BTreeSet;

use super::fleet::Peer;
use crate::base::{Name, NodeKind, NodeName};
use crate::wire::EnrolRefusal;

/// A token as the authority remembers it. Who holds the token has a key for the certificate of this fingerprint; nothing here
/// gives that away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name, which its certificate says.
    pub id: Name,
    /// SHA-256 of its certificate (DER).
    pub fingerprint: [u8; 32],
    /// The kind of node that it is for.
    pub kind: NodeKind,
    /// The names that it is for.
    pub names: TokenNames,
    /// The groups that its nodes belong to.
    pub groups: Vec<Name>,
    /// The last second of Unix time at which it works.
    pub expires_s: u64,
    /// For how many names it works.
    pub uses: u32,
    /// The names that it was used for.
    pub used: BTreeSet<Name>,
}

/// The names that a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenNames {
    /// This one.
    One(Name),
    /// All that begin so and are longer.
    Prefix(Name),
}

/// What the authority signed last for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The token with which it was asked for; none when no token was needed.
    pub token: Option<Name>,
    /// SHA-256 of the node's public key.
    pub key: [u8; 32],
}

/// What a holder of a token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// A certificate, after the name is written down as used.
    Sign,
    /// The certificate that was signed before: the answer may have been lost.
    Again,
    /// None.
    Refuse(EnrolRefusal),
}

impl TokenNames {
    /// Whether a token of these names is for this one.
    pub fn include(&self, name: &Name) -> bool {
        match self {
            TokenNames::One(one) => one == name,
            TokenNames::Prefix(prefix) => {
                name != prefix && name.as_str().starts_with(prefix.as_str())
            }
        }
    }
}

impl Token {
    /// What whoever showed this token gets: a certificate of `node` for a key with this SHA-256, when `issued` is the last
    /// certificate of that node.
    // [WIRE-141]
    pub fn judge(
        &self,
        now_s: u64,
        holder: &Peer,
        (node, key): (&NodeName, &[u8; 32]),
        issued: Option<&Issued>,
    ) -> TokenVerdict {
        let own = issued.filter(|issued| issued.token.as_ref() == Some(&self.id));
        if holder.node.name != self.id || holder.fingerprint != self.fingerprint {
            TokenVerdict::Refuse(EnrolRefusal::UnknownToken)
        } else if node.kind != self.kind {
            TokenVerdict::Refuse(EnrolRefusal::OtherKind)
        } else if !self.names.include(&node.name) {
            TokenVerdict::Refuse(EnrolRefusal::OtherName)
        } else if now_s > self.expires_s {
            TokenVerdict::Refuse(EnrolRefusal::TokenExpired)
        } else if let Some(own) = own {
            match own.key == *key {
                true => TokenVerdict::Again,
                false => TokenVerdict::Refuse(EnrolRefusal::TokenUsed),
            }
        } else if issued.is_some() && matches!(self.names, TokenNames::Prefix(_)) {
            // Who may choose a name may not choose another node's.
            TokenVerdict::Refuse(EnrolRefusal::NameTaken)
        } else if self.is_spent(&node.name) {
            TokenVerdict::Refuse(EnrolRefusal::TokenUsed)
        } else {
            TokenVerdict::Sign
        }
    }

    /// Whether it has no use left for this name. A name that is written down without a certificate of this token is one whose
    /// certificate was never signed, or gave way to another token's.
    fn is_spent(&self, name: &Name) -> bool {
        !self.used.contains(name)
            && self.used.len() >= usize::try_from(self.uses).unwrap_or(usize::MAX)
    }
}

/// Whether a node of the fleet gets a new certificate: its own only.
///
/// # Errors
/// Why not.
// [WIRE-141]
pub fn judge_renewal(member: &Peer, node: &NodeName) -> Result<(), EnrolRefusal> {
    match member.node.kind {
        NodeKind::Authority | NodeKind::Newcomer => Err(EnrolRefusal::OtherKind),
        NodeKind::Agent | NodeKind::Controller | NodeKind::Service | NodeKind::Relay => {
            if member.node == *node {
                Ok(())
            } else {
                Err(EnrolRefusal::OtherName)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::UnixTime;

    use super::*;

    const KEY: [u8; 32] = [1; 32];
    const OTHER_KEY: [u8; 32] = [2; 32];

    fn token() -> Token {
        Token {
            id: "t1".parse().unwrap(),
            fingerprint: [7; 32],
            kind: NodeKind::Agent,
            names: TokenNames::One("truck-17".parse().unwrap()),
            groups: Vec::new(),
            expires_s: 1_000,
            uses: 1,
            used: BTreeSet::new(),
        }
    }

    fn group(uses: u32) -> Token {
        Token {
            names: TokenNames::Prefix("dev-".parse().unwrap()),
            uses,
            ..token()
        }
    }

    fn peer(node: &str) -> Peer {
        Peer {
            node: node.parse().unwrap(),
            groups: Vec::new(),
            not_before: UnixTime::since_unix_epoch(std::time::Duration::ZERO),
            not_after: UnixTime::since_unix_epoch(std::time::Duration::ZERO),
            fingerprint: [7; 32],
        }
    }

    fn issued(token: Option<&str>, key: [u8; 32]) -> Issued {
        Issued {
            token: token.map(|token| token.parse().unwrap()),
            key,
        }
    }

    fn judge(token: &Token, node: &str, key: [u8; 32], issued: Option<Issued>) -> TokenVerdict {
        let node = node.parse().unwrap();
        token.judge(1_000, &peer("newcomer/t1"), (&node, &key), issued.as_ref())
    }

    // [WIRE-141]
    #[test]
    fn a_token_works_once_and_again_for_the_same_key_only() {
        let mut token = token();
        let truck = "agent/truck-17";
        assert_eq!(judge(&token, truck, KEY, None), TokenVerdict::Sign);
        token.used.insert("truck-17".parse().unwrap());
        // Killed before the certificate was written: nobody has one.
        assert_eq!(judge(&token, truck, KEY, None), TokenVerdict::Sign);
        let own = || Some(issued(Some("t1"), KEY));
        assert_eq!(judge(&token, truck, KEY, own()), TokenVerdict::Again);
        let used = TokenVerdict::Refuse(EnrolRefusal::TokenUsed);
        assert_eq!(judge(&token, truck, OTHER_KEY, own()), used);
    }

    // [WIRE-141]
    #[test]
    fn a_token_is_for_its_kind_name_time_and_holder_only() {
        let token = token();
        for (node, why) in [
            ("controller/truck-17", EnrolRefusal::OtherKind),
            ("relay/truck-17", EnrolRefusal::OtherKind),
            ("agent/truck-18", EnrolRefusal::OtherName),
        ] {
            let refused = TokenVerdict::Refuse(why);
            assert_eq!(judge(&token, node, KEY, None), refused, "{node}");
        }
        let node = "agent/truck-17".parse().unwrap();
        let asked = (&node, &KEY);
        let late = token.judge(1_001, &peer("newcomer/t1"), asked, None);
        assert_eq!(late, TokenVerdict::Refuse(EnrolRefusal::TokenExpired));
        let mut forged = peer("newcomer/t1");
        forged.fingerprint = [8; 32];
        for holder in [forged, peer("newcomer/t2")] {
            let other = token.judge(1_000, &holder, asked, None);
            assert_eq!(other, TokenVerdict::Refuse(EnrolRefusal::UnknownToken));
        }
    }

    // [WIRE-141]
    #[test]
    fn a_token_for_many_takes_no_name_twice_and_no_more_than_it_is_for() {
        let mut token = group(2);
        let taken = TokenVerdict::Refuse(EnrolRefusal::NameTaken);
        for other in [None, Some("t2")] {
            let issued = Some(issued(other, KEY));
            assert_eq!(judge(&token, "agent/dev-1", KEY, issued), taken);
        }
        let wrong = TokenVerdict::Refuse(EnrolRefusal::OtherName);
        for name in ["agent/dev-", "agent/dew-1"] {
            assert_eq!(judge(&token, name, KEY, None), wrong, "{name}");
        }
        token
            .used
            .extend(["dev-1", "dev-2"].map(|name| name.parse().unwrap()));
        let own = Some(issued(Some("t1"), KEY));
        assert_eq!(judge(&token, "agent/dev-1", KEY, own), TokenVerdict::Again);
        let used = TokenVerdict::Refuse(EnrolRefusal::TokenUsed);
        assert_eq!(judge(&token, "agent/dev-3", KEY, None), used);
    }

    // [WIRE-141]
    #[test]
    fn a_node_renews_its_own_certificate_only() {
        let truck = peer("agent/truck-17");
        assert_eq!(judge_renewal(&truck, &truck.node), Ok(()));
        let other = "agent/truck-18".parse().unwrap();
        assert_eq!(judge_renewal(&truck, &other), Err(EnrolRefusal::OtherName));
        for kind in ["authority/demo", "newcomer/t1"] {
            let peer = peer(kind);
            let refused = judge_renewal(&peer, &peer.node);
            assert_eq!(refused, Err(EnrolRefusal::OtherKind), "{kind}");
        }
    }
}
