//! What one end knows of one path: how good it is, and whether it still works.

mod arrivals;
mod estimate;
mod health;
mod loss;
mod minimum;
#[expect(
    clippy::module_inception,
    reason = "a file is named after its main type"
)]
mod path;
mod round_trip;

pub use arrivals::Arrivals;
pub use estimate::Estimate;
pub use health::{Fact, Health};
pub use loss::Loss;
pub use path::{LinkId, Path, PathStatus, Received};
pub use round_trip::RoundTrip;
