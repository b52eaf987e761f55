//! A room: its members, and what they are told of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{ClientId, Moment};
use crate::base::limits::{MEMBER_CHANGES_TOLD_MAX, MEMBERS_TOLD_EVERY, MEMBERS_TOLD_PER_MEMBER};
use crate::base::{MonoTime, Name, NodeName};
use crate::wire::hub::{
    LeaveReason, Line, Member, MemberChange, MemberChanges, RoomRole, RoomSettings,
};

/// A room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) settings: RoomSettings,
    /// Of the stored record.
    pub(super) stored_revision: u64,
    /// Grows with each change of the members.
    pub(super) revision: u64,
    members: BTreeMap<NodeName, Seated>,
    /// How many of them are here.
    here: u32,
    pub(super) topics: BTreeMap<Name, Line>,
    /// Where changes of members are told.
    pub(super) members_line: Option<Line>,
    changes: BTreeMap<NodeName, MemberChange>,
    told_revision: u64,
    tell_at: Option<MonoTime>,
}

/// A member, by the programs of its node that joined.
#[derive(Debug)]
struct Seated {
    role: RoomRole,
    since_ms: u64,
    clients: BTreeSet<ClientId>,
    /// Nothing was heard of it: it is no member until it is heard again.
    is_away: bool,
}

impl Room {
    pub(super) fn new(settings: RoomSettings, stored_revision: u64) -> Room {
        Room {
            settings,
            stored_revision,
            revision: 0,
            members: BTreeMap::new(),
            here: 0,
            topics: BTreeMap::new(),
            members_line: None,
            changes: BTreeMap::new(),
            told_revision: 0,
            tell_at: None,
        }
    }

    /// How many members there are.
    pub(super) const fn len(&self) -> u32 {
        self.here
    }

    /// Whether no program has joined.
    pub(super) fn is_deserted(&self) -> bool {
        self.members.is_empty()
    }

    /// A member's role, while it is one.
    pub(super) fn role(&self, node: &NodeName) -> Option<RoomRole> {
        let member = self.members.get(node)?;
        (!member.is_away).then_some(member.role)
    }

    /// The programs of a member that joined.
    pub(super) fn clients(&self, node: &NodeName) -> impl Iterator<Item = ClientId> {
        let clients = self.members.get(node).map(|member| &member.clients);
        clients.into_iter().flatten().copied()
    }

    /// All programs that joined.
    pub(super) fn all_clients(&self) -> impl Iterator<Item = (&NodeName, ClientId)> {
        let of = |(node, member): (_, &Seated)| (node, member.clients.clone());
        self.members
            .iter()
            .map(of)
            .flat_map(|(node, clients)| clients.into_iter().map(move |client| (node, client)))
    }

    /// Members by name, behind one.
    pub(super) fn members(&self, after: Option<&NodeName>) -> impl Iterator<Item = Member> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (self.members).range::<NodeName, _>((from, Bound::Unbounded));
        range
            .filter(|(_, member)| !member.is_away)
            .map(|(node, member)| Member {
                node: node.clone(),
                role: member.role,
                since_ms: member.since_ms,
            })
    }

    /// A program of a node joins, or has another role.
    pub(super) fn join(&mut self, at: Moment, node: &NodeName, client: ClientId, role: RoomRole) {
        match self.members.get_mut(node) {
            None => {
                let seated = Seated {
                    role,
                    since_ms: at.unix_ms,
                    clients: [client].into(),
                    is_away: false,
                };
                self.members.insert(node.clone(), seated);
                self.here += 1;
                self.note(at.now, node, MemberChange::Joined(role));
            }
            Some(member) => {
                member.clients.insert(client);
                if std::mem::take(&mut member.is_away) {
                    member.role = role;
                    self.here += 1;
                    self.note(at.now, node, MemberChange::Joined(role));
                } else if member.role != role {
                    member.role = role;
                    self.note(at.now, node, MemberChange::Role(role));
                }
            }
        }
    }

    /// A program of a node leaves; whether the node is no member any more.
    pub(super) fn leave(
        &mut self,
        now: MonoTime,
        node: &NodeName,
        client: ClientId,
        why: LeaveReason,
    ) -> bool {
        let Some(member) = self.members.get_mut(node) else {
            return false;
        };
        member.clients.remove(&client);
        if !member.clients.is_empty() {
            return false;
        }
        self.remove(now, node, why);
        true
    }

    /// A node is no member any more, whatever its programs say.
    pub(super) fn remove(&mut self, now: MonoTime, node: &NodeName, why: LeaveReason) {
        if let Some(member) = self.members.remove(node)
            && !member.is_away
        {
            self.here -= 1;
            self.note(now, node, MemberChange::Left(why));
        }
    }

    /// Nothing is heard of a node, or something is again.
    pub(super) fn on_presence(&mut self, now: MonoTime, node: &NodeName, present: bool) {
        let Some(member) = self.members.get_mut(node) else {
            return;
        };
        if member.is_away != present {
            return;
        }
        member.is_away = !present;
        let role = member.role;
        if present {
            self.here += 1;
            self.note(now, node, MemberChange::Joined(role));
        } else {
            self.here -= 1;
            self.note(now, node, MemberChange::Left(LeaveReason::Timeout));
        }
    }

    /// Gives a member a role; false when it is none.
    pub(super) fn assign(&mut self, now: MonoTime, node: &NodeName, role: RoomRole) -> bool {
        match self.members.get_mut(node) {
            Some(member) if !member.is_away => {
                if std::mem::replace(&mut member.role, role) != role {
                    self.note(now, node, MemberChange::Role(role));
                }
                true
            }
            Some(_) | None => false,
        }
    }

    /// What the members are told now, when that is due.
    pub(super) fn take_changes(&mut self, now: MonoTime, room: &Name) -> Option<MemberChanges> {
        self.tell_at.take_if(|at| *at <= now)?;
        let mut changes = std::mem::take(&mut self.changes);
        if changes.len() > MEMBER_CHANGES_TOLD_MAX {
            changes.clear();
        }
        Some(MemberChanges {
            room: room.clone(),
            after: std::mem::replace(&mut self.told_revision, self.revision),
            revision: self.revision,
            changes: changes.into_iter().collect(),
        })
    }

    /// When members are to be told.
    pub(super) const fn next_timeout(&self) -> Option<MonoTime> {
        self.tell_at
    }

    fn note(&mut self, now: MonoTime, node: &NodeName, change: MemberChange) {
        self.revision += 1;
        // More are not told, so one more than that need not be known.
        if self.changes.len() <= MEMBER_CHANGES_TOLD_MAX || self.changes.contains_key(node) {
            self.changes.insert(node.clone(), change);
        }
        let wait = MEMBERS_TOLD_PER_MEMBER.saturating_mul(self.here);
        self.tell_at
            .get_or_insert(now + wait.max(MEMBERS_TOLD_EVERY).min(TOLD_WITHIN));
    }
}

/// Members are told of changes within this, however many they are.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
