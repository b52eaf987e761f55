//! `[http]` of the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use longrein_io::config::{ConfigError, as_text};
use longrein_io::sections::used_twice;
use longrein_proto::base::Name;
use serde::{Deserialize, Serialize};

use super::client::expect_safe;
use super::webhooks::{WEBHOOKS_MOST, WebhookSection};

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
    /// Whether it is served to other machines without TLS, as what ends TLS stands before it.
    pub behind_proxy: bool,
    /// Requests a second with the tokens of one service.
    pub requests_per_s: u32,
    /// Requests at once with the tokens of one service.
    pub requests_burst: u32,
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
    /// An issuer whose tokens are believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcSection>,
    /// Keys whose tokens are believed.
    #[serde(rename = "token_key", skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeySection>,
    /// Where what happens is posted to.
    #[serde(rename = "webhook", skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookSection>,
}

/// `[http.oidc]`: an issuer (OpenID Connect) whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSection {
    /// Its address, as its tokens say it.
    pub issuer: String,
    /// What its tokens for this relay have as `aud`.
    pub audience: String,
    /// The claim that names the service.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// The claim that lists what it may.
    #[serde(default = "scope_claim")]
    pub scope_claim: String,
}

/// `[[http.token_key]]`: keys whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeySection {
    /// What tokens call it, and logs.
    #[serde(with = "as_text")]
    pub name: Name,
    /// Public keys (PEM), or a set of them (JWKS).
    pub file: PathBuf,
    /// The private key beside it (PEM), for `longrein-relay token` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<PathBuf>,
    /// What tokens for this relay have as `aud`.
    #[serde(default = "audience")]
    pub audience: String,
}

fn name_claim() -> String {
    "sub".to_string()
}

fn scope_claim() -> String {
    "scope".to_string()
}

fn audience() -> String {
    "longrein".to_string()
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
        let is_elsewhere = self.listen.is_some_and(|listen| !listen.ip().is_loopback());
        if self.api && is_elsewhere && self.certificate.is_none() && !self.behind_proxy {
            return wrong(
                "tokens must not go over a network in the clear: `api = true` needs `certificate` and `key`, a `listen` of this \
                 machine only, or `behind_proxy = true` when a proxy ends TLS before it"
                    .to_string(),
            );
        }
        if self.api && self.keys.is_empty() && self.oidc.is_none() {
            return wrong(
                "`api = true` needs a [[http.token_key]] or [http.oidc] that says whose tokens are believed: \
                 `longrein-relay token --new-key FILE` makes a key"
                    .to_string(),
            );
        }
        if self.keys.len() > KEYS_MOST {
            return wrong(format!("[[http.token_key]] may be there {KEYS_MOST} times"));
        }
        if let Some(name) = used_twice(self.keys.iter().map(|section| &section.name)) {
            return wrong(format!(
                "the name {name} of [[http.token_key]] is used twice"
            ));
        }
        if let Some(oidc) = &self.oidc {
            let uri = oidc.issuer.parse();
            if !uri.is_ok_and(|uri: Uri| expect_safe(&uri).is_ok()) {
                return wrong("`issuer` of [http.oidc] must be an address with https".to_string());
            }
        }
        self.check_webhooks()?;
        let (per_s, burst) = (count(self.requests_per_s), count(self.requests_burst));
        for (key, value, most) in [
            ("connections", self.connections, CONNECTIONS_MOST),
            ("requests_per_s", per_s, REQUESTS_MOST),
            ("requests_burst", burst, REQUESTS_MOST),
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

    fn check_webhooks(&self) -> Result<(), ConfigError> {
        let wrong = |place: String, what: String| Err(ConfigError::Wrong { place, what });
        let all = "[[http.webhook]]".to_string();
        if self.webhooks.len() > WEBHOOKS_MOST {
            return wrong(all, format!("it may be there {WEBHOOKS_MOST} times"));
        }
        if !self.webhooks.is_empty() && self.listen.is_none() {
            return wrong(
                all,
                "[http] needs `listen`, as its thread posts".to_string(),
            );
        }
        if let Some(name) = used_twice(self.webhooks.iter().map(|section| &section.name)) {
            return wrong(all, format!("the name {name} is used twice"));
        }
        for section in &self.webhooks {
            if let Err(what) = section.check() {
                return wrong(format!("[[http.webhook]] {}", section.name), what);
            }
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
            behind_proxy: false,
            requests_per_s: 2_500,
            requests_burst: 5_000,
            nodes_in_metrics: 1_000,
            connections: 128,
            body_bytes_max: 128 * 1024,
            head_timeout_ms: 20_000,
            request_timeout_ms: 10_000,
            oidc: None,
            keys: Vec::new(),
            webhooks: Vec::new(),
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
/// Requests a second, or at once: more than one thread answers.
const REQUESTS_MOST: usize = 100_000;
/// Files of keys: one for each who makes tokens.
const KEYS_MOST: usize = 16;
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
    fn tokens_do_not_go_over_a_network_in_the_clear() {
        for listen in ["0.0.0.0:8080", "192.0.2.1:8080", "[::]:8080"] {
            let text = format!("api = true\nlisten = \"{listen}\"");
            assert!(
                error(&text).starts_with("[http]: tokens must not go over a network in the clear")
            );
        }
        for more in [
            "listen = \"127.0.0.1:8080\"",
            "listen = \"[::]:1\"\nbehind_proxy = true",
        ] {
            let text =
                format!("api = true\n{more}\n[[token_key]]\nname = \"own\"\nfile = \"own.pub\"");
            let section: HttpSection = toml::from_str(&text).unwrap();
            assert!(section.check().is_ok());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(error("certificate = \"/x\"").contains("given together"));
        assert!(error("connections = 0").contains("`connections` must be 1 to 10000"));
        assert!(error("nodes_in_metrics = 10001").contains("at most 10000"));
        assert!(error("api = true").contains("whose tokens are believed"));
        assert!(error("requests_per_s = 0").contains("`requests_per_s` must be 1 to 100000"));
        let oidc = "[oidc]\nissuer = \"http://login.example\"\naudience = \"x\"";
        assert!(error(oidc).contains("must be an address with https"));
    }
}
