//! Why somebody does something, in their own words.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// 1 to 100 bytes of text in one line, for people and records. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Arc<str>);

/// A text that is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a reason has 1 to {} bytes and no control characters",
    Reason::BYTES_MAX
)]
pub struct ReasonError;

impl Reason {
    /// Most bytes of a reason.
    pub const BYTES_MAX: usize = 100;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Reason, ReasonError> {
        let fits = !text.is_empty() && text.len() <= Self::BYTES_MAX;
        if fits && !text.chars().any(char::is_control) {
            Ok(Reason(text.into()))
        } else {
            Err(ReasonError)
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert!("Störung am Kran".parse::<Reason>().is_ok());
        let long = "x".repeat(Reason::BYTES_MAX);
        assert!(long.parse::<Reason>().is_ok());
        for wrong in ["", "two\nlines", "\u{1b}[2J", &(long + "x")] {
            assert_eq!(wrong.parse::<Reason>(), Err(ReasonError), "{wrong:?}");
        }
    }
}
