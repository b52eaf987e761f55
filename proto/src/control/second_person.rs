//! The two-person rule.

use std::time::Duration;

use crate::base::{MonoTime, NodeName, Refusal};

/// Lets something be done only when two persons ask for the same within a short time (SAFE-39).
#[derive(Clone, Debug, Default)]
pub struct SecondPerson {
    first: Option<(NodeName, u32, MonoTime)>,
}

impl SecondPerson {
    /// How long the first one's word counts.
    pub const WITHIN: Duration = Duration::from_secs(30);

    /// What is allowed has changed: nobody's word counts any more.
    pub fn forget(&mut self) {
        self.first = None;
    }

    /// Somebody asks for something of this number.
    ///
    /// # Errors
    /// `NeedsSecond` until somebody else has asked for the same.
    pub fn on_ask(&mut self, now: MonoTime, who: &NodeName, what: u32) -> Result<(), Refusal> {
        let seconded = self
            .first
            .as_ref()
            .is_some_and(|(first, asked, until)| first != who && *asked == what && now < *until);
        if seconded {
            self.first = None;
            return Ok(());
        }
        self.first = Some((who.clone(), what, now + Self::WITHIN));
        Err(Refusal::NeedsSecond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> MonoTime {
        MonoTime::from_us(s * 1_000_000)
    }

    /// [SAFE-39]
    #[test]
    fn two_persons_have_to_ask_for_the_same_within_half_a_minute() {
        let (anna, bob): (NodeName, NodeName) = (
            "controller/anna".parse().unwrap(),
            "controller/bob".parse().unwrap(),
        );
        let not_yet = Err(Refusal::NeedsSecond);
        let mut rule = SecondPerson::default();
        assert_eq!(rule.on_ask(at(0), &anna, 7), not_yet);
        assert_eq!(rule.on_ask(at(1), &anna, 7), not_yet, "one person twice");
        assert_eq!(rule.on_ask(at(31), &bob, 7), not_yet, "too late");
        assert_eq!(rule.on_ask(at(32), &anna, 8), not_yet, "something else");
        assert_eq!(rule.on_ask(at(33), &bob, 8), Ok(()));
        assert_eq!(rule.on_ask(at(34), &anna, 8), not_yet, "it was used up");
    }
}
