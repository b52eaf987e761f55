//! The one door to an actuator.

use std::fmt;

use super::StopLatch;
use crate::base::{MonoTime, Refusal};
use crate::wire::{Body, Command, FunctionKind};

/// Something that passed the [`gate`]; nothing else makes one, and nothing else reaches an actuator (SAFE-40).
#[derive(Clone, PartialEq, Eq)]
pub struct Accepted<T> {
    inner: T,
    life: Life,
}

/// From when to when something lives, on the vehicle's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it was sent, at the earliest: less the error of the clock.
    pub sent_at: MonoTime,
    /// When it is no longer to be applied.
    pub deadline: MonoTime,
}

impl<T> Accepted<T> {
    /// What was accepted.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// When it is no longer to be applied, on the vehicle's clock.
    pub fn deadline(&self) -> MonoTime {
        self.life.deadline
    }

    /// When it was sent at the earliest, on the vehicle's clock.
    pub fn sent_at(&self) -> MonoTime {
        self.life.sent_at
    }

    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

impl<T> fmt::Debug for Accepted<T> {
    /// Without what was accepted: payloads do not go into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// Accepts a command to a function of this kind, or says why not; `held` is what the function's lease says of its sender and
/// token.
///
/// # Errors
/// In this order: `NoSuchFunction` (a body of the other kind), `Expired`, `NotLeased`, `HeldBy`, `OldToken`, `Stopped`,
/// `DeadManReleased`.
pub fn gate(
    now: MonoTime,
    kind: FunctionKind,
    command: Command,
    life: Life,
    held: Result<(), Refusal>,
    latch: &StopLatch,
) -> Result<Accepted<Command>, Refusal> {
    match (kind, &command.body) {
        (FunctionKind::Drive, Body::Drive(_)) | (FunctionKind::Opaque, Body::Opaque(_)) => {}
        (FunctionKind::Drive, Body::Opaque(_)) | (FunctionKind::Opaque, Body::Drive(_)) => {
            return Err(Refusal::NoSuchFunction);
        }
    }
    // SAFE-41
    if life.deadline <= now {
        return Err(Refusal::Expired);
    }
    // SAFE-42
    held?;
    if latch.is_latched() {
        return Err(Refusal::Stopped);
    }
    // A neutral command only takes motion away, so it passes without the enabling hand (SAFE-43). Opaque ones have none (SAFE-44).
    let enabled = match &command.body {
        Body::Drive(_) => command.dead_man || command.body.is_neutral(),
        Body::Opaque(_) => true,
    };
    if !enabled {
        return Err(Refusal::DeadManReleased);
    }
    Ok(Accepted {
        inner: command,
        life,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Desk, at, drive};
    use super::*;
    use crate::base::{FencingToken, StopId};
    use crate::wire::Drive;

    /// SAFE-40
    #[test]
    fn a_command_of_the_holder_in_time_is_accepted() {
        let desk = Desk::new();
        let accepted = desk.gate(at(0), drive(&desk, 1_000), at(200)).unwrap();
        assert_eq!(accepted.deadline(), at(200));
        assert_eq!(accepted.inner().token, desk.token);
    }

    /// SAFE-41
    #[test]
    fn a_command_at_its_deadline_is_refused() {
        let desk = Desk::new();
        let result = desk.gate(at(200), drive(&desk, 1_000), at(200));
        assert_eq!(result, Err(Refusal::Expired));
    }

    /// SAFE-42
    #[test]
    fn a_command_with_another_token_or_from_another_node_is_refused() {
        let mut desk = Desk::new();
        let mut old = drive(&desk, 1_000);
        old.token = FencingToken(desk.token.0 - 1);
        assert_eq!(desk.gate(at(0), old, at(9)), Err(Refusal::OldToken));
        let holder = desk.who.clone();
        desk.who = "controller/other".parse().unwrap();
        let stolen = drive(&desk, 1_000);
        assert_eq!(
            desk.gate(at(0), stolen.clone(), at(9)),
            Err(Refusal::HeldBy(holder.clone()))
        );
        desk.lease.on_session_end(&holder);
        assert_eq!(desk.gate(at(0), stolen, at(9)), Err(Refusal::NotLeased));
    }

    /// SAFE-33
    #[test]
    fn nothing_is_accepted_while_the_stop_is_latched() {
        let mut desk = Desk::new();
        desk.latch.on_stop(StopId([1; 16]), None);
        for command in [drive(&desk, 1_000), drive(&desk, 0)] {
            assert_eq!(desk.gate(at(0), command, at(9)), Err(Refusal::Stopped));
        }
    }

    /// SAFE-43
    #[test]
    fn without_the_enabling_hand_only_neutral_drives_pass() {
        let desk = Desk::new();
        let mut moving = drive(&desk, 1_000);
        moving.dead_man = false;
        assert_eq!(
            desk.gate(at(0), moving, at(9)),
            Err(Refusal::DeadManReleased)
        );
        let mut neutral = drive(&desk, 0);
        neutral.dead_man = false;
        assert!(desk.gate(at(0), neutral, at(9)).is_ok());
    }

    /// SAFE-44
    #[test]
    fn opaque_commands_need_no_enabling_hand_but_the_right_function() {
        let desk = Desk::new();
        let command = Command {
            token: desk.token,
            dead_man: false,
            resume: false,
            application_id: None,
            picture_age: None,
            body: Body::Opaque(vec![1, 2, 3]),
        };
        assert_eq!(
            desk.gate(at(0), command.clone(), at(9)),
            Err(Refusal::NoSuchFunction)
        );
        let opaque = |body| {
            gate(
                at(0),
                FunctionKind::Opaque,
                Command {
                    body,
                    ..command.clone()
                },
                Life {
                    sent_at: at(0),
                    deadline: at(9),
                },
                Ok(()),
                &desk.latch,
            )
        };
        assert!(opaque(Body::Opaque(vec![1, 2, 3])).is_ok());
        assert_eq!(
            opaque(Body::Drive(Drive::NEUTRAL)),
            Err(Refusal::NoSuchFunction)
        );
    }

    #[test]
    fn what_was_accepted_does_not_show_in_logs() {
        let desk = Desk::new();
        let accepted = desk.gate(at(0), drive(&desk, 1_234), at(200)).unwrap();
        assert!(!format!("{accepted:?}").contains("1234"));
    }
}
