//! What the verbs of the hub have in common: nodes, owners, selectors, payloads and times as people write them.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use longrein_io::clock;
use longrein_io::exit::Exit;
use longrein_proto::base::{Class, Name, NameError, NodeKind, NodeName};

use super::failure::Failure;
use super::span::Span;
use crate::hub::{Label, Owner, RoomRole, Section, Selector};

/// A node: `KIND/NAME`, or `NAME` for a vehicle's agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeWord(pub NodeName);

impl FromStr for NodeWord {
    type Err = NameError;

    fn from_str(text: &str) -> Result<NodeWord, NameError> {
        if text.contains('/') {
            return text.parse().map(NodeWord);
        }
        Ok(NodeWord(NodeName::new(NodeKind::Agent, text.parse()?)))
    }
}

/// What has attributes: a node, or `room/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerWord(pub Owner);

impl FromStr for OwnerWord {
    type Err = NameError;

    fn from_str(text: &str) -> Result<OwnerWord, NameError> {
        Ok(OwnerWord(match text.strip_prefix("room/") {
            Some(room) => Owner::Room(room.parse()?),
            None => Owner::Node(text.parse::<NodeWord>()?.0),
        }))
    }
}

/// A part of a selector: `KIND/NAME`, `kind=KIND`, `group=GROUP`, `room=ROOM` or `label.KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorWord {
    /// One of these nodes.
    Node(NodeName),
    /// Nodes of a kind.
    Kind(NodeKind),
    /// Nodes of a group.
    Group(Name),
    /// Members of a room.
    Room(Name),
    /// Nodes with a label.
    Label(Label),
}

impl FromStr for SelectorWord {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<SelectorWord, SelectorError> {
        let parse = || {
            let Some((key, value)) = text.split_once('=') else {
                let node = text.parse::<NodeWord>().ok()?;
                return Some(SelectorWord::Node(node.0));
            };
            let label = |key: &str| {
                Some(Label {
                    key: key.parse().ok()?,
                    value: value.parse().ok()?,
                })
            };
            match key {
                "kind" => kind(value).map(SelectorWord::Kind),
                "group" => value.parse().ok().map(SelectorWord::Group),
                "room" => value.parse().ok().map(SelectorWord::Room),
                _ => label(key.strip_prefix("label.")?).map(SelectorWord::Label),
            }
        };
        parse().ok_or(SelectorError)
    }
}

/// A text that is no part of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a selector is a node (truck-17, controller/alice), kind=agent, group=yard, room=yard or label.site=north"
)]
pub struct SelectorError;

/// The selector of these parts; of kinds, groups and rooms the last one counts.
pub fn selector(words: &[SelectorWord]) -> Selector {
    let mut selector = Selector::default();
    for word in words.iter().cloned() {
        match word {
            SelectorWord::Node(node) => selector.nodes.push(node),
            SelectorWord::Kind(kind) => selector.kind = Some(kind),
            SelectorWord::Group(group) => selector.group = Some(group),
            SelectorWord::Room(room) => selector.room = Some(room),
            SelectorWord::Label(label) => selector.labels.push(label),
        }
    }
    selector
}

/// The kind of node of this name.
pub fn kind(text: &str) -> Option<NodeKind> {
    NodeKind::ALL.into_iter().find(|kind| kind.as_str() == text)
}

/// A kind of node, for the command line.
///
/// # Errors
/// What kinds there are.
pub fn parse_kind(text: &str) -> Result<NodeKind, String> {
    kind(text).ok_or_else(|| "a kind is agent, controller, service or relay".to_string())
}

/// `KEY=VALUE` of a label.
///
/// # Errors
/// How a label is written.
pub fn parse_label(text: &str) -> Result<Label, String> {
    match format!("label.{text}").parse() {
        Ok(SelectorWord::Label(label)) => Ok(label),
        _ => Err("a label is written KEY=VALUE, both names".to_string()),
    }
}

/// `KEY=VALUE` of an attribute.
///
/// # Errors
/// How it is written.
pub fn parse_item(text: &str) -> Result<(Name, String), String> {
    let item = text.split_once('=');
    let item = item.and_then(|(key, value)| Some((key.parse().ok()?, value.to_string())));
    item.ok_or_else(|| "an attribute is written KEY=VALUE, KEY a name".to_string())
}

/// Text, or the content of a file that is written `@FILE`.
///
/// # Errors
/// When the file cannot be read.
pub fn payload(text: &str) -> Result<Vec<u8>, Failure> {
    match text.strip_prefix('@') {
        Some(file) => std::fs::read(file)
            .map_err(|error| Failure::new(Exit::Usage, format!("@{file}: {error}"))),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// A span as a duration.
pub const fn duration(span: Span) -> Duration {
    Duration::from_secs(span.seconds())
}

/// A class of the hub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassWord {
    /// The newest of each sender counts
    Latest,
    /// On arrival, at most once
    Unordered,
    /// Kept as the room is set, in order
    Reliable,
}

impl From<ClassWord> for Class {
    fn from(word: ClassWord) -> Class {
        match word {
            ClassWord::Latest => Class::Latest,
            ClassWord::Unordered => Class::Unordered,
            ClassWord::Reliable => Class::Reliable,
        }
    }
}

/// A role in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleWord {
    /// Reads
    Observer,
    /// Reads and sends
    Driver,
    /// Also gives roles, removes members and closes the room
    Dispatcher,
}

impl From<RoleWord> for RoomRole {
    fn from(word: RoleWord) -> RoomRole {
        match word {
            RoleWord::Observer => RoomRole::Observer,
            RoleWord::Driver => RoomRole::Driver,
            RoleWord::Dispatcher => RoomRole::Dispatcher,
        }
    }
}

/// A document of a node or room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SectionWord {
    /// What others say of it
    Attributes,
    /// How a node shall be
    Desired,
    /// How a node is, by its own word
    Reported,
}

impl From<SectionWord> for Section {
    fn from(word: SectionWord) -> Section {
        match word {
            SectionWord::Attributes => Section::Attributes,
            SectionWord::Desired => Section::Desired,
            SectionWord::Reported => Section::Reported,
        }
    }
}

/// A time: so long ago (`10m`), or UTC (`2026-03-01T12:30:00Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeWord {
    /// So long ago.
    Ago(Span),
    /// Milliseconds since 1970.
    At(u64),
}

impl TimeWord {
    /// In milliseconds since 1970.
    pub fn unix_ms(self) -> u64 {
        match self {
            TimeWord::Ago(span) => clock::unix_ms().saturating_sub(span.seconds() * 1_000),
            TimeWord::At(at_ms) => at_ms,
        }
    }
}

impl FromStr for TimeWord {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<TimeWord, TimeError> {
        if let Ok(span) = text.parse() {
            return Ok(TimeWord::Ago(span));
        }
        utc(text).map(TimeWord::At).ok_or(TimeError)
    }
}

/// A text that is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is a span such as 10m, or UTC such as 2026-03-01T12:30:00Z")]
pub struct TimeError;

/// Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ`.
fn utc(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    // Years begin with March, so that the leap day is the last one.
    let from_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (from_march * 306 + 5) / 10 + day - 1;
    let since_1970 = days.checked_sub(DAYS_BEFORE_1970)?;
    let seconds = ((since_1970 * 24 + hour) * 60 + minute) * 60 + second;
    fits.then_some(seconds * 1_000)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = text
        .split(between)
        .map(|part| part.parse().ok().filter(|_| part.len() >= 2))
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_has_parts_that_all_count() {
        let words = [
            "truck-17",
            "controller/alice",
            "kind=agent",
            "group=yard",
            "room=talk",
            "label.site=north",
        ];
        let words: Vec<SelectorWord> = words.iter().map(|word| word.parse().unwrap()).collect();
        let selector = selector(&words);
        let nodes: Vec<String> = selector.nodes.iter().map(ToString::to_string).collect();
        assert_eq!(nodes, ["agent/truck-17", "controller/alice"]);
        assert_eq!(selector.kind, Some(NodeKind::Agent));
        assert_eq!(selector.labels[0], parse_label("site=north").unwrap());
        for wrong in [
            "",
            "kind=truck",
            "size=7",
            "label.=x",
            "label.a=",
            "x/y",
            "group=",
        ] {
            assert_eq!(wrong.parse::<SelectorWord>(), Err(SelectorError), "{wrong}");
        }
    }

    #[test]
    fn an_owner_is_a_node_or_a_room() {
        let owner = |text: &str| text.parse::<OwnerWord>().map(|word| word.0);
        let room = Owner::Room("yard".parse().unwrap());
        assert_eq!(owner("room/yard"), Ok(room));
        let truck = Owner::Node("agent/truck-17".parse().unwrap());
        assert_eq!(owner("truck-17"), Ok(truck));
        assert!(owner("room/").is_err());
    }

    #[test]
    fn a_time_is_a_span_or_utc() {
        let ms = |text: &str| match text.parse() {
            Ok(TimeWord::At(ms)) => Some(ms),
            _ => None,
        };
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696_000),
            ("2026-03-01T00:00:00Z", 1_772_323_200_000),
        ] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        assert!(matches!("10m".parse(), Ok(TimeWord::Ago(_))));
        for wrong in [
            "",
            "now",
            "2026-03-01",
            "2026-13-01T00:00:00Z",
            "2026-03-01T24:00:00Z",
        ] {
            assert!(wrong.parse::<TimeWord>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_payload_is_text_or_a_file() {
        assert_eq!(payload("on").unwrap(), b"on");
        let failure = payload("@/no/such/file").unwrap_err();
        assert!(failure.to_string().contains("@/no/such/file"));
        let item = ("a".parse().unwrap(), "b=c".to_string());
        assert_eq!(parse_item("a=b=c"), Ok(item));
        assert!(parse_item("a").is_err());
    }
}
