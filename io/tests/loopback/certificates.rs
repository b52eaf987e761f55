use crate::echo::{Echo, Node, caller, relay, route, until};
use crate::fleet::Fleet;
use longrein_io::ending::{CertificateFault, Ending};
use longrein_io::keys::Identity;
use longrein_io::runtime;
use rustls_pki_types::UnixTime;
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn a_stranger_is_refused_and_counted_while_others_go_on() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let other = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        truck.heard("agent/truck-17").await;

        // It believes the relay's authority and shows a certificate of another one.
        let directory = other.directory("agent/stranger", 2100);
        let own = Identity::load(&directory).unwrap();
        assert_eq!(own.node().to_string(), "agent/stranger");
        let stranger = Node::start(Echo::saying("let me in"));
        stranger.dial(
            &mixed(&fleet, &other),
            vec![route("east", listener.address())],
        );

        let why = Ending::RefusedThem(CertificateFault::OtherAuthority);
        let refused = || listener.counts().failed.contains_key(&why);
        until("the refusal", refused, || listener.counts()).await;
        let told = || {
            stranger
                .outcomes()
                .iter()
                .any(|told| told.contains("it refuses"))
        };
        until("the stranger's outcome", told, || stranger.outcomes()).await;
        assert!(
            stranger
                .outcomes()
                .iter()
                .any(|told| told.starts_with("Some(Refused)"))
        );

        let before = truck.got("agent/truck-17");
        let goes_on = || truck.got("agent/truck-17") > before + 3;
        until("more echoes", goes_on, || truck.events()).await;
        assert_eq!((truck.downs(), listener.counts().accepted), (0, 1));
    })
    .unwrap();
}

#[test]
fn a_relay_of_another_name_is_refused_without_a_storm() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "west", listener.address());

        until(
            "the refusal",
            || !truck.outcomes().is_empty(),
            || truck.events(),
        )
        .await;

        assert_eq!(
            truck.outcomes(),
            [format!(
                "Some(Refused): relay west at {} over link cable: its certificate is refused: \
                 it names another node, fleet or kind of node than relay/west: \
                 correct the relay's name or address",
                listener.address()
            )]
        );
        assert_eq!(truck.ups(), 0);
        assert!(listener.counts().offered <= 8);
    })
    .unwrap();
}

#[test]
fn an_agent_is_not_taken_for_a_relay() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let impostor = Node::start(Echo::answering());
        let identity = fleet.identity("agent/east");
        let listener = impostor.listen(&identity, crate::echo::any_port());
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());

        until(
            "the refusal",
            || !truck.outcomes().is_empty(),
            || truck.events(),
        )
        .await;

        assert!(truck.outcomes()[0].contains("it names another node"));
        assert_eq!((truck.ups(), impostor.ups()), (0, 0));
    })
    .unwrap();
}

#[test]
fn an_expired_certificate_is_refused_by_the_relay_with_its_reason() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let mid_2026 = UnixTime::since_unix_epoch(Duration::from_secs(1_780_272_000));
        // Only agents have a time of grace.
        let directory = fleet.directory("controller/alice", 2026);
        // A certificate that ended as it began: valid at one second only.
        assert!(Identity::load_at(&directory, mid_2026).is_err());
        let expired = Identity::load_undated(&directory).unwrap();
        let alice = Node::start(Echo::saying("hello"));
        alice.dial(&expired, vec![route("east", listener.address())]);

        let told = || {
            alice
                .outcomes()
                .iter()
                .any(|told| told.contains("it is expired"))
        };
        until("the refusal", told, || alice.outcomes()).await;

        let why = Ending::RefusedThem(CertificateFault::NotValidNow);
        assert!(listener.counts().failed.contains_key(&why));
        assert!(
            alice
                .outcomes()
                .iter()
                .any(|told| told.starts_with("Some(Expired)"))
        );
    })
    .unwrap();
}

/// [WIRE-150]
#[test]
fn a_renewed_certificate_is_shown_from_then_on_and_what_stands_stays() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let over = |node: &str| {
            let directory = fleet.directory(node, 2100);
            fleet.certify(&directory, node, (2023, 2024));
            (Identity::load_undated(&directory).unwrap(), directory)
        };
        let renew = |(identity, directory): &(Identity, PathBuf), from_year| {
            let node = identity.node().to_string();
            fleet.certify(directory, &node, (from_year, 2100));
            identity.reread(directory).unwrap();
        };
        let refused = async |node: &Node| {
            let told = || node.outcomes().iter().any(|told| told.contains("expired"));
            until("the refusal", told, || node.outcomes()).await;
        };
        let (east, alice) = (over("relay/east"), over("controller/alice"));
        let relay = Node::start(Echo::answering());
        let listener = relay.listen(&east.0, crate::echo::any_port());
        let early = caller(&fleet, "agent/truck-17", "east", listener.address());
        refused(&early).await;

        renew(&east, 2025);
        let standing = caller(&fleet, "agent/truck-18", "east", listener.address());
        standing.heard("agent/truck-18").await;
        let late = Node::start(Echo::saying("here I am"));
        late.dial(&alice.0, vec![route("east", listener.address())]);
        refused(&late).await;

        renew(&alice, 2025);
        late.heard("here I am").await;
        renew(&east, 2026);
        let new = caller(&fleet, "agent/truck-19", "east", listener.address());
        new.heard("agent/truck-19").await;
        assert_eq!(standing.downs(), 0);

        // An older one, or one of another key, takes nobody's place.
        let shown = east.0.certificate();
        fleet.certify(&east.1, "relay/east", (2024, 2100));
        east.0.reread(&east.1).unwrap();
        let west = fleet.directory("relay/west", 2100);
        assert!(east.0.reread(&west).is_ok(), "it is not newer");
        fleet.certify(&west, "relay/west", (2027, 2100));
        assert!(east.0.reread(&west).is_err());
        fleet.certify(&west, "relay/east", (2027, 2100));
        assert!(east.0.reread(&west).is_err());
        assert_eq!(east.0.certificate(), shown);
    })
    .unwrap();
}

/// An identity of `theirs` that believes in `ours`.
fn mixed(ours: &Fleet, theirs: &Fleet) -> Identity {
    use longrein_io::keys::AUTHORITY_FILE;
    let directory = theirs.directory("agent/mixed", 2100);
    let both = [ours, theirs].map(|fleet| {
        let directory = fleet.directory("agent/reader", 2100);
        std::fs::read_to_string(directory.join(AUTHORITY_FILE)).unwrap()
    });
    crate::fleet::write(&directory, AUTHORITY_FILE, &both.concat());
    Identity::load(&directory).unwrap()
}
