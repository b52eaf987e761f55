//! Who waits for a lease.

use std::collections::VecDeque;

use crate::base::limits::WAITING_MAX;
use crate::base::{Refusal, SessionId};

/// Sessions that wait for the lease of one function, in their order, with the request that is answered when it is their turn.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<(SessionId, u32)>);

impl Waiting {
    /// A session waits from now on; one that waits already keeps its place.
    pub(super) fn join(&mut self, session: SessionId, ask: u32) -> Result<(), Refusal> {
        if let Some(known) = self.0.iter_mut().find(|(waits, _)| *waits == session) {
            known.1 = ask;
            return Ok(());
        }
        if self.0.len() >= WAITING_MAX {
            return Err(Refusal::TooOften);
        }
        self.0.push_back((session, ask));
        Ok(())
    }

    /// A session waits no longer; its request, if it did.
    pub(super) fn leave(&mut self, session: SessionId) -> Option<u32> {
        let place = self.0.iter().position(|(waits, _)| *waits == session)?;
        self.0.remove(place).map(|(_, ask)| ask)
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(SessionId, u32)> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [SAFE-96]
    #[test]
    fn sessions_wait_in_their_order_and_few_of_them() {
        let mut waiting = Waiting::default();
        for number in 1..=WAITING_MAX as u32 {
            waiting.join(SessionId(number), number).unwrap();
        }
        assert_eq!(
            waiting.join(SessionId(99), 99),
            Err(Refusal::TooOften),
            "full"
        );
        waiting.join(SessionId(2), 200).unwrap();
        assert_eq!(waiting.leave(SessionId(1)), Some(1));
        assert_eq!(waiting.leave(SessionId(1)), None);
        assert_eq!(
            waiting.pop(),
            Some((SessionId(2), 200)),
            "it kept its place"
        );
        assert_eq!(waiting.pop(), Some((SessionId(3), 3)));
    }
}
