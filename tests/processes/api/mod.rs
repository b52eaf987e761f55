//! The HTTP API of the hub, as business back ends use it, with real nodes at the other end.

mod described;
mod documents;
mod events;
mod examples;
mod keys;
mod locks;
mod messages;
mod rooms;
mod safety;
mod scene;

pub use self::scene::Scene;
