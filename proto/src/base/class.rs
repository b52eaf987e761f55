//! Classes of messages, and flows.

/// A flow's promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Newest wins; older or expired messages are dropped everywhere, also in queues.
    Latest = 0,
    /// At most once, on arrival, within the time to live.
    Unordered = 1,
    /// Exactly once, in order, retried until receipt or deadline.
    Reliable = 2,
    /// As reliable, before everything, on all paths, from a reserved budget.
    Stop = 3,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Class; 4] = [
        Class::Latest,
        Class::Unordered,
        Class::Reliable,
        Class::Stop,
    ];

    /// Whether a leg acknowledges it: all but `latest`, where a newer one is better than a retry.
    pub const fn is_tracked(self) -> bool {
        !matches!(self, Class::Latest)
    }
}

/// One direction-less stream of a session: 0 is the session's own, 1 to 62 are the agent's functions in the order of its
/// description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(u8);

impl Channel {
    /// The session's own channel: requests, replies, beats.
    pub const SESSION: Channel = Channel(0);
    /// The highest channel number.
    pub const MAX: u8 = 62;

    /// The channel with this number, if it is one.
    pub const fn new(number: u8) -> Option<Channel> {
        if number <= Self::MAX {
            Some(Channel(number))
        } else {
            None
        }
    }

    /// The channel's number, 0 to [`Channel::MAX`].
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A channel and a class: the unit that has its own numbers and replay window in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The channel.
    pub channel: Channel,
    /// The promise.
    pub class: Class,
}

impl Flow {
    /// The flow of a channel with a class.
    pub const fn new(channel: Channel, class: Class) -> Flow {
        Flow { channel, class }
    }

    /// One byte: channel in the high six bits, class in the low two.
    pub const fn to_byte(self) -> u8 {
        (self.channel.0 << 2) | self.class as u8
    }

    /// The flow that [`Flow::to_byte`] gave this byte; channel 63 is no channel.
    pub const fn from_byte(byte: u8) -> Option<Flow> {
        let class = match byte & 3 {
            0 => Class::Latest,
            1 => Class::Unordered,
            2 => Class::Reliable,
            _ => Class::Stop,
        };
        match Channel::new(byte >> 2) {
            Some(channel) => Some(Flow { channel, class }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_survives_its_byte_and_channel_63_is_refused() {
        for byte in 0..=u8::MAX {
            match Flow::from_byte(byte) {
                Some(flow) => assert_eq!(flow.to_byte(), byte),
                None => assert_eq!(byte >> 2, 63),
            }
        }
    }
}
