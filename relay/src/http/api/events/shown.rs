//! The `data` of events.

use std::collections::BTreeMap;

use longrein_proto::base::{Name, NodeName};
use longrein_proto::wire::hub::{
    Item, LeaveReason, MemberChange, MemberChanges, NodePresence, Owner, Section,
};
use serde::Serialize;

use crate::http::api::documents::ItemShown;
use crate::http::api::nodes::Presence;
use crate::http::api::topics::PostShown;
use crate::http::api::words::{Node, Part, Role, Word};

/// `topic`.
#[derive(Serialize)]
pub(super) struct OfTopic<'a> {
    pub(super) room: &'a str,
    pub(super) topic: &'a str,
    #[serde(flatten)]
    pub(super) post: PostShown,
}

/// `message`: a room only if it was sent in one.
#[derive(Serialize)]
pub(super) struct ToService {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room: Option<Word>,
    #[serde(flatten)]
    pub(super) post: PostShown,
}

/// `gap`.
#[derive(Serialize)]
pub(super) struct Gap<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<&'a str>,
    pub(super) why: &'static str,
}

/// `members`.
#[derive(Serialize)]
pub(super) struct MembersTold {
    room: Word,
    after: u64,
    revision: u64,
    changes: Vec<ChangeTold>,
}

#[derive(Serialize)]
struct ChangeTold {
    node: Node,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

/// `presence`.
#[derive(Serialize)]
pub(super) struct PresenceTold {
    nodes: Vec<Presence>,
    more: bool,
}

/// `document`.
#[derive(Serialize)]
pub(in crate::http) struct DocumentTold {
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<Word>,
    part: Part,
    after: u64,
    revision: u64,
    set: BTreeMap<String, ItemShown>,
    removed: Vec<Word>,
}

/// `removed`.
#[derive(Serialize)]
pub(super) struct RemovedTold {
    room: Word,
    why: &'static str,
}

impl MembersTold {
    pub(super) fn of(told: MemberChanges) -> MembersTold {
        let changes = told.changes.into_iter();
        MembersTold {
            room: Word(told.room),
            after: told.after,
            revision: told.revision,
            changes: changes
                .map(|(node, change)| ChangeTold::of(node, change))
                .collect(),
        }
    }
}

impl ChangeTold {
    fn of(node: NodeName, change: MemberChange) -> ChangeTold {
        let (change, role, why) = match change {
            MemberChange::Joined(role) => ("joined", Some(role.into()), None),
            MemberChange::Left(why) => ("left", None, Some(leave_reason(why))),
            MemberChange::Role(role) => ("role", Some(role.into()), None),
        };
        ChangeTold {
            node: Node(node),
            change,
            role,
            why,
        }
    }
}

impl PresenceTold {
    pub(super) fn of(nodes: Vec<NodePresence>, more: bool) -> PresenceTold {
        let nodes = nodes.into_iter().map(Presence::of).collect();
        PresenceTold { nodes, more }
    }
}

impl DocumentTold {
    pub(in crate::http) fn of(
        owner: Owner,
        section: Section,
        (after, revision): (u64, u64),
        set: Vec<Item>,
        removed: Vec<Name>,
    ) -> DocumentTold {
        let (node, room) = match owner {
            Owner::Node(node) => (Some(Node(node)), None),
            Owner::Room(room) => (None, Some(Word(room))),
        };
        let item = |item: Item| (item.key.to_string(), ItemShown::of(item));
        DocumentTold {
            node,
            room,
            part: section.into(),
            after,
            revision,
            set: set.into_iter().map(item).collect(),
            removed: removed.into_iter().map(Word).collect(),
        }
    }
}

impl RemovedTold {
    pub(super) fn of(room: Name, why: LeaveReason) -> RemovedTold {
        let why = leave_reason(why);
        RemovedTold {
            room: Word(room),
            why,
        }
    }
}

fn leave_reason(why: LeaveReason) -> &'static str {
    match why {
        LeaveReason::Left => "left",
        LeaveReason::Ended => "ended",
        LeaveReason::Timeout => "timeout",
        LeaveReason::Kicked => "kicked",
        LeaveReason::Closed => "closed",
    }
}
