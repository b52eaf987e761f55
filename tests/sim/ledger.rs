//! What operators sent and were told: the truth that the checks compare the vehicles' notebooks with.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::{ApplicationId, Channel, Class, FencingToken, MonoTime, NodeName};
use longrein_proto::role::{ControllerEvent, Order};
use longrein_proto::session::Resolution;
use longrein_proto::wire::Body;

use crate::Station;

/// All commands of all operators.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The token that a station holds or held last.
    held: BTreeMap<(Station, NodeName, Channel), FencingToken>,
    /// Whom each token was granted to.
    granted: BTreeMap<(NodeName, Channel, FencingToken), Station>,
    sent: BTreeMap<Key, Sent>,
    /// Sessions that operators closed, in the world's time.
    closed: Vec<(MonoTime, Station, NodeName)>,
    /// Each station's newest command of a number, for its receipt.
    newest: BTreeMap<(Station, NodeName, Channel, u64), Key>,
}

/// What names a command: a token is of one session, and a number is once in a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The vehicle.
    pub vehicle: NodeName,
    /// The function.
    pub channel: Channel,
    /// The flow's promise.
    pub class: Class,
    /// Under this lease.
    pub token: FencingToken,
    /// Its number in its flow.
    pub number: u64,
}

/// A command that was handed to a controller.
#[derive(Clone, Debug)]
pub struct Sent {
    /// By this controller.
    pub by: Station,
    /// When, in the world's time.
    pub at: MonoTime,
    /// How long it is worth applying.
    pub ttl: Duration,
    /// What it says.
    pub body: Body,
    /// For reliable flows.
    pub application_id: Option<ApplicationId>,
    /// What became of it, and when that was said.
    pub receipt: Option<(MonoTime, Resolution)>,
}

impl Ledger {
    /// The command of this name.
    pub fn sent(&self, key: &Key) -> Option<&Sent> {
        self.sent.get(key)
    }

    /// All commands.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Sent)> {
        self.sent.iter()
    }

    /// What became of the newest command under an application id, as far as its sender was told.
    pub fn receipt(&self, id: ApplicationId) -> Option<Resolution> {
        let of_id = self.sent.values();
        let newest = of_id
            .filter(|sent| sent.application_id == Some(id))
            .max_by_key(|sent| sent.at)?;
        newest.receipt.as_ref().map(|(_, outcome)| outcome.clone())
    }

    /// Whom a token was granted to.
    pub fn holder(
        &self,
        vehicle: &NodeName,
        channel: Channel,
        token: FencingToken,
    ) -> Option<Station> {
        self.granted
            .get(&(vehicle.clone(), channel, token))
            .copied()
    }

    /// The newest token that a station was granted.
    pub fn token(&self, by: Station, vehicle: &NodeName, channel: Channel) -> Option<FencingToken> {
        self.held.get(&(by, vehicle.clone(), channel)).copied()
    }

    /// Whether an operator closed the session within a span.
    pub fn was_closed(
        &self,
        by: Station,
        vehicle: &NodeName,
        from: MonoTime,
        to: MonoTime,
    ) -> bool {
        self.closed
            .iter()
            .any(|(at, who, whom)| *who == by && whom == vehicle && from <= *at && *at <= to)
    }

    #[cfg(test)]
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Sent> {
        self.sent.values_mut()
    }

    pub(crate) fn on_closed(&mut self, at: MonoTime, by: Station, vehicle: &NodeName) {
        self.closed.push((at, by, vehicle.clone()));
    }

    pub(crate) fn on_sent(
        &mut self,
        (at, by): (MonoTime, Station),
        (vehicle, channel, number): (&NodeName, Channel, u64),
        order: &Order,
    ) {
        let token = self
            .token(by, vehicle, channel)
            .expect("a controller commands under a lease only");
        let key = Key {
            vehicle: vehicle.clone(),
            channel,
            class: order.class,
            token,
            number,
        };
        let sent = Sent {
            by,
            at,
            ttl: order.ttl,
            body: order.body.clone(),
            application_id: order.application_id,
            receipt: None,
        };
        if order.class == Class::Reliable {
            self.newest
                .insert((by, vehicle.clone(), channel, number), key.clone());
        }
        let before = self.sent.insert(key.clone(), sent);
        assert!(before.is_none(), "a number is given twice: {key:?}");
    }

    pub(crate) fn on_event(&mut self, now: MonoTime, by: Station, event: &ControllerEvent) {
        match event {
            ControllerEvent::Granted {
                vehicle,
                channel,
                token,
                ..
            }
            | ControllerEvent::Coming {
                vehicle,
                channel,
                token,
                ..
            } => {
                self.held.insert((by, vehicle.clone(), *channel), *token);
                self.granted.insert((vehicle.clone(), *channel, *token), by);
            }
            ControllerEvent::Receipt {
                vehicle,
                channel,
                number,
                outcome,
            } => {
                let newest = (by, vehicle.clone(), *channel, *number);
                let sent = self
                    .newest
                    .get(&newest)
                    .and_then(|key| self.sent.get_mut(key))
                    .unwrap_or_else(|| panic!("a receipt for what was not sent: {event:?}"));
                assert!(sent.receipt.is_none(), "a second receipt: {event:?}");
                sent.receipt = Some((now, outcome.clone()));
            }
            _ => {}
        }
    }
}
