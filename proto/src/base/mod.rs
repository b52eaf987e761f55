//! Time, names, classes, limits: words that every layer uses.

mod class;
mod entropy;
mod histogram;
mod id;
pub mod limits;
mod name;
mod reason;
mod refusal;
mod rights;
mod stage;
mod time;

pub use class::{Channel, Class, Flow};
pub use entropy::Entropy;
pub use histogram::Histogram;
pub use id::{ApplicationId, FencingToken, OfferId, PathId, SessionId, StopId};
pub use name::{Name, NameError, NodeKind, NodeName};
pub use reason::{Reason, ReasonError};
pub use refusal::Refusal;
pub use rights::{Right, Rights};
pub use stage::Stage;
pub use time::{ClockSample, MonoTime};
