//! Statements that need no session: signed by one node, believed by another.

use rustls_pki_types::UnixTime;

use super::credential::Credential;
use super::fleet::{CertificateError, Fleet, Peer};
use crate::base::NodeName;
use crate::wire::{Signed, Statement};

/// The statement of `author`, whose credential this is, to a node. The signature is empty, and nobody believes it, when the
/// credential cannot sign now.
pub fn sign_statement(
    credential: &dyn Credential,
    author: &NodeName,
    to: &NodeName,
    statement: Statement,
) -> Signed {
    let signature = credential.sign(&Signed::to_be_signed(author, to, &statement));
    Signed {
        statement,
        certificate: credential.certificate().to_vec(),
        signature,
    }
}

/// The author of a statement to this node, whose certificate is valid while the wall clock says `clock`; without a clock its
/// dates count for nothing.
///
/// # Errors
/// Why the author's certificate is not believed, or [`CertificateError::Signature`]: count and drop the statement.
pub fn verify_statement(
    fleet: &Fleet,
    clock: Option<UnixTime>,
    to: &NodeName,
    signed: &Signed,
) -> Result<Peer, CertificateError> {
    let author = match clock {
        Some(clock) => fleet.verify(&signed.certificate, clock),
        None => fleet.verify_undated(&signed.certificate),
    }?;
    // [WIRE-79] The author is whom the certificate names, nobody else.
    let words = Signed::to_be_signed(&author.node, to, &signed.statement);
    fleet.verify_signature(&signed.certificate, &words, &signed.signature)?;
    Ok(author)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::StopId;
    use crate::crypto::test_authority::{KeyType, NOW, TestAuthority};

    const STOP: Statement = Statement::Stop {
        id: StopId([7; 16]),
        generation: Some(3),
    };

    fn node(name: &str) -> NodeName {
        name.parse().expect("valid")
    }

    // [WIRE-79]
    #[test]
    fn a_statement_counts_for_its_author_addressee_and_words_only() {
        let authority = TestAuthority::new("demo");
        let fleet = authority.fleet();
        let (anna, truck) = (node("controller/anna"), node("agent/truck-17"));
        for key_type in KeyType::ALL {
            let credential = authority.credential("controller/anna", key_type);
            let stranger = authority.credential("controller/otto", key_type);
            let signed = sign_statement(&credential, &anna, &truck, STOP);

            let author = verify_statement(&fleet, Some(NOW), &truck, &signed).expect("genuine");
            assert_eq!(author.node, anna);

            let other_words = Signed {
                statement: Statement::Stop {
                    id: StopId([7; 16]),
                    generation: Some(4),
                },
                ..signed.clone()
            };
            let other_author = Signed {
                certificate: stranger.certificate().to_vec(),
                ..signed.clone()
            };
            let in_anna_s_name = sign_statement(&stranger, &anna, &truck, STOP);
            let unsigned = Signed {
                signature: Vec::new(),
                ..signed.clone()
            };
            for (to, forged) in [
                (&node("agent/truck-18"), &signed),
                (&truck, &other_words),
                (&truck, &other_author),
                (&truck, &in_anna_s_name),
                (&truck, &unsigned),
            ] {
                assert_eq!(
                    verify_statement(&fleet, Some(NOW), to, forged),
                    Err(CertificateError::Signature)
                );
            }
        }
    }

    // [WIRE-79]
    #[test]
    fn a_statement_of_another_fleet_is_refused() {
        let (anna, truck) = (node("controller/anna"), node("agent/truck-17"));
        let credential =
            TestAuthority::new("other").credential("controller/anna", KeyType::Ed25519);
        let signed = sign_statement(&credential, &anna, &truck, STOP);

        assert_eq!(
            verify_statement(
                &TestAuthority::new("demo").fleet(),
                Some(NOW),
                &truck,
                &signed
            ),
            Err(CertificateError::UnknownAuthority)
        );
    }
}
