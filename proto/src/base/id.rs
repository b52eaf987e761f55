//! Numbers that name things.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// A session between a controller and an agent; random, chosen by the controller.
    SessionId(u32)
}
number! {
    /// A path (one link to one relay) within one process; never reused by it.
    PathId(u32)
}
number! {
    /// The growing number of a lease: a command with an older one is refused.
    FencingToken(u64)
}

number! {
    /// The offer of a lease, at one agent.
    OfferId(u32)
}

/// Names one reliable command across restarts of the agent; random, chosen by the application. An agent remembers the last 1,024:
/// by chance one of 2^54 commands has the id of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationId(pub [u8; 8]);

/// Names one emergency stop; random, chosen by its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StopId(pub [u8; 16]);
