//! Members of rooms, their roles, and what they hear of each other.

use std::time::Duration;

use super::rig::{Rig, join, name, publish, settings};
use crate::base::{Class, NodeName};
use crate::hub::CallerEvent;
use crate::wire::hub::{
    Answer, HubRefusal, LeaveReason, LineMessage, MemberChange, MemberChanges, PresenceReason,
    Request, RoomRole, Start, Tell,
};

fn node(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn changes(events: Vec<CallerEvent>) -> Vec<MemberChanges> {
    let change = |event| match event {
        CallerEvent::Message {
            message: LineMessage::Members(changes),
            ..
        } => Some(changes),
        _ => None,
    };
    events.into_iter().filter_map(change).collect()
}

#[test]
fn members_hear_who_comes_and_goes_with_the_reason_and_the_revision_is_the_truth() {
    let mut rig = Rig::new(1);
    let anna = rig.add("controller/anna");
    rig.answer(anna, join(Start::Now, 0));
    let watch = Request::WatchMembers { room: name("yard") };
    assert!(matches!(rig.answer(anna, watch), Answer::Subscribed(_)));
    rig.settle();
    rig.events(anna);
    let otto = rig.add("controller/otto");
    rig.answer(otto, join(Start::Now, 0));
    rig.settle();
    rig.remove(otto, LeaveReason::Timeout);
    rig.settle();
    let told = changes(rig.events(anna));
    let all: Vec<_> = told
        .iter()
        .flat_map(|changes| changes.changes.clone())
        .collect();
    assert_eq!(
        all,
        [
            (
                node("controller/otto"),
                MemberChange::Joined(RoomRole::Driver)
            ),
            (
                node("controller/otto"),
                MemberChange::Left(LeaveReason::Timeout)
            ),
        ]
    );
    assert!(
        told.windows(2)
            .all(|pair| pair[0].revision == pair[1].after)
    );
    let members = Request::Members {
        room: name("yard"),
        after: None,
        count: 10,
    };
    let Answer::Members {
        revision, members, ..
    } = rig.answer(anna, members)
    else {
        panic!("no members");
    };
    assert_eq!(told.last().map(|changes| changes.revision), Some(revision));
    assert_eq!(members.len(), 1);
}

#[test]
fn a_node_is_a_member_until_its_last_program_has_left() {
    let mut rig = Rig::new(1);
    let (one, two) = (rig.add("controller/anna"), rig.add("controller/anna"));
    rig.answer(one, join(Start::Now, 0));
    rig.answer(two, join(Start::Now, 0));
    rig.remove(one, LeaveReason::Ended);
    let room = Request::Room { room: name("yard") };
    let Answer::Room(info) = rig.answer(two, room) else {
        panic!("no room");
    };
    assert_eq!(info.members, 1);
}

#[test]
fn a_member_that_is_silent_is_none_and_one_again_when_it_is_heard() {
    let mut rig = Rig::new(1);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    for member in [anna, otto] {
        rig.answer(member, join(Start::Now, 0));
    }
    let members = |rig: &mut Rig| {
        let room = Request::Room { room: name("yard") };
        match rig.answer(anna, room) {
            Answer::Room(info) => info.members,
            other => panic!("{other:?}"),
        }
    };
    let (at, who) = (rig.at(), node("controller/otto"));
    rig.hub.on_here(at, &who, &[], &[]);
    rig.hub.on_away(at, &who, PresenceReason::Silent);
    assert_eq!(members(&mut rig), 1);
    rig.hub.on_here(at, &who, &[], &[]);
    assert_eq!(members(&mut rig), 2);
}

#[test]
fn an_observer_publishes_nothing_and_removes_nobody() {
    let mut rig = Rig::new(1);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    rig.answer(anna, join(Start::Now, 0));
    let mut observe = join(Start::Now, 0);
    if let Request::Join { role, .. } = &mut observe {
        *role = RoomRole::Observer;
    }
    rig.answer(otto, observe);
    let forbidden = Answer::Refused(HubRefusal::RoleForbids);
    assert_eq!(
        rig.answer(otto, publish(Class::Reliable, 1, b"x")),
        forbidden
    );
    let kick = || Request::Kick {
        room: name("yard"),
        node: node("controller/anna"),
    };
    assert_eq!(rig.answer(otto, kick()), forbidden);
    assert_eq!(rig.answer(anna, kick()), forbidden, "a driver neither");
}

#[test]
fn a_dispatcher_gives_roles_removes_members_and_closes_the_room() {
    let mut rig = Rig::new(1);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    let mut dispatch = join(Start::Now, 0);
    if let Request::Join { role, .. } = &mut dispatch {
        *role = RoomRole::Dispatcher;
    }
    rig.answer(anna, dispatch);
    rig.answer(otto, join(Start::Now, 0));
    let assign = Request::Assign {
        room: name("yard"),
        node: node("controller/otto"),
        role: RoomRole::Observer,
    };
    assert!(matches!(rig.answer(anna, assign), Answer::Done { .. }));
    let refused = Answer::Refused(HubRefusal::RoleForbids);
    assert_eq!(rig.answer(otto, publish(Class::Reliable, 1, b"x")), refused);
    let kick = Request::Kick {
        room: name("yard"),
        node: node("controller/otto"),
    };
    rig.answer(anna, kick);
    let removed = CallerEvent::Told(Tell::Removed {
        room: name("yard"),
        why: LeaveReason::Kicked,
    });
    assert!(rig.events(otto).contains(&removed));
    let not_member = Answer::Refused(HubRefusal::NotAMember);
    assert_eq!(
        rig.answer(otto, publish(Class::Reliable, 2, b"x")),
        not_member
    );
    rig.answer(otto, join(Start::Now, 0));
    let close = Request::CloseRoom { room: name("yard") };
    assert!(matches!(rig.answer(anna, close), Answer::Done { .. }));
    let closed = CallerEvent::Told(Tell::Removed {
        room: name("yard"),
        why: LeaveReason::Closed,
    });
    assert!(rig.events(otto).contains(&closed));
    let gone = Answer::Refused(HubRefusal::NoSuchRoom);
    assert_eq!(rig.answer(otto, publish(Class::Reliable, 3, b"x")), gone);
}

#[test]
fn a_room_has_no_more_members_than_it_is_set_to_and_a_transient_one_ends_with_the_last() {
    let mut rig = Rig::new(1);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    let small = || Request::Join {
        room: name("cabin"),
        role: RoomRole::Driver,
        topics: Vec::new(),
        create: Some(crate::wire::hub::RoomSettings {
            members_max: 1,
            is_transient: true,
            ..settings(0)
        }),
    };
    assert!(matches!(rig.answer(anna, small()), Answer::Joined { .. }));
    assert_eq!(rig.answer(otto, small()), Answer::Refused(HubRefusal::Full));
    let leave = Request::Leave {
        room: name("cabin"),
    };
    rig.answer(anna, leave);
    let room = Request::Room {
        room: name("cabin"),
    };
    assert_eq!(
        rig.answer(anna, room),
        Answer::Refused(HubRefusal::NoSuchRoom)
    );
    assert!(rig.store.records.is_empty());
}

#[test]
fn only_who_manages_makes_rooms_without_joining() {
    let mut rig = Rig::new(1);
    let (anna, erp) = (rig.add("controller/anna"), rig.add("service/erp"));
    let create = |kept| Request::CreateRoom {
        room: name("yard"),
        settings: settings(kept),
    };
    assert_eq!(
        rig.answer(anna, create(1)),
        Answer::Refused(HubRefusal::NotAllowed)
    );
    assert_eq!(rig.answer(erp, create(1)), Answer::Done { revision: 0 });
    assert_eq!(rig.answer(erp, create(1)), Answer::Done { revision: 0 });
    assert_eq!(
        rig.answer(erp, create(2)),
        Answer::Refused(HubRefusal::RoomExists)
    );
    rig.run(Duration::from_millis(10));
    assert_eq!(rig.store.records.len(), 1);
}
