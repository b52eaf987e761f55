//! Whether a path works.

use std::fmt;

/// Whether a path works, as far as its silence tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Nothing has arrived yet.
    Unknown,
    /// Something arrived a moment ago.
    Live,
    /// Some heartbeats are missing. It still gets copies: at 80 % loss this is normal.
    Suspect,
    /// Silent for so long that copies on it are wasted while there is another path. Its heartbeats go on.
    Down,
}

/// What happens to a path's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// A packet arrived.
    Heard,
    /// None for [`SUSPECT_AFTER`](crate::base::limits::SUSPECT_AFTER).
    Quiet,
    /// None for [`DOWN_AFTER`](crate::base::limits::DOWN_AFTER).
    Silent,
}

impl Health {
    /// The health after a fact.
    #[must_use]
    pub const fn next(self, fact: Fact) -> Health {
        match (self, fact) {
            (Health::Unknown | Health::Live | Health::Suspect | Health::Down, Fact::Heard) => {
                Health::Live
            }
            (Health::Unknown, Fact::Quiet) => Health::Unknown,
            (Health::Live | Health::Suspect, Fact::Quiet) => Health::Suspect,
            (Health::Down, Fact::Quiet)
            | (Health::Unknown | Health::Live | Health::Suspect | Health::Down, Fact::Silent) => {
                Health::Down
            }
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Unknown => "unknown",
            Health::Live => "live",
            Health::Suspect => "suspect",
            Health::Down => "down",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_packet_revives_a_path_and_silence_only_worsens_it() {
        for health in [Health::Unknown, Health::Live, Health::Suspect, Health::Down] {
            assert_eq!(health.next(Fact::Heard), Health::Live);
            assert!(health.next(Fact::Quiet) >= health);
            assert_eq!(health.next(Fact::Silent), Health::Down);
        }
        assert_eq!(Health::Unknown.next(Fact::Quiet), Health::Unknown);
    }
}
