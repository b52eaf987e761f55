//! `[http]` of the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use longrein_io::config::ConfigError;
use serde::{Deserialize, Serialize};

/// `[http]`: health, metrics and the API, and their bounds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Where it is served; nowhere without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Certificates for TLS (PEM), the server's own first; without them it is plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Whether `/v1` is served.
    pub api: bool,
    /// Nodes whose links are in the metrics.
    pub nodes_in_metrics: usize,
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long the whole head of a request may take to come, on a new connection and after a request on one that is kept.
    pub head_timeout_ms: u32,
    /// How long a request may take until its answer begins.
    pub request_timeout_ms: u32,
}

impl HttpSection {
    /// What serde cannot check.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what: String| {
            let place = "[http]".to_string();
            Err(ConfigError::Wrong { place, what })
        };
        if self.certificate.is_some() != self.key.is_some() {
            return wrong("`certificate` and `key` are given together, or neither".to_string());
        }
        if self.api && self.listen.is_some_and(|listen| !listen.ip().is_loopback()) {
            return wrong(
                "`api = true` needs a `listen` of this machine only, 127.0.0.1 or [::1]: nobody who asks is asked who it is"
                    .to_string(),
            );
        }
        for (key, value, most) in [
            ("connections", self.connections, CONNECTIONS_MOST),
            ("body_bytes_max", self.body_bytes_max, BODY_BYTES_MOST),
            (
                "head_timeout_ms",
                count(self.head_timeout_ms),
                TIMEOUT_MS_MOST,
            ),
            (
                "request_timeout_ms",
                count(self.request_timeout_ms),
                TIMEOUT_MS_MOST,
            ),
        ] {
            if !(1..=most).contains(&value) {
                return wrong(format!("`{key}` must be 1 to {most}"));
            }
        }
        if self.nodes_in_metrics > NODES_MOST {
            return wrong(format!("`nodes_in_metrics` must be at most {NODES_MOST}"));
        }
        Ok(())
    }

    pub(super) fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms.into())
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms.into())
    }
}

impl Default for HttpSection {
    fn default() -> HttpSection {
        HttpSection {
            listen: None,
            certificate: None,
            key: None,
            api: false,
            nodes_in_metrics: 1_000,
            connections: 128,
            body_bytes_max: 128 * 1024,
            head_timeout_ms: 20_000,
            request_timeout_ms: 10_000,
        }
    }
}

fn count(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Connections: each takes a file descriptor and up to 32 KiB of buffers.
const CONNECTIONS_MOST: usize = 10_000;
/// Bytes of a body: one is held in memory for each connection.
const BODY_BYTES_MOST: usize = 16 * 1024 * 1024;
/// Ten minutes: what takes longer is no request.
const TIMEOUT_MS_MOST: usize = 600_000;
/// All that a relay takes; six series for each link of each.
const NODES_MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let section: HttpSection = toml::from_str(text).unwrap();
        section.check().unwrap_err().to_string()
    }

    #[test]
    fn the_api_is_not_served_to_other_machines_as_nobody_is_asked_who_it_is() {
        for listen in ["0.0.0.0:8080", "192.0.2.1:8080", "[::]:8080"] {
            let text = format!("api = true\nlisten = \"{listen}\"");
            assert_eq!(
                error(&text),
                "[http]: `api = true` needs a `listen` of this machine only, 127.0.0.1 or [::1]: nobody who asks is asked who it is"
            );
        }
        for listen in ["127.0.0.1:8080", "[::1]:8080"] {
            let text = format!("api = true\nlisten = \"{listen}\"");
            let section: HttpSection = toml::from_str(&text).unwrap();
            assert!(section.check().is_ok());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(error("certificate = \"/x\"").contains("given together"));
        assert!(error("connections = 0").contains("`connections` must be 1 to 10000"));
        assert!(error("nodes_in_metrics = 10001").contains("at most 10000"));
    }
}
