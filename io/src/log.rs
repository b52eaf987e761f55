//! Logs: to the journal of systemd, or one line each on stderr.

use rustix::fs::fstat;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::sync::OnceLock;
use std::{env, fmt};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt as lines, registry, reload};

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A person must act.
    Error,
    /// A promise is at risk.
    Warn,
    /// What starts, ends, comes and goes.
    #[default]
    Info,
    /// Decisions.
    Debug,
    /// Packets.
    Trace,
}

impl Level {
    /// All levels, from quiet to loud.
    pub const ALL: [Level; 5] = [
        Level::Error,
        Level::Warn,
        Level::Info,
        Level::Debug,
        Level::Trace,
    ];

    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Level, String> {
        Level::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no log level: error, warn, info, debug or trace"))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Starts logging; a second call changes nothing. The libraries below (QUIC, TLS) log from `warn` on only.
///
/// A service of systemd logs to the journal, each fact a field of its own (`LONGREIN_VEHICLE=truck-17`); every other program logs
/// lines to stderr.
pub fn start(level: Level) {
    let (filter, handle) = reload::Layer::new(targets(level));
    let started = registry().with(writer().with_filter(filter)).try_init();
    // Logging that runs already keeps running.
    if started.is_ok() {
        drop(FILTER.set(handle));
    }
}

/// Changes how much is logged from now on.
pub fn set_level(level: Level) {
    if let Some(filter) = FILTER.get() {
        // Fails only when there is no log any more.
        drop(filter.reload(targets(level)));
    }
}

fn targets(level: Level) -> Targets {
    let others = level.filter().min(LevelFilter::WARN);
    Targets::new()
        .with_default(level.filter())
        .with_targets(LIBRARIES.map(|library| (library, others)))
}

fn writer() -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = lines::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    match journal() {
        Some(journal) => journal.boxed(),
        None => lines.boxed(),
    }
}

/// The journal, when stderr goes there: somebody who redirects it wants to read it where it goes.
fn journal() -> Option<tracing_journald::Layer> {
    let stream = env::var("JOURNAL_STREAM").ok()?;
    let stderr = fstat(std::io::stderr()).ok()?;
    if stream != format!("{}:{}", stderr.st_dev, stderr.st_ino) {
        return None;
    }
    let layer = tracing_journald::layer().ok()?;
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::new()
    };
    Some(
        layer
            .with_priority_mappings(priorities)
            .with_field_prefix(Some(FIELD_PREFIX.to_string())),
    )
}

static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();
/// Of the journal's fields, so that they are nobody else's.
const FIELD_PREFIX: &str = "LONGREIN";
const LIBRARIES: [&str; 4] = ["quinn", "quinn_proto", "quinn_udp", "rustls"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_by_name() {
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert_eq!(
            "loud".parse::<Level>(),
            Err("\"loud\" is no log level: error, warn, info, debug or trace".to_string())
        );
    }
}
