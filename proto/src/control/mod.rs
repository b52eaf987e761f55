//! Who may command a function, until when, and what the vehicle does when nobody does. Knows no packets.
//!
//! `docs/safety.md` is the norm; the pictures in it are compared with the code.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation
    )
)]

mod actuation;
#[cfg(test)]
mod diagram;
mod gate;
mod handover;
mod lease;
mod limiter;
mod limits;
mod policy;
mod progress;
mod second_person;
mod stop_latch;
#[cfg(test)]
mod testing;
mod watchdog;

pub use actuation::{Actuation, ActuationConfig, Applied, Output, StageChange};
pub use gate::{Accepted, Life, gate};
pub use handover::{Handover, OfferOver};
pub use lease::{Grant, Lease, LeaseEnd, TakeStep};
pub use limiter::Limiter;
pub use limits::{DriveLimits, DriveLimitsError};
pub use policy::{Allowed, Policy, Rule, Who};
pub use progress::Progress;
pub use second_person::SecondPerson;
pub use stop_latch::{ResetOutcome, StopLatch, StopOutcome, StopRecord};
pub use watchdog::{Watchdog, WatchdogConfig, WatchdogConfigError, Wish};

/// How often whoever runs an [`Actuation`] looks at its timeouts at least: a stage is entered within its limit and this.
pub const TICK: std::time::Duration = std::time::Duration::from_millis(10);
