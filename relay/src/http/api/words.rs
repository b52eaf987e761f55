//! Names, identifiers and choices as they stand in JSON and in paths.

use std::fmt;
use std::str::FromStr;

use longrein_proto::base::{Class, Name, NodeKind, NodeName};
use longrein_proto::wire::hub::{Cursor, MessageId, PresenceReason, RoomRole, Section, Want};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A text that is read into something, and shown as it.
macro_rules! text {
    ($(#[$meta:meta])* $name:ident, $inner:ty, $expected:literal) => {
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
        $(#[$meta])*
        #[serde(try_from = "String", into = "String")]
        pub(super) struct $name(pub(super) $inner);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<$name, String> {
                let read = text.parse().map($name);
                read.map_err(|_| format!(concat!("`{}` is no ", $expected), text))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0.to_string()
            }
        }
    };
}

text!(
    /// A name: 1 to 48 characters of `a-z`, `0-9`, `.`, `_`, `-`; the first one a letter or digit.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,47}$", examples("yard"))]
    Word,
    Name,
    "name: 1 to 48 of a-z, 0-9, `.`, `_`, `-`"
);

text!(
    /// A node: its kind, `/` and its name.
    #[schema(
        value_type = String,
        pattern = "^(agent|controller|service|relay|authority|newcomer)/[a-z0-9][a-z0-9._-]{0,47}$",
        examples("agent/truck-17")
    )]
    Node,
    NodeName,
    "node, as `agent/truck-17` is one"
);

text!(
    /// A message's identifier: 32 hexadecimal digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$", examples("00112233445566778899aabbccddeeff"))]
    Id,
    Hex,
    "identifier of a message: 32 hexadecimal digits"
);

text!(
    /// A place in a journal, opaque: whoever stores it goes on behind it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{1,16}-[0-9a-f]{1,16}$", examples("1f-2a"))]
    Place,
    Position,
    "cursor of this API"
);

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The daemon on a vehicle.
    Agent,
    /// An operator's program.
    Controller,
    /// A business back end.
    Service,
    /// A relay.
    Relay,
    /// The fleet's authority.
    Authority,
    /// Whoever is about to become one of the others.
    Newcomer,
}

/// What a message's class promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Promise {
    /// The newest of its sender counts; older ones give way.
    Latest,
    /// Once, in any order, or never.
    Unordered,
    /// Kept, in order, and sent again until it arrives or is over.
    #[default]
    Reliable,
}

/// How much the sender wants to hear of a message's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wish {
    /// Nothing beyond that the hub has it.
    #[default]
    Nothing,
    /// Whether each target's program has it.
    Delivered,
    /// What each target's application says that it did.
    Applied,
}

/// What a member does in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Reads.
    Observer,
    /// Reads and sends.
    Driver,
    /// Reads, sends, gives roles, removes members, closes the room.
    Dispatcher,
}

/// Which of an owner's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    /// What others say of it.
    Attributes,
    /// How a node shall be.
    Desired,
    /// How a node is, written by itself alone.
    Reported,
}

/// Why a node or a link is here or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reason {
    /// It came.
    Came,
    /// It was silent, and is heard again.
    Returned,
    /// It ended, and said so.
    Ended,
    /// It is silent for longer than losses explain.
    Silent,
    /// It came and went so often that it counts as away until it stays.
    Flapping,
    /// It is not known.
    Unknown,
}

/// Sixteen bytes in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hex(pub(super) MessageId);

/// A cursor in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) Cursor);

/// A text that is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread;

impl FromStr for Hex {
    type Err = Unread;

    fn from_str(text: &str) -> Result<Hex, Unread> {
        let is_lower = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if text.len() != 32 || !text.bytes().all(is_lower) {
            return Err(Unread);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| Unread)?;
        Ok(Hex(MessageId(number.to_be_bytes())))
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0.0))
    }
}

impl FromStr for Position {
    type Err = Unread;

    fn from_str(text: &str) -> Result<Position, Unread> {
        let number = |digits: &str| {
            let is_lower = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            let is_number = (1..=16).contains(&digits.len()) && digits.bytes().all(is_lower);
            is_number
                .then(|| u64::from_str_radix(digits, 16).ok())
                .flatten()
        };
        let (epoch, place) = text.split_once('-').ok_or(Unread)?;
        Ok(Position(Cursor {
            epoch: number(epoch).ok_or(Unread)?,
            number: number(place).ok_or(Unread)?,
        }))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.0.epoch, self.0.number)
    }
}

impl Id {
    pub(super) const fn of(id: MessageId) -> Id {
        Id(Hex(id))
    }

    pub(super) const fn message(&self) -> MessageId {
        self.0.0
    }
}

impl Place {
    pub(super) const fn of(cursor: Cursor) -> Place {
        Place(Position(cursor))
    }

    pub(super) const fn cursor(&self) -> Cursor {
        self.0.0
    }
}

/// Two lists of the same choices, one for JSON and one of the hub's.
macro_rules! same {
    ($own:ident, $hub:ty, $($choice:ident),+) => {
        impl From<$own> for $hub {
            fn from(own: $own) -> $hub {
                match own {
                    $($own::$choice => <$hub>::$choice,)+
                }
            }
        }

        impl From<$hub> for $own {
            fn from(hub: $hub) -> $own {
                match hub {
                    $(<$hub>::$choice => $own::$choice,)+
                }
            }
        }
    };
}

same!(
    Kind, NodeKind, Agent, Controller, Service, Relay, Authority, Newcomer
);
same!(Wish, Want, Nothing, Delivered, Applied);
same!(Role, RoomRole, Observer, Driver, Dispatcher);
same!(Part, Section, Attributes, Desired, Reported);
same!(
    Reason,
    PresenceReason,
    Came,
    Returned,
    Ended,
    Silent,
    Flapping,
    Unknown
);

impl From<Promise> for Class {
    fn from(promise: Promise) -> Class {
        match promise {
            Promise::Latest => Class::Latest,
            Promise::Unordered => Class::Unordered,
            Promise::Reliable => Class::Reliable,
        }
    }
}

impl From<Class> for Promise {
    fn from(class: Class) -> Promise {
        match class {
            Class::Latest => Promise::Latest,
            Class::Unordered => Promise::Unordered,
            // The hub has no stops.
            Class::Reliable | Class::Stop => Promise::Reliable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back_and_nothing_else_is_read() {
        let id = Id::of(MessageId([7; 16]));
        assert_eq!(Id::try_from(String::from(id.clone())), Ok(id));
        let place = Place::of(Cursor {
            epoch: u64::MAX,
            number: 3,
        });
        assert_eq!(String::from(place.clone()), "ffffffffffffffff-3");
        assert_eq!(Place::try_from(String::from(place.clone())), Ok(place));
        for text in [
            "",
            "1",
            "1-",
            "-1",
            "+1-1",
            "1-11111111111111111",
            "1-G",
            "1-F",
        ] {
            assert!(Place::try_from(text.to_string()).is_err(), "{text}");
        }
        for text in [
            "",
            "00",
            "0011223344556677889900AABBCCDDEEFF",
            "+0112233445566778899aabbccddeeff",
        ] {
            assert!(Id::try_from(text.to_string()).is_err(), "{text}");
        }
        assert!(Node::try_from("plane/x".to_string()).is_err());
        assert!(Word::try_from("Yard".to_string()).is_err());
    }
}
