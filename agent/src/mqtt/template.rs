//! Templates of MQTT topics: `devices/{device}/state` names a part of a topic.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A topic with named levels, and with `+` and `#` where it is a filter.
///
/// `{device}` stands for one whole level, and its text is what the level says. `+` stands for one level of no interest, `#` for all
/// levels to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Plain(String),
    Named(String),
    Any,
    Rest,
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Empty, or longer than a topic may be.
    #[error("a topic has 1 to {TOPIC_BYTES_MAX} bytes")]
    Length,
    /// A brace or wildcard within a level.
    #[error(
        "`{{name}}` and `+` stand for a whole level, and `#` for the last ones: `devices/{{device}}/#`"
    )]
    Level,
    /// A name twice.
    #[error("a name stands in a topic once")]
    Twice,
}

impl Template {
    /// The template that this text is.
    ///
    /// # Errors
    /// When a level is none.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX || text.contains('\0') {
            return Err(TemplateError::Length);
        }
        let last = text.split('/').count() - 1;
        let mut levels = Vec::with_capacity(last + 1);
        for (index, level) in text.split('/').enumerate() {
            let level = match level {
                "+" => Level::Any,
                "#" if index == last => Level::Rest,
                _ => match level.strip_prefix('{').and_then(|l| l.strip_suffix('}')) {
                    Some(name) if is_plain(name) && !name.is_empty() => {
                        Level::Named(name.to_string())
                    }
                    None if is_plain(level) => Level::Plain(level.to_string()),
                    Some(_) | None => return Err(TemplateError::Level),
                },
            };
            if matches!(level, Level::Named(_)) && levels.contains(&level) {
                return Err(TemplateError::Twice);
            }
            levels.push(level);
        }
        let text = text.to_string();
        Ok(Template { text, levels })
    }

    /// What a client subscribes to.
    pub fn filter(&self) -> String {
        let level = |level: &Level| match level {
            Level::Plain(text) => text.clone(),
            Level::Named(_) | Level::Any => "+".to_string(),
            Level::Rest => "#".to_string(),
        };
        self.levels.iter().map(level).collect::<Vec<_>>().join("/")
    }

    /// The topic with each name replaced; none when a name is not given, a text is no level, or there are wildcards.
    pub fn fill(&self, given: &[(&str, &str)]) -> Option<String> {
        let mut topic = String::with_capacity(self.text.len());
        for (index, level) in self.levels.iter().enumerate() {
            if index > 0 {
                topic.push('/');
            }
            match level {
                Level::Plain(text) => topic.push_str(text),
                Level::Named(name) => {
                    let (_, text) = given.iter().find(|(known, _)| known == name)?;
                    topic.push_str(Some(text).filter(|text| is_device(text))?);
                }
                Level::Any | Level::Rest => return None,
            }
        }
        (topic.len() <= TOPIC_BYTES_MAX).then_some(topic)
    }

    /// What the levels of these names say in a topic; none when it is another topic.
    pub fn capture<'a, const N: usize>(
        &self,
        topic: &'a str,
        names: [&str; N],
    ) -> Option<[&'a str; N]> {
        let mut captured = [""; N];
        let mut parts = topic.split('/');
        for level in &self.levels {
            if *level == Level::Rest {
                return Some(captured);
            }
            let part = parts.next()?;
            match level {
                Level::Plain(text) if text == part => {}
                Level::Plain(_) => return None,
                Level::Named(name) => {
                    let place = names.iter().position(|known| known == name);
                    if let Some(slot) = place.and_then(|place| captured.get_mut(place)) {
                        *slot = part;
                    }
                }
                Level::Any | Level::Rest => {}
            }
        }
        parts.next().is_none().then_some(captured)
    }

    /// Whether a topic is one of those that it stands for.
    pub fn covers(&self, topic: &str) -> bool {
        self.capture(topic, []).is_some()
    }

    /// The names in it, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().filter_map(|level| match level {
            Level::Named(name) => Some(name.as_str()),
            Level::Plain(_) | Level::Any | Level::Rest => None,
        })
    }

    /// Whether it stands for single topics once its names are filled in.
    pub fn is_concrete(&self) -> bool {
        !self
            .levels
            .iter()
            .any(|level| matches!(level, Level::Any | Level::Rest))
    }
}

/// Whether a text can be one level of a topic: nothing that is filled in can lead a message elsewhere.
pub fn is_device(text: &str) -> bool {
    (1..=DEVICE_BYTES_MAX).contains(&text.len()) && is_plain(text) && !text.starts_with('$')
}

fn is_plain(text: &str) -> bool {
    !text
        .chars()
        .any(|c| matches!(c, '/' | '+' | '#' | '{' | '}') || c.is_control())
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
        let text = String::deserialize(deserializer)?;
        Template::parse(&text)
            .map_err(|error| serde::de::Error::custom(format!("{text:?} is no topic: {error}")))
    }
}

/// Bytes of a topic: far below what MQTT takes (65,535), and more than topics need.
const TOPIC_BYTES_MAX: usize = 512;
/// Bytes of a device's name.
const DEVICE_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn names_are_found_in_topics_and_filled_into_templates() {
        let state = template("devices/{device}/state");
        assert_eq!(state.filter(), "devices/+/state");
        assert_eq!(
            state.capture("devices/valve-3/state", ["device"]),
            Some(["valve-3"])
        );
        for other in [
            "devices/valve-3",
            "devices/valve-3/state/x",
            "x/valve-3/state",
            "",
        ] {
            assert_eq!(state.capture(other, ["device"]), None, "{other}");
        }
        assert_eq!(
            state.fill(&[("device", "Valve 3")]),
            Some("devices/Valve 3/state".to_string())
        );
    }

    #[test]
    fn nothing_that_is_filled_in_leads_elsewhere() {
        let command = template("devices/{device}/cmd");
        for wrong in ["", "a/b", "+", "#", "a\0", "a\nb", "$SYS", "{device}"] {
            assert_eq!(command.fill(&[("device", wrong)]), None, "{wrong:?}");
        }
        assert_eq!(command.fill(&[("device", &"x".repeat(129))]), None);
        assert_eq!(command.fill(&[("vehicle", "x")]), None);
        assert_eq!(template("a/+/{device}").fill(&[("device", "x")]), None);
    }

    #[test]
    fn wildcards_stand_for_levels_of_no_interest() {
        let events = template("+/{device}/events/#");
        assert_eq!(events.filter(), "+/+/events/#");
        for topic in [
            "yard/pump/events",
            "yard/pump/events/a",
            "yard/pump/events/a/b",
        ] {
            assert_eq!(events.capture(topic, ["device"]), Some(["pump"]), "{topic}");
        }
        assert!(!events.is_concrete());
        assert!(template("a/{b}").is_concrete());
    }

    #[test]
    fn several_names_are_told_apart() {
        let topic = template("site/{vehicle}/{function}/set");
        assert_eq!(
            topic.capture("site/truck-17/arm/set", ["function", "vehicle"]),
            Some(["arm", "truck-17"])
        );
        assert_eq!(topic.names().collect::<Vec<_>>(), ["vehicle", "function"]);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, why) in [
            ("", TemplateError::Length),
            ("a/x{device}", TemplateError::Level),
            ("a/{device", TemplateError::Level),
            ("a/{}", TemplateError::Level),
            ("a/#/b", TemplateError::Level),
            ("a/b+", TemplateError::Level),
            ("{device}/{device}", TemplateError::Twice),
        ] {
            assert_eq!(Template::parse(text), Err(why), "{text}");
        }
    }
}
