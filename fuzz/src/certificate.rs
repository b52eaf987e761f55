//! Certificates, at any time.

use std::time::Duration;

use longrein_proto::base::limits::CERTIFICATE_BYTES_MAX;
use longrein_proto::crypto::Fleet;
use rustls_pki_types::UnixTime;

use crate::papers::Papers;
use crate::{Script, papers};

/// Reads bytes as a certificate, as one of the fleet that was changed, and as an authority's.
pub fn run(bytes: &[u8]) {
    let fleet = &papers().fleet;
    let mut script = Script::new(bytes);
    let at = UnixTime::since_unix_epoch(Duration::from_secs(script.number()));
    judge(fleet, bytes, Papers::AT, false);

    let alice = papers().credential(&papers().name("controller/alice"));
    let genuine = alice.certificate();
    let mut changed = genuine.to_vec();
    for _ in 0..1 + script.byte() % 4 {
        if changed.is_empty() {
            break;
        }
        let place = usize::from(script.u16()) % changed.len();
        match script.byte() % 4 {
            0 => changed[place] = script.byte(),
            1 => changed.insert(place, script.byte()),
            2 => {
                changed.remove(place);
            }
            _ => {
                let put = script.bytes(40).to_vec();
                let end = (place + put.len()).min(changed.len());
                changed.splice(place..end, put);
            }
        }
    }
    let is_genuine = changed == genuine;
    judge(fleet, &changed, at, is_genuine);
    judge(fleet, &changed, Papers::AT, is_genuine);

    let name = "test".parse().expect("a valid name");
    let _ = Fleet::new(name, vec![bytes.to_vec().into()]);
}

/// Nothing but what the authority signed is believed.
fn judge(fleet: &Fleet, certificate: &[u8], at: UnixTime, is_genuine: bool) {
    if let Ok(peer) = fleet.verify(certificate, at) {
        assert!(is_genuine || of_the_fleet(certificate), "{peer:?}");
        assert!(certificate.len() <= CERTIFICATE_BYTES_MAX && at <= peer.not_after);
    }
    let _ = fleet.verify_signature(certificate, b"message", &[7; 64]);
}

/// The corpus may find a node's own certificate.
fn of_the_fleet(certificate: &[u8]) -> bool {
    papers()
        .certificates()
        .any(|genuine| genuine == certificate)
}
