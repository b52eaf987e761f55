//! Attributes and locks through the hub.

use std::time::Duration;

use super::rig::{Rig, join, name};
use crate::base::NodeName;
use crate::hub::{CallerEvent, ClientId};
use crate::wire::hub::{
    Answer, Bytes, Change, HubRefusal, LockClaim, Owner, Request, Section, Selector, Start, Tell,
};

fn truck() -> NodeName {
    "agent/truck-17".parse().unwrap()
}

fn set(owner: Owner, section: Section, value: &str) -> Request {
    Request::Set {
        owner,
        section,
        if_revision: None,
        changes: vec![Change {
            key: name("speed"),
            if_revision: None,
            value: Some(Bytes::from(value.as_bytes())),
        }],
        lock: None,
        lease: None,
    }
}

fn told(rig: &mut Rig, client: ClientId) -> Vec<(u64, u64)> {
    let told = |event| match event {
        CallerEvent::Told(Tell::Document {
            after, revision, ..
        }) => Some((after, revision)),
        _ => None,
    };
    rig.events(client).into_iter().filter_map(told).collect()
}

#[test]
fn who_watches_a_document_hears_how_it_is_and_each_change_and_no_write_that_failed() {
    let mut rig = Rig::new(1);
    let (erp, agent) = (rig.add("service/erp"), rig.add("agent/truck-17"));
    let owner = || Owner::Node(truck());
    let watch = Request::WatchDocument {
        watch: 1,
        owner: owner(),
        section: Section::Desired,
    };
    rig.answer(agent, watch);
    assert_eq!(
        rig.answer(erp, set(owner(), Section::Desired, "5")),
        Answer::Done { revision: 1 }
    );
    rig.is_broken = true;
    let degraded = Answer::Refused(HubRefusal::Degraded);
    assert_eq!(
        rig.answer(erp, set(owner(), Section::Desired, "6")),
        degraded
    );
    rig.is_broken = false;
    assert_eq!(
        rig.answer(erp, set(owner(), Section::Desired, "7")),
        Answer::Done { revision: 2 }
    );
    assert_eq!(told(&mut rig, agent), [(0, 0), (0, 1), (1, 2)]);
    rig.kill_hub();
    let erp = rig.add("service/erp");
    let read = Request::Document {
        owner: owner(),
        section: Section::Desired,
    };
    let Answer::Document(document) = rig.answer(erp, read) else {
        panic!("no document");
    };
    assert_eq!(
        (document.revision, &*document.items[0].value.0),
        (2, b"7".as_slice())
    );
}

#[test]
fn a_node_alone_reports_itself_and_only_who_may_write_says_how_others_are() {
    let mut rig = Rig::new(1);
    let (erp, agent) = (rig.add("service/erp"), rig.add("agent/truck-17"));
    let owner = || Owner::Node(truck());
    let refused = Answer::Refused(HubRefusal::NotAllowed);
    assert_eq!(
        rig.answer(erp, set(owner(), Section::Reported, "1")),
        refused
    );
    assert_eq!(
        rig.answer(agent, set(owner(), Section::Desired, "1")),
        refused
    );
    let done = Answer::Done { revision: 1 };
    assert_eq!(
        rig.answer(agent, set(owner(), Section::Reported, "1")),
        done
    );
}

#[test]
fn a_write_that_is_bound_to_a_lock_or_a_lease_needs_it() {
    let mut rig = Rig::new(1);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    for member in [anna, otto] {
        rig.answer(member, join(Start::Now, 0));
    }
    let owner = || Owner::Room(name("yard"));
    let lock = Request::Lock {
        owner: owner(),
        lock: name("gate"),
        ttl_ms: 1_000,
        wait_ms: 0,
    };
    let Answer::Locked { token } = rig.answer(anna, lock) else {
        panic!("not locked");
    };
    let bound = |token| {
        let mut request = set(owner(), Section::Attributes, "1");
        if let Request::Set { lock, .. } = &mut request {
            let name = name("gate");
            *lock = Some(LockClaim { lock: name, token });
        }
        request
    };
    assert_eq!(
        rig.answer(otto, bound(token)),
        Answer::Refused(HubRefusal::NotHolder)
    );
    assert_eq!(rig.answer(anna, bound(token)), Answer::Done { revision: 1 });
    rig.run(Duration::from_secs(1));
    assert_eq!(
        rig.answer(anna, bound(token)),
        Answer::Refused(HubRefusal::NotHolder)
    );
    assert!(
        rig.events(anna)
            .iter()
            .any(|event| matches!(event, CallerEvent::Told(Tell::LockLost { .. })))
    );

    let leased = || {
        let mut request = set(owner(), Section::Attributes, "2");
        if let Request::Set { lease, .. } = &mut request {
            *lease = Some(truck());
        }
        request
    };
    assert_eq!(
        rig.answer(anna, leased()),
        Answer::Refused(HubRefusal::NoLease)
    );
    rig.hub
        .on_leased(&truck(), ["controller/anna".parse().unwrap()]);
    assert_eq!(rig.answer(anna, leased()), Answer::Done { revision: 2 });
    assert_eq!(
        rig.answer(otto, leased()),
        Answer::Refused(HubRefusal::NoLease)
    );
    rig.hub.on_leased(&truck(), []);
    assert_eq!(
        rig.answer(anna, leased()),
        Answer::Refused(HubRefusal::NoLease)
    );
}

#[test]
fn who_waits_for_a_lock_has_it_when_its_holder_is_over_and_with_a_higher_token() {
    let mut rig = Rig::new(1);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    for member in [anna, otto] {
        rig.answer(member, join(Start::Now, 0));
    }
    let lock = |wait_ms| Request::Lock {
        owner: Owner::Room(name("yard")),
        lock: name("gate"),
        ttl_ms: 300,
        wait_ms,
    };
    let Answer::Locked { token: first } = rig.answer(anna, lock(0)) else {
        panic!("not locked");
    };
    let ask = rig.ask(otto, lock(5_000));
    rig.run(Duration::from_millis(50));
    assert_eq!(rig.answer_to(otto, ask), None);
    rig.run(Duration::from_millis(400));
    let Some(Answer::Locked { token: second }) = rig.answer_to(otto, ask) else {
        panic!("not locked");
    };
    assert!(second > first);
    rig.kill_hub();
    let eva = rig.add("service/erp");
    let Answer::Locked { token: third } = rig.answer(
        eva,
        Request::Lock {
            owner: Owner::Node(truck()),
            lock: name("gate"),
            ttl_ms: 300,
            wait_ms: 0,
        },
    ) else {
        panic!("not locked");
    };
    assert!(third > 0);
}

#[test]
fn who_watches_the_documents_of_many_nodes_hears_of_those_that_its_selector_fits() {
    let mut rig = Rig::new(1);
    let (erp, desk) = (rig.add("service/erp"), rig.add("controller/desk"));
    let of = |node: &str| Owner::Node(node.parse().unwrap());
    let selector = Selector {
        nodes: vec![truck(), "agent/truck-18".parse().unwrap()],
        ..Selector::default()
    };
    let section = Section::Desired;
    rig.answer(erp, set(of("agent/truck-17"), section, "5"));
    rig.answer(erp, set(of("agent/truck-19"), section, "5"));
    let watched = rig
        .hub
        .watch_fleet_documents(desk, 3, section, selector.clone());
    assert_eq!(watched, Ok(()));
    let (page, next) = rig.hub.fleet_documents(section, &selector, None, 1);
    let nodes: Vec<String> = page.iter().map(|(node, _)| node.to_string()).collect();
    assert_eq!(nodes, ["agent/truck-17"]);
    let (page, next) = rig
        .hub
        .fleet_documents(section, &selector, next.as_ref(), 8);
    assert_eq!((page, next), (vec![], None));

    for node in ["agent/truck-18", "agent/truck-19", "agent/truck-17"] {
        rig.answer(erp, set(of(node), section, "6"));
    }
    rig.answer(erp, set(of("agent/truck-17"), Section::Attributes, "6"));
    assert_eq!(told(&mut rig, desk), [(0, 1), (1, 2)]);
}
