//! Attributes and locks of nodes and rooms.

use std::time::Duration;

use super::Hub;
use super::commits::{Asker, Then};
use crate::base::{Name, NodeName};
use crate::hub::documents::Told;
use crate::hub::locks::{LockChange, Taken};
use crate::hub::{ClientId, HubRight, Moment};
use crate::wire::hub::{Answer, Change, HubRefusal, LockClaim, Owner, RoomRole, Section, Tell};

type Answered = Result<Option<Answer>, HubRefusal>;

/// On what a write depends, beside revisions.
pub(super) struct Bonds {
    pub(super) lock: Option<LockClaim>,
    pub(super) lease: Option<NodeName>,
}

impl Hub {
    pub(super) fn read_document(
        &mut self,
        client: ClientId,
        owner: &Owner,
        section: Section,
    ) -> Answered {
        self.expect_reader(client, owner)?;
        Ok(Some(Answer::Document(self.documents.get(owner, section))))
    }

    pub(super) fn set(
        &mut self,
        at: Moment,
        asker: Asker,
        (owner, section): (Owner, Section),
        if_revision: Option<u64>,
        changes: &[Change],
        bonds: &Bonds,
    ) -> Answered {
        let by = self.expect_writer(asker.0, &owner, section)?;
        if let Some(claim) = &bonds.lock
            && !self.locks.holds(at.now, &owner, claim, &by)
        {
            return Err(HubRefusal::NotHolder);
        }
        if let Some(vehicle) = &bonds.lease
            && !self
                .leased
                .get(vehicle)
                .is_some_and(|by_whom| by_whom.contains(&by))
        {
            return Err(HubRefusal::NoLease);
        }
        self.may_commit()?;
        let documents = &mut self.documents;
        let written = documents.set(at.unix_ms, &by, &owner, section, if_revision, changes)?;
        let then = Then::Written {
            asker,
            owner,
            section,
            told: written.told,
            undo: written.undo,
        };
        self.commit(vec![written.op], vec![then]);
        Ok(None)
    }

    /// A document is stored as it was written: who watches it hears that.
    pub(super) fn on_written(&mut self, at: Moment, owner: &Owner, section: Section, told: &Told) {
        if let (Owner::Node(node), Section::Attributes) = (owner, section) {
            self.on_moved(at, node);
        }
        let watchers = self.documents.watchers(owner, section);
        let mut watchers: Vec<(ClientId, u32)> =
            watchers.map(|(client, watch)| (*client, watch)).collect();
        watchers.extend(self.fleet_watchers(owner, section));
        for (client, watch) in watchers {
            let tell = Tell::Document {
                watch,
                owner: owner.clone(),
                section,
                after: told.after,
                revision: told.revision,
                set: told.set.clone(),
                removed: told.removed.clone(),
            };
            self.tell(client, tell);
        }
    }

    pub(super) fn watch_document(
        &mut self,
        (client, ask): Asker,
        watch: u32,
        owner: &Owner,
        section: Section,
    ) -> Answered {
        self.expect_reader(client, owner)?;
        self.documents.watch(client, watch, owner, section)?;
        let now = self.documents.get(owner, section);
        self.answer(
            client,
            ask,
            Answer::Done {
                revision: now.revision,
            },
        );
        let tell = Tell::Document {
            watch,
            owner: owner.clone(),
            section,
            after: 0,
            revision: now.revision,
            set: now.items,
            removed: Vec::new(),
        };
        self.tell(client, tell);
        Ok(None)
    }

    pub(super) fn lock(
        &mut self,
        at: Moment,
        asker: Asker,
        (owner, lock): (&Owner, &Name),
        ttl_ms: u32,
        wait_ms: u32,
    ) -> Answered {
        let who = self.expect_locker(asker.0, owner)?;
        let ms = |ms: u32| Duration::from_millis(ms.into());
        let (ttl, wait) = (ms(ttl_ms), ms(wait_ms));
        let taken = self.locks.take(at.now, owner, lock, &who, asker, ttl, wait);
        self.tell_locks();
        match taken {
            Taken::Granted(token) => Ok(Some(Answer::Locked { token })),
            Taken::Waiting => {
                if let Some(waiting) = self.clients.get_mut(&asker.0) {
                    waiting.waits_for_locks = true;
                }
                Ok(None)
            }
            Taken::Refused(why) => Err(why),
        }
    }

    pub(super) fn renew_lock(
        &mut self,
        at: Moment,
        client: ClientId,
        owner: &Owner,
        claim: &LockClaim,
        ttl_ms: u32,
    ) -> Answered {
        let who = self.node_of(client)?;
        let ttl = Duration::from_millis(ttl_ms.into());
        let renewed = self.locks.renew(at.now, owner, claim, &who, ttl);
        self.tell_locks();
        let token = claim.token;
        renewed.map(|()| Some(Answer::Locked { token }))
    }

    pub(super) fn unlock(
        &mut self,
        at: Moment,
        client: ClientId,
        owner: &Owner,
        claim: &LockClaim,
    ) -> Answered {
        let who = self.node_of(client)?;
        let released = self.locks.release(at.now, owner, claim, &who);
        self.tell_locks();
        released.map(|()| Some(Answer::Done { revision: 0 }))
    }

    pub(super) fn revoke_lock(
        &mut self,
        at: Moment,
        client: ClientId,
        owner: &Owner,
        lock: &Name,
    ) -> Answered {
        match owner {
            Owner::Room(room) => self.expect_dispatcher(client, room)?,
            Owner::Node(_) => self.expect_right(client, HubRight::Manage)?,
        }
        let revoked = self.locks.revoke(at.now, owner, lock);
        self.tell_locks();
        revoked.map(|()| Some(Answer::Done { revision: 0 }))
    }

    pub(super) fn list_locks(&mut self, at: Moment, client: ClientId, owner: &Owner) -> Answered {
        self.expect_reader(client, owner)?;
        Ok(Some(Answer::Locks(self.locks.list(at.now, owner))))
    }

    /// Whoever waited for a lock or had one hears what became of it.
    pub(super) fn tell_locks(&mut self) {
        while let Some(change) = self.locks.poll_change() {
            match change {
                LockChange::Granted {
                    asker: (client, ask),
                    token,
                    ..
                } => self.answer(client, ask, Answer::Locked { token }),
                LockChange::WaitOver {
                    asker: (client, ask),
                    why,
                } => self.answer(client, ask, Answer::Refused(why)),
                LockChange::Lost {
                    owner,
                    lock,
                    who,
                    token,
                } => {
                    for program in self.programs.get(&who).cloned().unwrap_or_default() {
                        let (owner, lock) = (owner.clone(), lock.clone());
                        self.tell(program, Tell::LockLost { owner, lock, token });
                    }
                }
            }
        }
    }

    /// An agent says whose sessions hold leases of it now.
    pub fn on_leased(&mut self, vehicle: &NodeName, by_whom: impl IntoIterator<Item = NodeName>) {
        let by_whom: std::collections::BTreeSet<NodeName> = by_whom.into_iter().collect();
        if by_whom.is_empty() {
            self.leased.remove(vehicle);
        } else {
            self.leased.insert(vehicle.clone(), by_whom);
        }
    }

    fn node_of(&self, client: ClientId) -> Result<NodeName, HubRefusal> {
        let client = self.clients.get(&client).ok_or(HubRefusal::NotAllowed)?;
        Ok(client.node.clone())
    }

    /// Whoever may read everything, the owner, and members of a room may read its documents.
    fn expect_reader(&self, client: ClientId, owner: &Owner) -> Result<(), HubRefusal> {
        let is_own = match owner {
            Owner::Node(node) => self.node_of(client)? == *node,
            Owner::Room(room) => {
                self.expect_room(room)?;
                self.role_in(client, room).is_some()
            }
        };
        if is_own {
            Ok(())
        } else {
            self.expect_right(client, HubRight::Read)
        }
    }

    /// Who writes, if it may: what a node reports it alone; a room's attributes its members that speak; the rest who may write.
    fn expect_writer(
        &self,
        client: ClientId,
        owner: &Owner,
        section: Section,
    ) -> Result<NodeName, HubRefusal> {
        let by = self.node_of(client)?;
        match (owner, section) {
            (Owner::Node(node), Section::Reported) => {
                (*node == by).then_some(by).ok_or(HubRefusal::NotAllowed)
            }
            (Owner::Node(_), Section::Attributes | Section::Desired) => {
                self.expect_right(client, HubRight::Write)?;
                Ok(by)
            }
            (Owner::Room(room), Section::Attributes) => {
                self.expect_room(room)?;
                self.expect_speaking_member(client, room)?;
                Ok(by)
            }
            // Only nodes are told how to be.
            (Owner::Room(_), Section::Desired | Section::Reported) => Err(HubRefusal::Malformed),
        }
    }

    fn expect_locker(&self, client: ClientId, owner: &Owner) -> Result<NodeName, HubRefusal> {
        let who = self.node_of(client)?;
        match owner {
            Owner::Node(node) if *node == who => {}
            Owner::Node(_) => self.expect_right(client, HubRight::Write)?,
            Owner::Room(room) => {
                self.expect_room(room)?;
                self.expect_speaking_member(client, room)?;
            }
        }
        Ok(who)
    }

    fn expect_room(&self, room: &Name) -> Result<(), HubRefusal> {
        let is_there = self.rooms.contains_key(room);
        is_there.then_some(()).ok_or(HubRefusal::NoSuchRoom)
    }

    fn expect_speaking_member(&self, client: ClientId, room: &Name) -> Result<(), HubRefusal> {
        match self.role_in(client, room) {
            Some(RoomRole::Driver | RoomRole::Dispatcher) => Ok(()),
            Some(RoomRole::Observer) => Err(HubRefusal::RoleForbids),
            None if self.has_right(client, HubRight::Manage) => Ok(()),
            None => Err(HubRefusal::NotAMember),
        }
    }
}
