//! What stands on the wire: packets of a leg, chunks in them, parcels in those, and what is sealed inside.
//!
//! `docs/wire.md` is the norm; each type here carries its picture, whose example bytes are a test. What can be read is
//! written as the same bytes, and everything else is refused. [WIRE-37]

mod beat;
mod chunk;
mod command;
mod content;
mod description;
mod enrolment;
mod flow_report;
pub mod hub;
mod news;
mod notice;
mod packet;
mod papers;
mod parcel;
pub(crate) mod reader;
mod reply;
mod request;
mod revocations;
mod session_message;
mod signed;
mod telemetry;
mod word;
pub(crate) mod writer;

#[cfg(test)]
mod overhead;
#[cfg(test)]
mod property;
#[cfg(test)]
mod strategy;
#[cfg(test)]
mod vector;

pub use beat::{AgentBeat, ClockEcho, ControllerBeat, FunctionReport, LegTimes, Renewal};
pub use chunk::{Chunk, FEATURE_HUB, FEATURE_SEEN, FEATURE_VISIT, Trail};
pub use command::{Body, Command, Drive};
pub use content::{Content, FragmentOf};
pub use description::{Description, FunctionDescription, FunctionKind};
pub use enrolment::{EnrolRefusal, Enrolment};
pub use flow_report::{FlowCounts, FlowReport, Outcome};
pub use news::{News, OfferEnd, Removal};
pub use notice::{Notice, RouteRefusal};
pub use packet::{AckState, Packet, PathReport};
pub use papers::Papers;
pub use parcel::{Parcel, ParcelHead, SealedHeader};
pub use reader::{DecodeError, Reader};
pub use reply::{Granted, Reply};
pub use request::Request;
pub use revocations::{RevocationPart, RevocationWords, Revoked};
pub use session_message::{DictionaryTag, SessionMessage};
pub use signed::{Signed, Statement};
pub use telemetry::{Telemetry, VehicleState};
pub use writer::Writer;
