//! What nodes and the hub say to each other.
//!
//! A message is CBOR (RFC 8949); in frames it is cut so that each piece fits a parcel. Fields and kinds have numbers that are never
//! used again for something else: who is older skips fields that it does not know, and refuses kinds that it does not know.

mod answer;
mod ask;
mod attribute;
mod codec;
mod frame;
mod place;
mod post;
mod presence;
mod refusal;
mod room;
mod selector;
mod tell;

#[cfg(test)]
mod tests;

pub use answer::{Answer, HistoryEntry, LockInfo, TopicLine};
pub use ask::{Ask, Direct, LockClaim, Publish, Request, TopicFrom};
pub use attribute::{Change, Document, Item, Owner, Section};
pub use codec::{Bytes, decode, encode};
pub(crate) use frame::HUB;
pub use frame::{Frame, Line};
pub use place::{Cursor, HistoryFrom, Journal, MessageId, Start};
pub use post::{Directed, LineMessage, Post, Want};
pub use presence::{LinkPresence, NodePresence, PresenceReason};
pub use refusal::HubRefusal;
pub use room::{
    LeaveReason, Member, MemberChange, MemberChanges, Retention, RoomInfo, RoomRole, RoomSettings,
};
pub use selector::{Label, Selector, Targets};
pub use tell::{TargetOutcome, TargetResult, Tell};
