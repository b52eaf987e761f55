//! `If-Match` and `If-None-Match` of writes (RFC 9110 §13.1).

use axum::http::{HeaderMap, StatusCode, header};

use super::refusal::bad_request;
use crate::http::problem::Problem;

/// Which revision a document is to have when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    Any,
    Revision(u64),
}

impl Precondition {
    /// What the headers say.
    ///
    /// # Errors
    /// They say nothing, or what cannot be read.
    pub(super) fn of(headers: &HeaderMap) -> Result<Precondition, Problem> {
        let text = |name| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap_or("").trim())
        };
        match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
            (Some("*"), None) => Ok(Precondition::Any),
            (Some(tag), None) => {
                let revision = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                let digits =
                    revision.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
                let revision = digits.and_then(|digits| digits.parse().ok());
                let detail = "`If-Match` is an `ETag` of the document, or `*`";
                revision
                    .map(Precondition::Revision)
                    .ok_or_else(|| bad_request(detail))
            }
            (None, Some("*")) => Ok(Precondition::Revision(0)),
            (None, Some(_)) => Err(bad_request("`If-None-Match` of a write is `*`")),
            (Some(_), Some(_)) => Err(bad_request(
                "one of `If-Match` and `If-None-Match` is said, not both",
            )),
            (None, None) => Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "Which revision is it to have?",
                "say `If-Match` with the `ETag` that was read, `If-Match: *` for any, or `If-None-Match: *` for a new one",
            )),
        }
    }

    /// The revision that the document is to have.
    pub(super) const fn revision(self) -> Option<u64> {
        match self {
            Precondition::Any => None,
            Precondition::Revision(revision) => Some(revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Precondition, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let read = Precondition::of(&headers);
        read.map_err(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn a_write_says_which_revision_it_is_for() {
        assert_eq!(read("if-match", "\"7\""), Ok(Precondition::Revision(7)));
        assert_eq!(read("if-match", "*"), Ok(Precondition::Any));
        assert_eq!(read("if-none-match", "*"), Ok(Precondition::Revision(0)));
        assert_eq!(read("if-match", "7"), Err(400));
        assert_eq!(read("if-match", "W/\"7\""), Err(400));
        assert_eq!(read("if-none-match", "\"7\""), Err(400));
        assert_eq!(read("x", "y"), Err(428));
    }
}
