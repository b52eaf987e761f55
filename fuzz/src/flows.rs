//! The channels and flows of a vehicle in scripts.

use longrein_proto::base::{Channel, Class, Flow};

/// The typed function.
pub const DRIVE: Channel = channel(1);
/// The opaque function.
pub const TUNNEL: Channel = channel(2);
/// A session's beats.
pub const BEATS: Flow = Flow::new(Channel::SESSION, Class::Latest);
/// A session's requests and replies.
pub const REQUESTS: Flow = Flow::new(Channel::SESSION, Class::Reliable);

const fn channel(number: u8) -> Channel {
    match Channel::new(number) {
        Some(channel) => channel,
        None => Channel::SESSION,
    }
}
