use std::fs;
use std::time::Duration;

use longrein_io::clock;
use longrein_io::keys::Identity;
use longrein_proto::base::PathId;
use longrein_proto::crypto::Peer;
use rustls_pki_types::UnixTime;

use super::*;
use crate::fleet::{FleetFolder, Order};

fn desk() -> Desk {
    let name = format!("longrein-desk-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let alice: NodeName = "controller/alice".parse().unwrap();
    let orders = [Order::new(alice.clone())];
    let now_s = clock::unix_time().as_secs();
    let fleet = FleetFolder::create(&folder, "yard".parse().unwrap(), &orders, now_s).unwrap();
    let identity = Identity::load(&fleet.node(&alice)).unwrap();
    fs::remove_dir_all(folder).unwrap();
    let (contact, _) = watch::channel(Contact::new(1));
    Desk::new(
        alice,
        identity.credential(),
        identity.fleet().clone(),
        Arc::new(contact),
    )
}

/// [WIRE-131]
#[test]
fn a_path_that_says_nothing_is_dialled_anew() {
    let mut desk = desk();
    let peer = Peer {
        node: "relay/east".parse().unwrap(),
        groups: Vec::new(),
        not_before: UnixTime::since_unix_epoch(Duration::from_secs(4_000_000_000)),
        not_after: UnixTime::since_unix_epoch(Duration::from_secs(4_000_000_000)),
        fingerprint: [0; 32],
    };
    let path = PathId(1);
    let link = "lte".parse().unwrap();
    desk.handle(MonoTime::ZERO, Input::PathUp { path, link, peer });
    let mut redials = Vec::new();
    while let Some(due) = desk.next_timeout()
        && due < MonoTime::ZERO + Duration::from_secs(20)
    {
        desk.handle(due, Input::Timeout);
        redials.extend(std::iter::from_fn(|| desk.poll_redial()));
    }
    assert_eq!(redials, [Redial { path, wanted: true }]);
}
