//! How far a client has read everything that it reads: what `id` of an event stands for.

use longrein_proto::wire::hub::Cursor;

use crate::http::api::refusal::bad_request;
use crate::http::api::words::Position;
use crate::http::problem::Problem;

/// Of each journal that is read, in the order in which they were asked for, the last message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Positions(pub(super) Vec<Option<Cursor>>);

impl Positions {
    /// Nothing has been read yet.
    pub(in crate::http) fn none(count: usize) -> Positions {
        Positions(vec![None; count])
    }

    /// What an `id` stands for.
    ///
    /// # Errors
    /// It is none, or one of a stream that read something else.
    pub(in crate::http) fn read(text: &str, count: usize) -> Result<Positions, Problem> {
        let wrong = || {
            bad_request("`Last-Event-ID` is none of a stream with the same `topics` and `mailbox`")
        };
        let position = |text: &str| match text {
            NONE => Some(None),
            text => text.parse::<Position>().ok().map(|read| Some(read.0)),
        };
        let read: Option<Vec<_>> = text.split('.').take(count + 1).map(position).collect();
        let read = read.filter(|read| read.len() == count).ok_or_else(wrong)?;
        Ok(Positions(read))
    }

    pub(super) fn set(&mut self, journal: usize, cursor: Cursor) {
        if let Some(position) = self.0.get_mut(journal) {
            *position = Some(cursor);
        }
    }

    pub(in crate::http) fn of(&self, journal: usize) -> Option<Cursor> {
        self.0.get(journal).copied().flatten()
    }

    pub(super) fn text(&self) -> String {
        let position = |position: &Option<Cursor>| match position {
            None => NONE.to_string(),
            Some(cursor) => Position(*cursor).to_string(),
        };
        let positions: Vec<String> = self.0.iter().map(position).collect();
        positions.join(".")
    }
}

const NONE: &str = "x";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_how_far_everything_is_read() {
        let mut positions = Positions::none(2);
        assert_eq!(positions.text(), "x.x");
        positions.set(
            1,
            Cursor {
                epoch: 31,
                number: 42,
            },
        );
        assert_eq!(positions.text(), "x.1f-2a");
        let read = Positions::read("x.1f-2a", 2).unwrap();
        assert_eq!(read, positions);
        assert_eq!(
            read.of(1),
            Some(Cursor {
                epoch: 31,
                number: 42
            })
        );
    }

    #[test]
    fn an_id_of_another_stream_is_refused() {
        for text in ["", "x", "x.x.x", "y.x", "1.x"] {
            assert!(Positions::read(text, 2).is_err(), "{text}");
        }
    }
}
