use crate::fleet::{Fleet, write};
use longrein_io::exit::Exit;
use longrein_io::keys::{AUTHORITY_FILE, CERTIFICATE_FILE, Identity, KEY_FILE};
use longrein_proto::base::NodeKind;
use rustls_pki_types::UnixTime;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

#[test]
fn an_identity_says_who_it_is_and_until_when() {
    let fleet = Fleet::new();
    let identity = Identity::load(&fleet.directory("relay/east", 2100)).unwrap();
    assert_eq!(identity.node().to_string(), "relay/east");
    assert_eq!(identity.fleet().name().as_str(), "demo");
    assert_eq!(identity.not_after(), at(4_102_444_800));
    assert!(identity.expect_kind(NodeKind::Relay).is_ok());
    assert_eq!(
        identity
            .expect_kind(NodeKind::Agent)
            .unwrap_err()
            .to_string(),
        "this identity is relay/east, but an agent is needed here"
    );
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let fleet = Fleet::new();
    let directory = fleet.directory("relay/east", 2100);
    let key = directory.join(KEY_FILE);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Identity::load(&directory).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{0} can be read by others (mode 644): run `chmod 600 {0}`, and replace the key if others were on this machine",
            key.display()
        )
    );
}

#[test]
fn an_expired_certificate_is_named_with_its_end() {
    let fleet = Fleet::new();
    let directory = fleet.directory("relay/east", 2027);
    let error = Identity::load_at(&directory, at(1_798_761_601)).unwrap_err();
    let expected = format!(
        "{} expired on 2027-01-01 00:00 UTC: it is 2027-01-01 00:00 UTC now; renew it with the fleet's authority",
        directory.join(CERTIFICATE_FILE).display()
    );
    assert_eq!((error.to_string(), error.exit()), (expected, Exit::Expired));
}

#[test]
fn a_certificate_of_the_future_casts_doubt_on_the_clock() {
    let fleet = Fleet::new();
    let directory = fleet.directory("relay/east", 2027);
    let error = Identity::load_at(&directory, at(0))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(
            "is valid from 2026-01-01 00:00 UTC only and it is 1970-01-01 00:00 UTC now: is this machine's clock right?"
        ),
        "{error}"
    );
}

#[test]
fn what_is_missing_or_does_not_belong_together_is_named() {
    let fleet = Fleet::new();
    let east = fleet.directory("relay/east", 2100);
    let west = fleet.directory("relay/west", 2100);
    for file in [AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE] {
        let content = fs::read_to_string(east.join(file)).unwrap();
        fs::remove_file(east.join(file)).unwrap();
        let error = Identity::load(&east).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read") && error.contains(file),
            "{error}"
        );
        write(&east, file, "nonsense");
        let error = Identity::load(&east).unwrap_err().to_string();
        assert!(
            error.contains(file) && error.contains("in PEM form"),
            "{error}"
        );
        write(&east, file, &content);
    }

    fs::copy(west.join(KEY_FILE), east.join(KEY_FILE)).unwrap();
    let error = Identity::load(&east).unwrap_err().to_string();
    assert!(
        error.contains("the private key does not belong to the certificate"),
        "{error}"
    );
}

#[test]
fn a_certificate_of_another_authority_is_no_identity() {
    let ours = Fleet::new();
    let theirs = Fleet::new();
    let east = ours.directory("relay/east", 2100);
    let foreign = theirs.directory("relay/east", 2100);
    fs::copy(foreign.join(AUTHORITY_FILE), east.join(AUTHORITY_FILE)).unwrap();
    let error = Identity::load(&east).unwrap_err().to_string();
    assert!(
        error.ends_with("the certificate is not of an authority of this fleet"),
        "{error}"
    );
}
