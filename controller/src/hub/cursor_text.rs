//! Cursors as people and files keep them.

use std::fmt;
use std::str::FromStr;

use longrein_proto::wire::hub::Cursor;

/// A cursor as text: `EPOCH:NUMBER`.
///
/// ```
/// use longrein::hub::{Cursor, CursorText};
///
/// let cursor = Cursor { epoch: 7, number: 1234 };
/// assert_eq!(CursorText(cursor).to_string(), "7:1234");
/// assert_eq!("7:1234".parse(), Ok(CursorText(cursor)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorText(pub Cursor);

impl fmt::Display for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.epoch, self.0.number)
    }
}

impl FromStr for CursorText {
    type Err = CursorTextError;

    fn from_str(text: &str) -> Result<CursorText, CursorTextError> {
        let parse = || {
            let (epoch, number) = text.split_once(':')?;
            let (epoch, number) = (epoch.parse().ok()?, number.parse().ok()?);
            Some(CursorText(Cursor { epoch, number }))
        };
        parse().ok_or(CursorTextError)
    }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is written EPOCH:NUMBER, for example 7:1234")]
pub struct CursorTextError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_cursor_is_refused() {
        for wrong in ["", "7", "7:", ":7", "7:x", "-1:2", "7:1:2"] {
            assert_eq!(wrong.parse::<CursorText>(), Err(CursorTextError), "{wrong}");
        }
    }
}
