//! Requests to vehicles that are not answered yet.

use std::collections::BTreeMap;

use longrein_proto::base::{Channel, Name, NodeName, OfferId, Refusal};
use tokio::sync::oneshot;

use crate::{Lease, RequestError, Vehicle};

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) enum Ask {
    /// For a lease.
    Take(Box<Take>),
    /// For the offer of a lease.
    Offer {
        vehicle: NodeName,
        answer: oneshot::Sender<Result<OfferId, RequestError>>,
    },
    /// For something that is done or refused.
    Plain {
        vehicle: NodeName,
        answer: oneshot::Sender<Result<(), RequestError>>,
    },
}

/// A request for a lease, with what the lease's handle is made of.
#[derive(Debug)]
pub(super) struct Take {
    pub(super) vehicle: Vehicle,
    pub(super) function: Name,
    pub(super) channel: Channel,
    /// It waits its turn at the vehicle.
    pub(super) waits: bool,
    pub(super) answer: oneshot::Sender<Result<Lease, RequestError>>,
}

impl Ask {
    fn vehicle(&self) -> &NodeName {
        match self {
            Ask::Take(take) => take.vehicle.node(),
            Ask::Offer { vehicle, .. } | Ask::Plain { vehicle, .. } => vehicle,
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Ask::Take(take) => take.answer.is_closed(),
            Ask::Offer { answer, .. } => answer.is_closed(),
            Ask::Plain { answer, .. } => answer.is_closed(),
        }
    }

    fn waits(&self) -> bool {
        matches!(self, Ask::Take(take) if take.waits)
    }

    pub(super) fn fail(self, why: RequestError) {
        // Whoever asked may have given up.
        match self {
            Ask::Take(take) => drop(take.answer.send(Err(why))),
            Ask::Offer { answer, .. } => drop(answer.send(Err(why))),
            Ask::Plain { answer, .. } => drop(answer.send(Err(why))),
        }
    }
}

/// The requests without answer, by number.
#[derive(Debug, Default)]
pub(super) struct Asks(BTreeMap<u32, Ask>);

impl Asks {
    pub(super) fn insert(&mut self, number: u32, ask: Ask) {
        self.0.retain(|_, ask| ask.waits() || !ask.is_abandoned());
        self.0.insert(number, ask);
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Ask> {
        self.0.remove(&number)
    }

    /// Forgets those that nobody waits for any more; where they wait their turn, the vehicle is to be told.
    pub(super) fn sweep(&mut self) -> Vec<(NodeName, Channel)> {
        let abandoned = self.0.values().filter(|ask| ask.is_abandoned());
        let left = abandoned.filter_map(|ask| match ask {
            Ask::Take(take) if take.waits => Some((take.vehicle.node().clone(), take.channel)),
            Ask::Take(_) | Ask::Offer { .. } | Ask::Plain { .. } => None,
        });
        let left = left.collect();
        self.0.retain(|_, ask| !ask.is_abandoned());
        left
    }

    pub(super) fn on_done(&mut self, number: u32) {
        if let Some(Ask::Plain { answer, .. }) = self.0.remove(&number) {
            drop(answer.send(Ok(())));
        }
    }

    pub(super) fn on_offered(&mut self, number: u32, offer: OfferId) {
        if let Some(Ask::Offer { answer, .. }) = self.0.remove(&number) {
            drop(answer.send(Ok(offer)));
        }
    }

    pub(super) fn on_refused(&mut self, number: u32, why: Refusal) {
        if let Some(ask) = self.0.remove(&number) {
            ask.fail(RequestError::Refused(why));
        }
    }

    /// The session is lost, and all requests of it.
    pub(super) fn on_session_down(&mut self, vehicle: &NodeName) {
        let lost: Vec<u32> = self
            .0
            .iter()
            .filter(|(_, ask)| ask.vehicle() == vehicle)
            .map(|(number, _)| *number)
            .collect();
        for ask in lost.iter().filter_map(|number| self.0.remove(number)) {
            ask.fail(RequestError::NoSession);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(asks: &mut Asks, number: u32) -> oneshot::Receiver<Result<(), RequestError>> {
        let (answer, answered) = oneshot::channel();
        let vehicle = "agent/truck".parse().unwrap();
        asks.insert(number, Ask::Plain { vehicle, answer });
        answered
    }

    #[test]
    fn an_answer_goes_to_who_asked() {
        let mut asks = Asks::default();
        let mut first = plain(&mut asks, 1);
        let mut second = plain(&mut asks, 2);
        asks.on_refused(2, Refusal::Stopped);
        assert!(first.try_recv().is_err());
        assert!(matches!(
            second.try_recv(),
            Ok(Err(RequestError::Refused(Refusal::Stopped)))
        ));
        asks.on_done(1);
        assert!(matches!(first.try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn the_end_of_a_session_answers_its_requests_and_abandoned_ones_are_forgotten() {
        let mut asks = Asks::default();
        drop(plain(&mut asks, 1));
        let mut second = plain(&mut asks, 2);
        assert_eq!(asks.0.len(), 1);
        asks.on_session_down(&"agent/other".parse().unwrap());
        assert!(second.try_recv().is_err());
        asks.on_session_down(&"agent/truck".parse().unwrap());
        assert!(matches!(
            second.try_recv(),
            Ok(Err(RequestError::NoSession))
        ));
    }
}
