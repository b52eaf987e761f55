//! What a node may do at a vehicle.

use std::fmt;

/// One thing that a node may do at a vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Right {
    /// Hear a function's telemetry and state.
    Observe = 0x01,
    /// Take the lease of a function and command it.
    Command = 0x02,
    /// Say emergency stop.
    Stop = 0x04,
    /// Reset an emergency stop.
    Reset = 0x08,
    /// Take a function from whoever holds its lease, with a reason.
    Supervise = 0x10,
}

impl Right {
    /// All of them.
    pub const ALL: [Right; 5] = [
        Right::Observe,
        Right::Command,
        Right::Stop,
        Right::Reset,
        Right::Supervise,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Observe => "observe",
            Right::Command => "command",
            Right::Stop => "stop",
            Right::Reset => "reset",
            Right::Supervise => "supervise",
        }
    }
}

/// Some of the rights, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// None.
    pub const NONE: Rights = Rights(0);
    /// All.
    pub const ALL: Rights = Rights(0x1f);

    /// The set that these bits are, one for each [`Right`]; none when another bit is set.
    pub fn from_bits(bits: u8) -> Option<Rights> {
        (bits & !Rights::ALL.0 == 0).then_some(Rights(bits))
    }

    /// One bit for each right.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether the right is among them.
    pub fn has(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }

    /// Those that are for a function; stop and reset are for the whole vehicle.
    #[must_use]
    pub fn only_function(self) -> Rights {
        Rights(self.0 & !(Right::Stop as u8 | Right::Reset as u8))
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Rights {
        Rights(rights.into_iter().fold(0, |bits, right| bits | right as u8))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = Right::ALL
            .into_iter()
            .filter(|right| self.has(*right))
            .map(Right::as_str)
            .collect();
        f.write_str(
            if words.is_empty() {
                "nothing".to_string()
            } else {
                words.join(", ")
            }
            .as_str(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_rights_has_what_was_put_in() {
        let both: Rights = [Right::Stop, Right::Observe].into_iter().collect();
        assert!(both.has(Right::Stop) && both.has(Right::Observe));
        assert!(!both.has(Right::Command));
        assert_eq!(both.to_string(), "observe, stop");
        assert_eq!(Rights::NONE.to_string(), "nothing");
        assert_eq!(Rights::from_bits(both.bits()), Some(both));
        assert_eq!(Rights::from_bits(0x20), None);
        assert_eq!(Right::ALL.into_iter().collect::<Rights>(), Rights::ALL);
    }
}
