//! Logs: one line each on stderr.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as lines, registry};

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

/// Starts logging to stderr; a second call changes nothing. The libraries below (QUIC, TLS) log from `warn` on only.
///
/// Under systemd the lines carry no time, as the journal has its own.
pub fn start(level: Level) {
    let others = level.filter().min(LevelFilter::WARN);
    let targets = Targets::new()
        .with_default(level.filter())
        .with_targets(LIBRARIES.map(|library| (library, others)));
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let layer = lines::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    let started = if journal {
        registry()
            .with(layer.without_time().with_filter(targets))
            .try_init()
    } else {
        registry().with(layer.with_filter(targets)).try_init()
    };
    // Logging that runs already keeps running.
    drop(started);
}

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
