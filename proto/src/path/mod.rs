//! What one end knows of one path: how good it is, and whether it still works.

mod allowance;
mod arrivals;
mod blame;
mod clumps;
mod estimate;
mod health;
mod loss;
mod meter;
mod minimum;
mod pace;
#[expect(
    clippy::module_inception,
    reason = "a file is named after its main type"
)]
mod path;
mod quiet;
mod rate;
mod round_trip;
mod silence;
mod tokens;
mod traffic;

pub use allowance::Allowance;
pub use arrivals::Arrivals;
pub use blame::{Blame, End, Fault, Part, Way};
pub use clumps::Clumps;
pub use estimate::{Estimate, Reported};
pub use health::{Fact, Health};
pub use loss::Loss;
pub use meter::{Carries, DailyPlan, Meter, MeterNews, Reading};
pub use pace::Pace;
pub use path::{LinkId, Path, PathStatus, Received};
pub use quiet::{Quiet, is_silent, look_again_at};
pub use rate::{Rate, Signs, Strain};
pub use round_trip::RoundTrip;
pub use silence::{Haste, Silence};
pub use tokens::Tokens;
