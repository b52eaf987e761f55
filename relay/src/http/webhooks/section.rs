//! `[[http.webhook]]` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::http::Uri;
use longrein_io::config::as_text;
use longrein_proto::base::{Name, NodeKind, NodeName};
use longrein_proto::wire::hub::{Label, Section, Selector};
use serde::{Deserialize, Serialize};

use crate::http::api::events::From;
use crate::http::client::expect_safe;

/// `[[http.webhook]]`: where what happens is posted to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSection {
    /// What the API calls it, metrics and logs.
    #[serde(with = "as_text")]
    pub name: Name,
    /// Where to: https, or http of this machine.
    pub url: String,
    /// The file of what signs, or the name of a credential of systemd.
    pub secret_file: PathBuf,
    /// The service in whose name it reads.
    #[serde(with = "as_text")]
    pub service: Name,
    /// What is posted.
    pub events: Vec<Event>,
    /// Of `topic`: which ones, each as `room/topic`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Of `members`: of which rooms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<String>,
    /// Of `document`: which parts.
    #[serde(default = "parts", skip_serializing_if = "is_all_parts")]
    pub parts: Vec<Part>,
    /// Of nodes: only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Of nodes: only those with this group in their certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Of nodes: only members of this room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_of: Option<String>,
    /// Of nodes: only those with these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where topics and the mailbox begin the first time.
    #[serde(default)]
    pub(in crate::http) from: From,
    /// How often an event is posted before it is dead.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// Requests at once.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// Messages to the service that are kept for it.
    Mailbox,
    /// Messages to the service that are not kept.
    Message,
    /// Messages of topics.
    Topic,
    /// Who joins and leaves rooms.
    Members,
    /// Who comes and goes.
    Presence,
    /// Changes of documents.
    Document,
    /// What vehicles report of the stage of their watchdog.
    Stage,
    /// What vehicles report of their stop.
    Stop,
    /// What vehicles report of their leases.
    Leases,
    /// What is to blame for a node's delay.
    Quality,
}

/// Which of a node's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What others say of it.
    Attributes,
    /// How it shall be.
    Desired,
    /// How it is.
    Reported,
}

impl WebhookSection {
    /// What serde cannot check, in one line.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let uri: Option<Uri> = self.url.parse().ok();
        if uri.is_none_or(|uri| expect_safe(&uri).is_err()) {
            return Err("`url` must be https, or http of this machine".to_string());
        }
        if self.events.is_empty() {
            return Err("`events` names no kind of event".to_string());
        }
        let topics = self.topics()?;
        let rooms = self.rooms()?;
        let of = self.selector()?;
        for (key, event, is_given) in [
            ("topics", Event::Topic, !topics.is_empty()),
            ("rooms", Event::Members, !rooms.is_empty()),
        ] {
            let word = format!("{event:?}").to_lowercase();
            match (self.has(event), is_given) {
                (true, false) => return Err(format!("`events` with \"{word}\" needs `{key}`")),
                (false, true) => return Err(format!("`{key}` needs \"{word}\" in `events`")),
                (true, true) | (false, false) => {}
            }
        }
        if topics.len() > PLACES_MAX || rooms.len() > PLACES_MAX || of.nodes.len() > NODES_MAX {
            return Err(format!(
                "at most {PLACES_MAX} `topics`, {PLACES_MAX} `rooms` and {NODES_MAX} `nodes`"
            ));
        }
        let goes_by_nodes = self.has(Event::Presence) || !self.sections().is_empty();
        if of != Selector::default() && !goes_by_nodes && !self.has(Event::Quality) {
            return Err(
                "`nodes`, `group`, `members_of` and `labels` need an event of nodes in `events`"
                    .to_string(),
            );
        }
        let has_more = of.group.is_some() || of.room.is_some() || !of.labels.is_empty();
        if self.has(Event::Quality) && has_more {
            return Err(
                "\"quality\" can be of `nodes` only, not of a `group`, room or label: \
                        give it a webhook of its own"
                    .to_string(),
            );
        }
        if !(1..=ATTEMPTS_MOST).contains(&self.attempts) {
            return Err(format!("`attempts` must be 1 to {ATTEMPTS_MOST}"));
        }
        if !(1..=CONCURRENCY_MOST).contains(&self.concurrency) {
            return Err(format!("`concurrency` must be 1 to {CONCURRENCY_MOST}"));
        }
        Ok(())
    }

    pub(super) fn has(&self, event: Event) -> bool {
        self.events.contains(&event)
    }

    /// In whose name it reads.
    pub(super) fn node(&self) -> NodeName {
        NodeName::new(NodeKind::Service, self.service.clone())
    }

    pub(super) fn topics(&self) -> Result<Vec<(Name, Name)>, String> {
        let topic = |text: &String| {
            let (room, topic) = text.split_once('/')?;
            Some((room.parse().ok()?, topic.parse().ok()?))
        };
        let topics = self.topics.iter().map(|text| {
            topic(text).ok_or_else(|| format!("`topics`: {text} is none, as `yard/talk` is one"))
        });
        topics.collect()
    }

    pub(super) fn rooms(&self) -> Result<Vec<Name>, String> {
        self.rooms.iter().map(|text| name("rooms", text)).collect()
    }

    /// Which nodes.
    pub(super) fn selector(&self) -> Result<Selector, String> {
        let nodes = self.nodes.iter().map(|text| {
            let node = text.parse();
            node.map_err(|_| format!("`nodes`: {text} is none, as `agent/truck-17` is one"))
        });
        let labels = self.labels.iter().map(|(key, value)| {
            let (key, value) = (name("labels", key)?, name("labels", value)?);
            Ok::<_, String>(Label { key, value })
        });
        let one =
            |key, text: &Option<String>| text.as_ref().map(|text| name(key, text)).transpose();
        Ok(Selector {
            nodes: nodes.collect::<Result<_, _>>()?,
            kind: None,
            group: one("group", &self.group)?,
            room: one("members_of", &self.members_of)?,
            labels: labels.collect::<Result<_, _>>()?,
        })
    }

    /// Whether changes of this document are posted as a whole.
    pub(super) fn has_part(&self, section: Section) -> bool {
        self.parts.iter().any(|part| part.section() == section)
    }

    /// The documents that are watched.
    pub(super) fn sections(&self) -> Vec<Section> {
        let reports = [Event::Stage, Event::Stop, Event::Leases];
        let mut sections = Vec::new();
        if self.has(Event::Document) {
            sections.extend(self.parts.iter().map(|part| part.section()));
        }
        if reports.into_iter().any(|event| self.has(event)) {
            sections.push(Section::Reported);
        }
        sections.sort();
        sections.dedup();
        sections
    }
}

impl Part {
    const fn section(self) -> Section {
        match self {
            Part::Attributes => Section::Attributes,
            Part::Desired => Section::Desired,
            Part::Reported => Section::Reported,
        }
    }
}

fn name(key: &str, text: &str) -> Result<Name, String> {
    let read = text.parse();
    read.map_err(|_| format!("`{key}`: {text} is no name (1 to 48 of a-z, 0-9, `.`, `_`, `-`)"))
}

fn parts() -> Vec<Part> {
    vec![Part::Attributes, Part::Desired, Part::Reported]
}

fn is_all_parts(own: &[Part]) -> bool {
    own == parts()
}

fn attempts() -> u32 {
    36
}

fn concurrency() -> usize {
    4
}

/// Webhooks of a relay: each keeps up to 2 MiB of events in memory.
pub(in crate::http) const WEBHOOKS_MOST: usize = 16;
/// Topics, or rooms: each is read by a client of its own at the hub.
const PLACES_MAX: usize = 16;
/// Nodes by name, as a selector has them.
const NODES_MAX: usize = 64;
/// With at most an hour between two of them, four days.
const ATTEMPTS_MOST: u32 = 100;
/// Each is a connection.
const CONCURRENCY_MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn section(more: &str) -> WebhookSection {
        let text = format!(
            "name = \"erp\"\nsecret_file = \"/x\"\nservice = \"erp\"\n{more}\n\
             [labels]\n"
        );
        toml::from_str(&text).unwrap()
    }

    fn error(more: &str) -> String {
        section(more).check().unwrap_err()
    }

    #[test]
    fn events_go_over_tls_or_to_this_machine() {
        let events = "events = [\"presence\"]";
        for url in ["http://erp.example/x", "ftp://erp.example", "erp"] {
            let error = error(&format!("url = \"{url}\"\n{events}"));
            assert_eq!(error, "`url` must be https, or http of this machine");
        }
        for url in ["https://erp.example/x", "http://127.0.0.1:8000/"] {
            let section = section(&format!("url = \"{url}\"\n{events}"));
            assert_eq!(section.check(), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_is_missing() {
        let url = "url = \"https://erp.example/\"";
        for (more, expected) in [
            ("events = []", "`events` names no kind of event"),
            (
                "events = [\"topic\"]",
                "`events` with \"topic\" needs `topics`",
            ),
            (
                "events = [\"stop\"]\nrooms = [\"yard\"]",
                "`rooms` needs \"members\" in `events`",
            ),
            (
                "events = [\"topic\"]\ntopics = [\"yard\"]",
                "`topics`: yard is none, as `yard/talk` is one",
            ),
            (
                "events = [\"mailbox\"]\ngroup = \"north\"",
                "`nodes`, `group`, `members_of` and `labels` need an event of nodes in `events`",
            ),
            (
                "events = [\"mailbox\"]\nattempts = 0",
                "`attempts` must be 1 to 100",
            ),
        ] {
            assert_eq!(error(&format!("{url}\n{more}")), expected);
        }
    }

    #[test]
    fn what_vehicles_report_is_read_from_one_document() {
        let section = section("url = \"https://x/\"\nevents = [\"stage\", \"stop\", \"leases\"]");
        assert_eq!(section.sections(), [Section::Reported]);
    }
}
