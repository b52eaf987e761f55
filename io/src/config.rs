//! Configuration: a TOML file, overridden by the environment, overridden by flags.

use crate::exit::Exit;
use crate::files::FileError;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The environment variables that all programs know.
pub const COMMON_VARIABLES: [Variable; 2] = [
    Variable::text("LONGREIN_IDENTITY_DIRECTORY", "identity.directory"),
    Variable::text("LONGREIN_LOG_LEVEL", "log.level"),
];

/// An environment variable that stands for one key. Others that begin with `LONGREIN_` belong to other programs and mean
/// nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    name: &'static str,
    key: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
}

impl Variable {
    /// A variable for a text; `key` is dotted: `log.level`.
    pub const fn text(name: &'static str, key: &'static str) -> Variable {
        let kind = Kind::Text;
        Variable { name, key, kind }
    }

    /// A variable for a whole number.
    pub const fn number(name: &'static str, key: &'static str) -> Variable {
        let kind = Kind::Number;
        Variable { name, key, kind }
    }

    fn value(&self, text: &str) -> Result<Value, ConfigError> {
        let wrong = |expected| ConfigError::Variable {
            name: self.name,
            expected,
        };
        match self.kind {
            Kind::Text => Ok(Value::String(text.to_string())),
            Kind::Number => text
                .parse()
                .map(Value::Integer)
                .map_err(|_| wrong("a whole number")),
        }
    }
}

/// Collects a configuration: first the file, then the environment, then the flags, each over the ones before.
#[derive(Debug, Default)]
pub struct Loader {
    file: Option<(PathBuf, String)>,
    table: Table,
}

impl Loader {
    /// Begins with a file, or with nothing but the defaults.
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML.
    pub fn new(file: Option<&Path>) -> Result<Loader, ConfigError> {
        let Some(path) = file else {
            return Ok(Loader::default());
        };
        let text = fs::read_to_string(path).map_err(|source| FileError {
            file: path.to_path_buf(),
            doing: "read the configuration",
            source,
        })?;
        Loader::with_text(path, text)
    }

    fn with_text(path: &Path, text: String) -> Result<Loader, ConfigError> {
        let table = text
            .parse::<Table>()
            .map_err(|error| ConfigError::in_file(path, &text, &error))?;
        Ok(Loader {
            file: Some((path.to_path_buf(), text)),
            table,
        })
    }

    /// Takes what the environment says.
    ///
    /// # Errors
    /// When a variable is no value of its kind.
    pub fn variables(self, variables: &[Variable]) -> Result<Loader, ConfigError> {
        self.variables_of(variables, |name| std::env::var(name).ok())
    }

    fn variables_of(
        mut self,
        variables: &[Variable],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Loader, ConfigError> {
        for variable in variables {
            if let Some(text) = environment(variable.name) {
                set(&mut self.table, variable.key, variable.value(&text)?);
            }
        }
        Ok(self)
    }

    /// Takes a flag, when it was given; `key` is dotted.
    #[must_use]
    pub fn flag(mut self, key: &str, value: Option<impl Into<Value>>) -> Loader {
        if let Some(value) = value {
            set(&mut self.table, key, value.into());
        }
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// Which key is unknown, missing or wrong, where, and what is allowed there.
    pub fn finish<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        let Loader { file, table } = self;
        table.try_into().map_err(|error| {
            // The file alone knows its lines; what it does not explain comes from the environment or the flags.
            let in_file = file.and_then(|(path, text)| {
                let error = toml::from_str::<T>(&text).err()?;
                Some(ConfigError::in_file(&path, &text, &error))
            });
            in_file.unwrap_or_else(|| ConfigError::Wrong {
                place: "configuration".to_string(),
                what: plain(&error.to_string()),
            })
        })
    }
}

/// Serde for types that are written as text: `#[serde(with = "longrein_io::config::as_text")]`.
pub mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    /// Reads a text.
    ///
    /// # Errors
    /// When it is none of this type.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }

    /// Writes a text.
    ///
    /// # Errors
    /// What the serializer says.
    pub fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
}

/// Serde for lists of types that are written as text: `#[serde(with = "longrein_io::config::as_texts")]`.
pub mod as_texts {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    /// Reads texts.
    ///
    /// # Errors
    /// When one is none of this type.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| text.parse().map_err(D::Error::custom))
            .collect()
    }

    /// Writes texts.
    ///
    /// # Errors
    /// What the serializer says.
    pub fn serialize<T: Display, S: Serializer>(
        values: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or cannot be read.
    #[error("{0}: check --config")]
    File(#[from] FileError),
    /// Something in it is wrong.
    #[error("{place}: {what}")]
    Wrong {
        /// File and line, or section.
        place: String,
        /// What is wrong and what is allowed.
        what: String,
    },
    /// An environment variable is wrong.
    #[error("environment variable {name}: {expected} is expected")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

impl ConfigError {
    /// The exit code of a program that cannot go on without its configuration.
    pub fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = match before {
            Some(before) => format!("{}:{}", path.display(), before.matches('\n').count() + 1),
            None => path.display().to_string(),
        };
        ConfigError::Wrong {
            place,
            what: plain(error.message()),
        }
    }
}

/// Serde's words in those of a configuration, on one line.
fn plain(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    if let Some(unknown) = message.strip_prefix("unknown field ") {
        let unknown = unknown
            .replacen(", expected one of ", "; allowed here: ", 1)
            .replacen(", expected ", "; allowed here: ", 1);
        return format!("unknown key {unknown}");
    }
    message
        .replacen("missing field ", "missing key ", 1)
        .replacen("unknown variant ", "unknown value ", 1)
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_string(), value);
        }
        Some((section, rest)) => {
            let section = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if !section.is_table() {
                *section = Value::Table(Table::new());
            }
            if let Some(section) = section.as_table_mut() {
                set(section, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;
    use crate::sections::{IdentitySection, LinkSection, LogSection, RelaySection};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        identity: IdentitySection,
        #[serde(default)]
        log: LogSection,
        #[serde(default)]
        relay: Vec<RelaySection>,
        #[serde(default)]
        link: Vec<LinkSection>,
    }

    const TEXT: &str = r#"
[identity]
directory = "/etc/longrein/agent"

[log]
level = "debug"

[[relay]]
name = "east"
address = "relay-east.example:4433"

[[relay]]
name = "west"
address = "[2001:db8::1]:4433"

[[link]]
name = "modem-1"
interface = "wwan0"

[[link]]
name = "cable"
address = "192.0.2.7"
relay_addresses = { east = "10.0.0.1:4433" }
"#;

    fn loader(text: &str) -> Loader {
        Loader::with_text(Path::new("agent.toml"), text.to_string()).unwrap()
    }

    fn error(text: &str) -> String {
        loader(text).finish::<Example>().unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_names_file_line_key_and_what_is_allowed() {
        let text = TEXT.replace("interface =", "interfce =");
        assert_eq!(
            error(&text),
            "agent.toml:18: unknown key `interfce`; allowed here: `name`, `interface`, `count_max`, `address`, `budget_kbit_s`, `daily_mb`, `daily_telemetry_percent`, `daily_warn_percent`, `relay_addresses`"
        );
        let text = TEXT.replace("[log]\nlevel", "[log]\nlvl");
        assert_eq!(
            error(&text),
            "agent.toml:6: unknown key `lvl`; allowed here: `level`"
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(
            error("[identity]\n"),
            "agent.toml:1: missing key `directory`"
        );
    }

    #[test]
    fn what_is_no_toml_names_the_line() {
        let error = Loader::with_text(Path::new("agent.toml"), "[identity\n".to_string());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("agent.toml:1: "), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_wrong_name_says_what_a_name_is() {
        let text = TEXT.replace("\"cable\"", "\"My Cable\"");
        assert!(error(&text).contains("a name has 1 to 48 characters"));
    }

    #[test]
    fn flags_override_the_environment_and_that_the_file() {
        let environment = |name: &str| match name {
            "LONGREIN_LOG_LEVEL" => Some("warn".to_string()),
            "LONGREIN_IDENTITY_DIRECTORY" => Some("/run/keys".to_string()),
            _ => None,
        };
        let loaded: Example = loader(TEXT)
            .variables_of(&COMMON_VARIABLES, environment)
            .unwrap()
            .flag("log.level", Some("error"))
            .flag("identity.directory", None::<String>)
            .finish()
            .unwrap();
        assert_eq!(loaded.log.level, Level::Error);
        assert_eq!(loaded.identity.directory, Path::new("/run/keys"));
    }

    #[test]
    fn a_wrong_value_outside_the_file_is_named_with_its_key() {
        let environment = |name: &str| (name == "LONGREIN_LOG_LEVEL").then(|| "loud".to_string());
        let error = loader(TEXT)
            .variables_of(&COMMON_VARIABLES, environment)
            .unwrap()
            .finish::<Example>()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("configuration: unknown value `loud`, expected one of `error`"),
            "{error}"
        );
        assert!(error.ends_with("in `log.level`"), "{error}");
    }

    #[test]
    fn a_variable_of_another_kind_is_refused() {
        let variables = [Variable::number("LONGREIN_PORT", "port")];
        let error = Loader::default()
            .variables_of(&variables, |_| Some("many".to_string()))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable LONGREIN_PORT: a whole number is expected"
        );
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let loaded: Example = loader(TEXT).finish().unwrap();
        let printed = toml::to_string(&loaded).unwrap();
        assert_eq!(loader(&printed).finish::<Example>().unwrap(), loaded);
    }
}
