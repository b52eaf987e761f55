//! What is known of one path: its loss, round trip and queue, and whether it works.

mod estimate;
mod health;
mod window_min;

pub use estimate::{Estimate, Quality};
pub use health::{Health, HealthClock};
