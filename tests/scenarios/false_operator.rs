//! Nodes with papers of the fleet that are not to command.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{NodeKind, SessionId};
use longrein_proto::crypto::Initiator;
use longrein_proto::wire::Parcel;
use longrein_tests::{StageSet, Tamper, TestFleet, World, each_seed};
use rustls_pki_types::UnixTime;

/// [SAFE-10]
#[test]
fn a_relay_or_agent_that_calls_a_vehicle_with_its_own_papers_gets_no_session() {
    each_seed(|seed| {
        for (kind, name) in [(NodeKind::Relay, "relay-a"), (NodeKind::Agent, "truck-9")] {
            let mut world = World::new(seed);
            let set = StageSet::hostile(&mut world, Tamper::Nothing);
            world.run(Duration::from_secs(1));
            let credential = world.stolen_credential(kind, name);
            let fleet = world.fleet().fleet();
            let truck = world.name_of(set.agent).clone();
            let mut chance = world.branch();
            let relay = set.relays[0];
            let session = SessionId(7);
            let step = |step, to, body: Vec<u8>| {
                let body: Arc<[u8]> = body.into();
                Parcel::Handshake {
                    session,
                    step,
                    to,
                    body,
                }
                .encode()
            };

            let mut initiator = world.with_hostile(relay, |role, now| {
                let (initiator, step1) = Initiator::new(now, session, &truck, &mut chance);
                role.inject(now, &truck, step(1, Some(truck.clone()), step1));
                initiator
            });
            world.run(Duration::from_millis(200));
            let at = UnixTime::since_unix_epoch(Duration::from_millis(TestFleet::UNIX_MS));
            world.with_hostile(relay, |role, now| {
                let step2 = role
                    .answers
                    .first()
                    .expect("the agent answers anybody")
                    .clone();
                let done = initiator.on_step2(now, &step2, &fleet, at, credential.as_ref());
                let (step3, _) = done.expect("the papers are genuine");
                role.inject(now, &truck, step(3, None, step3));
            });
            world.run(Duration::from_millis(200));

            let (counters, ..) = world.agent_role(set.agent).counters();
            assert_eq!(counters.refused_sessions, 1, "{kind:?}");
        }
    });
}
