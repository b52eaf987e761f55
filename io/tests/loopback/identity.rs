use crate::echo::until;
use crate::fleet::{Fleet, write};
use longrein_io::exit::Exit;
use longrein_io::keys::{AUTHORITY_FILE, CERTIFICATE_FILE, Identity, KEY_FILE};
use longrein_io::known_time::{self, TIME_FILE};
use longrein_io::runtime;
use longrein_proto::base::NodeKind;
use rustls_pki_types::UnixTime;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::time::timeout;

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
    let directory = fleet.directory("relay/east", 2100);
    fleet.certify(&directory, "relay/east", (2099, 2100));
    let error = Identity::load(&directory).unwrap_err().to_string();
    assert!(
        error.contains("is valid from 2099-01-01 00:00 UTC only and it is "),
        "{error}"
    );
    assert!(
        error.ends_with("now: is this machine's clock right?"),
        "{error}"
    );
}

// [WIRE-149]
#[test]
fn a_clock_of_1970_is_no_obstacle_and_no_way_around_the_end_of_a_certificate() {
    let fleet = Fleet::new();
    let directory = fleet.directory("relay/east", 2100);
    let in_1970 = at(40);
    for (until_year, valid) in [(2026, false), (2100, true)] {
        fleet.certify(&directory, "relay/east", (2026, until_year));
        let loaded = Identity::load_at(&directory, in_1970);
        assert_eq!(loaded.is_ok(), valid, "nothing ended before the build");
    }
    // It begins after the build, and after all that this machine has seen: so it is as late as that.
    fleet.certify(&directory, "relay/east", (2090, 2100));
    let identity = Identity::load_at(&directory, in_1970).unwrap();
    assert_eq!(identity.fleet().time(in_1970), identity.not_before());

    // 1 July 2095.
    write(&directory, TIME_FILE, "3960403200\n");
    assert!(Identity::load_at(&directory, in_1970).is_ok());
    fleet.certify(&directory, "relay/east", (2090, 2095));
    let error = Identity::load_at(&directory, in_1970).unwrap_err();
    assert!(
        error.to_string().contains(
            "expired on 2095-01-01 00:00 UTC: it is 2095-07-02 00:00 UTC now by what this machine has seen before, \
             and its clock is behind (1970-01-01 00:00 UTC); renew it"
        ),
        "{error}"
    );
}

// [WIRE-149]
#[test]
fn the_time_is_kept_unless_the_own_certificate_is_over_by_it() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let directory = fleet.directory("relay/east", 2100);
        let file = directory.join(TIME_FILE);
        fleet.certify(&directory, "relay/east", (2023, 2024));
        let over = Identity::load_undated(&directory).unwrap();
        let known = over.fleet().time(at(0));
        // Its first look comes before its first pause.
        let looked = timeout(
            Duration::ZERO,
            known_time::keep(over.clone(), directory.clone()),
        );
        assert!(looked.await.is_err());
        assert!(!file.exists() && over.fleet().time(at(0)) == known);

        fleet.certify(&directory, "relay/east", (2025, 2100));
        over.reread(&directory).unwrap();
        // No clock is believed at once: what is known for sure is kept.
        let kept = || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            text.trim() == known.as_secs().to_string()
        };
        tokio::select! {
            () = known_time::keep(over.clone(), directory.clone()) => {}
            () = until("the time is kept", kept, || file.exists()) => {}
        }
        assert_eq!(over.fleet().time(at(0)), known);
        assert_eq!(known_time::read(&directory), known);
    })
    .unwrap();
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
