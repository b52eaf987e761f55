//! What is known about one vehicle, and who waits for news of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use longrein_proto::base::{Channel, FencingToken, Name, NodeName};
use longrein_proto::role::{SessionLoss, VehicleStatus};
use longrein_proto::session::Resolution;
use longrein_proto::wire::{Description, News, Removal};
use tokio::sync::{oneshot, watch};

use crate::events::Feed;
use crate::{LeaseLoss, VehicleEvent};

/// One vehicle that is open.
#[derive(Debug)]
pub(super) struct Seat {
    alive: Weak<()>,
    session: watch::Sender<SessionState>,
    status: Option<VehicleStatus>,
    presence: BTreeMap<NodeName, bool>,
    leases: BTreeMap<Channel, Held>,
    /// Lost by the beat whose status comes next and says why.
    losing: Vec<Channel>,
    receipts: BTreeMap<(Channel, u64), oneshot::Sender<Resolution>>,
    feeds: Vec<Feed>,
}

/// How the session with a vehicle stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionState {
    /// Whether it stands now.
    pub(crate) up: bool,
    /// What the vehicle said last that it is.
    pub(crate) description: Option<Description>,
}

/// A lease whose handle is in the program's hands.
#[derive(Debug)]
struct Held {
    token: FencingToken,
    lost: watch::Sender<Option<LeaseLoss>>,
}

impl Seat {
    /// A vehicle that is open while `alive` is.
    pub(super) fn new(alive: &Arc<()>) -> Seat {
        Seat {
            alive: Arc::downgrade(alive),
            session: watch::Sender::default(),
            status: None,
            presence: BTreeMap::new(),
            leases: BTreeMap::new(),
            losing: Vec::new(),
            receipts: BTreeMap::new(),
            feeds: Vec::new(),
        }
    }

    /// The handle that keeps it open, if there is one.
    pub(super) fn alive(&self) -> Option<Arc<()>> {
        self.alive.upgrade()
    }

    pub(super) fn session(&self) -> watch::Receiver<SessionState> {
        self.session.subscribe()
    }

    pub(super) fn status(&self) -> Option<&VehicleStatus> {
        self.status.as_ref()
    }

    /// Whether any relay sees the vehicle.
    pub(super) fn is_present(&self) -> bool {
        self.presence.values().any(|present| *present)
    }

    pub(super) fn functions(&self) -> Vec<Name> {
        let state = self.session.borrow();
        let functions = state.description.iter().flat_map(|d| &d.functions);
        functions.map(|known| known.name.clone()).collect()
    }

    /// A watcher; it begins with what is known.
    pub(super) fn add_feed(&mut self, feed: Feed) {
        if let Some(status) = &self.status {
            feed.push(VehicleEvent::Status(status.clone()));
        }
        self.feeds.push(feed);
    }

    pub(super) fn add_receipt(
        &mut self,
        channel: Channel,
        number: u64,
        outcome: oneshot::Sender<Resolution>,
    ) {
        self.receipts.retain(|_, waiting| !waiting.is_closed());
        self.receipts.insert((channel, number), outcome);
    }

    /// A lease is granted; one that was held for the same function is void.
    pub(super) fn on_granted(
        &mut self,
        channel: Channel,
        token: FencingToken,
        me: &NodeName,
    ) -> watch::Receiver<Option<LeaseLoss>> {
        self.lose(channel, &LeaseLoss::Taken { by: me.clone() });
        let (lost, hear_lost) = watch::channel(None);
        self.leases.insert(channel, Held { token, lost });
        hear_lost
    }

    pub(super) fn holds(&self, channel: Channel, token: FencingToken) -> bool {
        self.leases
            .get(&channel)
            .is_some_and(|held| held.token == token)
    }

    pub(super) fn remove_lease(&mut self, channel: Channel) {
        self.leases.remove(&channel);
    }

    /// Leases whose handles are gone without a release.
    pub(super) fn dropped_leases(&self) -> Vec<Channel> {
        let dropped = self.leases.iter().filter(|(_, held)| held.lost.is_closed());
        dropped.map(|(channel, _)| *channel).collect()
    }

    pub(super) fn on_session_up(&mut self, description: Description) {
        self.session.send_replace(SessionState {
            up: true,
            description: Some(description.clone()),
        });
        self.tell(&VehicleEvent::Up { description });
    }

    /// What this controller may do has changed.
    pub(super) fn on_described(&mut self, description: Description) {
        let known = Some(description.clone());
        self.session
            .send_modify(|session| session.description = known);
        self.tell(&VehicleEvent::Described { description });
    }

    /// The vehicle says something of a lease; that of a lost one comes with the loss.
    pub(super) fn on_news(&self, news: News) {
        let channel = match &news {
            News::Ring { channel, .. }
            | News::Accepted { channel, .. }
            | News::Over { channel, .. } => *channel,
            News::Lost { .. } => return,
        };
        if let Some(function) = self.function(channel) {
            self.tell(&VehicleEvent::News { function, news });
        }
    }

    pub(super) fn on_session_down(&mut self, why: SessionLoss) {
        self.session.send_modify(|session| session.up = false);
        self.status = None;
        self.losing.clear();
        let held: Vec<Channel> = self.leases.keys().copied().collect();
        for channel in held {
            self.lose(channel, &LeaseLoss::SessionEnded);
        }
        // Whoever still waits for one of these sees the end of its channel: the outcome is unknown.
        self.receipts.clear();
        self.tell(&VehicleEvent::Down { why });
    }

    pub(super) fn on_presence(&mut self, relay: NodeName, present: bool) {
        self.presence.insert(relay.clone(), present);
        self.tell(&VehicleEvent::Presence { relay, present });
    }

    pub(super) fn on_lease_lost(&mut self, channel: Channel, how: Option<Removal>) {
        match how {
            Some(how) => self.lose(channel, &LeaseLoss::Removed(how)),
            None => self.losing.push(channel),
        }
    }

    pub(super) fn on_status(&mut self, status: VehicleStatus) {
        for channel in std::mem::take(&mut self.losing) {
            let loss = self.loss(channel, &status);
            self.lose(channel, &loss);
        }
        self.feeds.retain(|feed| !feed.is_unread());
        self.tell(&VehicleEvent::Status(status.clone()));
        self.status = Some(status);
    }

    pub(super) fn on_receipt(&mut self, channel: Channel, number: u64, outcome: Resolution) {
        if let Some(waiting) = self.receipts.remove(&(channel, number)) {
            // Whoever waited may have given up.
            drop(waiting.send(outcome.clone()));
        }
        if let Some(function) = self.function(channel) {
            self.tell(&VehicleEvent::Receipt {
                function,
                number,
                outcome,
            });
        }
    }

    /// The function of a channel, by the newest description.
    pub(super) fn function(&self, channel: Channel) -> Option<Name> {
        let index = usize::from(channel.number()).checked_sub(1)?;
        let state = self.session.borrow();
        let function = state.description.as_ref()?.functions.get(index)?;
        Some(function.name.clone())
    }

    pub(super) fn tell(&self, event: &VehicleEvent) {
        for feed in &self.feeds {
            feed.push(event.clone());
        }
    }

    /// Why the newest beat takes a lease away.
    fn loss(&self, channel: Channel, status: &VehicleStatus) -> LeaseLoss {
        let index = usize::from(channel.number()).checked_sub(1);
        let report = index.and_then(|index| status.beat.functions.get(index));
        let held = self.leases.get(&channel);
        match (report, held) {
            (Some(report), Some(held)) if report.token > held.token => match &report.holder {
                Some(by) => LeaseLoss::Taken { by: by.clone() },
                None => LeaseLoss::Lapsed,
            },
            _ => LeaseLoss::Lapsed,
        }
    }

    fn lose(&mut self, channel: Channel, loss: &LeaseLoss) {
        let Some(held) = self.leases.remove(&channel) else {
            return;
        };
        held.lost.send_replace(Some(loss.clone()));
        if let Some(function) = self.function(channel) {
            self.tell(&VehicleEvent::LeaseLost {
                function,
                loss: loss.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use longrein_proto::base::{Rights, Stage};
    use longrein_proto::wire::{AgentBeat, FunctionDescription, FunctionKind, FunctionReport};

    use super::*;

    fn seat() -> (Seat, Channel) {
        let mut seat = Seat::new(&Arc::new(()));
        let drive = FunctionDescription {
            name: "drive".parse().unwrap(),
            kind: FunctionKind::Drive,
            rights: Rights::ALL,
        };
        seat.on_session_up(Description {
            rights: Rights::ALL,
            functions: vec![drive],
        });
        (seat, Channel::new(1).unwrap())
    }

    fn status(token: u64, holder: Option<&str>) -> VehicleStatus {
        let report = FunctionReport {
            stage: Stage::Hold,
            token: FencingToken(token),
            holder: holder.map(|name| name.parse().unwrap()),
        };
        let beat = AgentBeat {
            functions: vec![report],
            ..AgentBeat::default()
        };
        VehicleStatus { beat, age: None }
    }

    fn me() -> NodeName {
        "controller/alice".parse().unwrap()
    }

    #[test]
    fn a_lost_lease_says_whether_it_lapsed_or_who_took_it() {
        let (mut seat, drive) = seat();
        let lost = seat.on_granted(drive, FencingToken(3), &me());
        seat.on_lease_lost(drive, None);
        seat.on_status(status(3, None));
        assert_eq!(*lost.borrow(), Some(LeaseLoss::Lapsed));
        assert!(!seat.holds(drive, FencingToken(3)));

        let lost = seat.on_granted(drive, FencingToken(4), &me());
        seat.on_lease_lost(drive, None);
        seat.on_status(status(5, Some("controller/bob")));
        let by = "controller/bob".parse().unwrap();
        assert_eq!(*lost.borrow(), Some(LeaseLoss::Taken { by }));
    }

    #[test]
    fn a_lease_that_was_taken_away_says_who_did_it_and_why() {
        let (mut seat, drive) = seat();
        let lost = seat.on_granted(drive, FencingToken(3), &me());
        let how = Removal::Preempted {
            by: "controller/chief".parse().unwrap(),
            reason: "fire".parse().unwrap(),
        };
        seat.on_lease_lost(drive, Some(how.clone()));
        assert_eq!(*lost.borrow(), Some(LeaseLoss::Removed(how)));
    }

    #[test]
    fn a_lease_that_is_taken_again_voids_the_handle_before() {
        let (mut seat, drive) = seat();
        let first = seat.on_granted(drive, FencingToken(3), &me());
        let second = seat.on_granted(drive, FencingToken(4), &me());
        assert_eq!(*first.borrow(), Some(LeaseLoss::Taken { by: me() }));
        assert_eq!(*second.borrow(), None);
        assert!(seat.holds(drive, FencingToken(4)));
    }

    #[test]
    fn the_end_of_the_session_ends_leases_and_receipts() {
        let (mut seat, drive) = seat();
        let lost = seat.on_granted(drive, FencingToken(3), &me());
        let (outcome, mut receipt) = oneshot::channel();
        seat.add_receipt(drive, 1, outcome);
        seat.on_session_down(SessionLoss::Replaced);
        assert_eq!(*lost.borrow(), Some(LeaseLoss::SessionEnded));
        assert_eq!(
            receipt.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        assert!(!seat.session().borrow().up);
        assert!(seat.session().borrow().description.is_some());
    }

    #[test]
    fn a_lease_whose_handle_is_gone_is_found() {
        let (mut seat, drive) = seat();
        let lost = seat.on_granted(drive, FencingToken(3), &me());
        assert!(seat.dropped_leases().is_empty());
        drop(lost);
        assert_eq!(seat.dropped_leases(), [drive]);
    }
}
