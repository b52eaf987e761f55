//! What a client wants to hear of.

use longrein_proto::base::Name;
use longrein_proto::wire::hub::{Owner, Section, Selector};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::position::Positions;
use crate::http::api::nodes::selector;
use crate::http::api::refusal::bad_request;
use crate::http::api::words::{Kind, Part, Word};
use crate::http::problem::Problem;

/// Where topics and the mailbox begin without `Last-Event-ID`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum From {
    /// With what comes next.
    #[default]
    Now,
    /// With the oldest message that is kept.
    Oldest,
}

/// What to stream.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Wishes {
    /// Topics, each as `room/topic`, with commas between: 16 at most.
    #[param(example = "yard/positions,yard/chat")]
    topics: Option<String>,
    /// Where topics and the mailbox begin without `Last-Event-ID`.
    #[param(inline)]
    from: Option<From>,
    /// Rooms whose joins and leaves are told, with commas between: 16 at most.
    #[param(example = "yard")]
    members: Option<String>,
    /// Whether messages are told that are sent to the service and not kept.
    messages: Option<bool>,
    /// Whether messages are told that are kept for the service. `POST /v1/mailbox/taken` says that they are done with.
    mailbox: Option<bool>,
    /// Whether it is told who comes and goes.
    presence: Option<bool>,
    /// Of presence: only nodes of this kind.
    #[param(inline)]
    kind: Option<Kind>,
    /// Of presence: only nodes with this group in their certificates.
    #[param(inline)]
    group: Option<Word>,
    /// Of presence: only members of this room.
    #[param(inline)]
    room: Option<Word>,
    /// Of presence: only nodes with these labels, as `key:value`, with commas between.
    #[param(
        example = "site:north",
        pattern = "^[a-z0-9][a-z0-9._-]{0,47}:[a-z0-9][a-z0-9._-]{0,47}(,[a-z0-9][a-z0-9._-]{0,47}:[a-z0-9][a-z0-9._-]{0,47}){0,15}$"
    )]
    labels: Option<String>,
    /// Documents whose changes are told, each as `kind/name/part`, with commas between: 16 at most.
    #[param(example = "agent/truck-17/reported")]
    documents: Option<String>,
}

/// What a client wants to hear of.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Wanted {
    /// Each once.
    pub(in crate::http) topics: Vec<(Name, Name)>,
    pub(in crate::http) members: Vec<Name>,
    pub(in crate::http) documents: Vec<(Owner, Section)>,
    pub(in crate::http) presence: Option<Selector>,
    pub(in crate::http) messages: bool,
    pub(in crate::http) from: From,
    /// Of the topics, and of the mailbox if it is read.
    pub(in crate::http) positions: Positions,
}

impl Wanted {
    /// What a request says.
    ///
    /// # Errors
    /// It says nothing, too much, or what cannot be read.
    pub(super) fn of(wishes: Wishes, last: Option<&str>) -> Result<Wanted, Problem> {
        let topic = |text: &str| {
            let (room, topic) = text.split_once('/')?;
            Some((room.parse().ok()?, topic.parse().ok()?))
        };
        let topics: Vec<(Name, Name)> = list(wishes.topics.as_deref(), topic).ok_or_else(|| {
            bad_request("`topics` is up to 16 of `room/topic` with commas between")
        })?;
        let members: Vec<Name> = list(wishes.members.as_deref(), |room| room.parse().ok())
            .ok_or_else(|| bad_request("`members` is up to 16 rooms with commas between"))?;
        let documents = list(wishes.documents.as_deref(), document).ok_or_else(|| {
            bad_request("`documents` is up to 16 of `kind/name/part` with commas between")
        })?;
        let presence = wishes.presence.unwrap_or(false);
        let selector = selector(wishes.kind, wishes.group, wishes.room, wishes.labels)?;
        if !presence && selector != Selector::default() {
            return Err(bad_request(
                "`kind`, `group`, `room` and `labels` go with `presence=true`",
            ));
        }
        let mailbox = wishes.mailbox.unwrap_or(false);
        let messages = wishes.messages.unwrap_or(false);
        let count = topics.len() + usize::from(mailbox);
        let is_nothing = count == 0 && members.is_empty() && documents.is_empty();
        if is_nothing && !presence && !messages {
            return Err(bad_request(
                "one of `topics`, `members`, `messages`, `mailbox`, `documents` and `presence` is needed",
            ));
        }
        let positions = match last {
            Some(last) if count > 0 => Positions::read(last, count)?,
            _ => Positions::none(count),
        };
        Ok(Wanted {
            topics,
            members,
            documents,
            presence: presence.then_some(selector),
            messages,
            from: wishes.from.unwrap_or_default(),
            positions,
        })
    }

    /// The rooms of which the service has to be a member, each once.
    pub(super) fn rooms(&self) -> Vec<Name> {
        let of_topics = self.topics.iter().map(|(room, _)| room);
        let mut rooms: Vec<Name> = of_topics.chain(&self.members).cloned().collect();
        rooms.sort();
        rooms.dedup();
        rooms
    }
}

fn document(text: &str) -> Option<(Owner, Section)> {
    let (node, part) = text.rsplit_once('/')?;
    let part: Part = serde_json::from_value(part.into()).ok()?;
    Some((Owner::Node(node.parse().ok()?), part.into()))
}

/// What a text lists with commas between, each once; none when it is no such list.
fn list<T: PartialEq>(text: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut items = Vec::new();
    for text in text.into_iter().flat_map(|text| text.split(',')) {
        let item = read(text)?;
        if !items.contains(&item) {
            items.push(item);
        }
        if items.len() > LIST_MAX {
            return None;
        }
    }
    Some(items)
}

/// Topics, rooms or documents of one stream.
const LIST_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(topics: &str) -> Wishes {
        Wishes {
            topics: Some(topics.to_string()),
            ..Wishes::default()
        }
    }

    #[test]
    fn a_stream_reads_each_topic_once_from_where_it_was_left() {
        let wanted = Wanted::of(wishes("yard/a,yard/b,yard/a"), Some("1-2.x")).unwrap();
        assert_eq!(wanted.topics.len(), 2);
        assert_eq!(wanted.rooms(), ["yard".parse().unwrap()]);
        assert_eq!(wanted.positions.text(), "1-2.x");
        assert!(Wanted::of(wishes("yard/a"), Some("1-2.x")).is_err());
    }

    #[test]
    fn a_stream_of_nothing_or_of_too_much_is_refused() {
        assert!(Wanted::of(Wishes::default(), None).is_err());
        let many: Vec<String> = (0..17).map(|number| format!("yard/t{number}")).collect();
        assert!(Wanted::of(wishes(&many.join(",")), None).is_err());
        assert!(Wanted::of(wishes("yard"), None).is_err());
    }
}
