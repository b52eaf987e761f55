//! The keys of an issuer (OpenID Connect Discovery 1.0 §4).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Uri;
use serde::Deserialize;

use super::verifying::{NamedKey, VerifyingKey};
use super::{Expected, Jwt, TokenError, jwk};
use crate::http::client::HttpClient;

/// An issuer, with the keys that it published last.
pub(in crate::http::api) struct Issuer {
    pub(in crate::http::api) expected: Expected,
    url: String,
    client: HttpClient,
    known: Mutex<Known>,
    /// Whoever fetches has it.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Vec<NamedKey>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
    /// Why the last try brought nothing.
    fault: Option<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    pub(in crate::http::api) fn new(url: &str, expected: Expected, client: HttpClient) -> Issuer {
        Issuer {
            expected,
            url: url.to_string(),
            client,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// The keys that may have signed a token. They are fetched anew when they are old, or when none of them fits; however many ask,
    /// once in [`FETCH_EVERY`] at most.
    ///
    /// # Errors
    /// None is known and they cannot be fetched.
    pub(in crate::http::api) async fn keys(
        self: &Arc<Self>,
        token: &Jwt<'_>,
    ) -> Result<Vec<VerifyingKey>, TokenError> {
        let (found, is_old) = self.look(token);
        if !found.is_empty() {
            if is_old {
                let own = Arc::clone(self);
                tokio::spawn(async move { own.refresh().await });
            }
            return Ok(found);
        }
        self.refresh().await;
        let (found, _) = self.look(token);
        let known = self.known();
        match &known.fault {
            Some(fault) if known.keys.is_empty() => Err(TokenError::Issuer(fault.clone())),
            _ => Ok(found),
        }
    }

    /// The keys that fit, and whether they are to be fetched anew.
    fn look(&self, token: &Jwt<'_>) -> (Vec<VerifyingKey>, bool) {
        let mut known = self.known();
        let is_older = |than: Duration| known.fetched_at.is_none_or(|at| at.elapsed() >= than);
        let (is_old, is_over) = (is_older(KEYS_AGE), is_older(KEYS_AGE_MAX));
        // Keys that the issuer took back are not believed for long when it is not reached.
        if is_over {
            known.keys.clear();
        }
        (fitting(&known.keys, token), is_old)
    }

    async fn refresh(&self) {
        let _turn = self.fetching.lock().await;
        {
            let mut known = self.known();
            if known.tried_at.is_some_and(|at| at.elapsed() < FETCH_EVERY) {
                return;
            }
            known.tried_at = Some(Instant::now());
        }
        let fetched = self.fetch().await;
        let mut known = self.known();
        match fetched {
            Ok(keys) => {
                known.keys = keys;
                known.fetched_at = Some(Instant::now());
                known.fault = None;
            }
            Err(fault) => {
                tracing::warn!(why = fault, "keys of the issuer are not fetched");
                known.fault = Some(fault);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Vec<NamedKey>, String> {
        let place = format!(
            "{}/.well-known/openid-configuration",
            self.url.trim_end_matches('/')
        );
        let text = self.get(&place).await?;
        let found: Discovery = serde_json::from_slice(&text)
            .map_err(|_| format!("{place} is no configuration of an issuer"))?;
        if found.issuer != self.url {
            return Err(format!("{place} is of another issuer: {}", found.issuer));
        }
        let text = self.get(&found.jwks_uri).await?;
        jwk::keys(&text).map_err(|what| format!("{}: {what}", found.jwks_uri))
    }

    async fn get(&self, place: &str) -> Result<Vec<u8>, String> {
        let uri: Uri = place
            .parse()
            .map_err(|_| format!("{place} is no address"))?;
        self.client
            .get(&uri, ANSWER_BYTES_MAX)
            .await
            .map_err(|error| format!("{place}: {error}"))
    }
}

/// Of some keys, those that may have signed a token: of its algorithm, and of the name that it says, if it says one.
pub(in crate::http::api) fn fitting(keys: &[NamedKey], token: &Jwt<'_>) -> Vec<VerifyingKey> {
    let fits = |named: &&NamedKey| {
        let is_it = match (&named.id, &token.key) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        is_it && named.key.algorithm() == token.algorithm
    };
    keys.iter()
        .filter(fits)
        .map(|named| named.key.clone())
        .collect()
}

/// How long keys are used before they are fetched anew.
const KEYS_AGE: Duration = Duration::from_secs(3_600);
/// How long they are used when the issuer is not reached.
const KEYS_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Between tries: nobody makes the relay ask an issuer more often by names of keys that there are not.
const FETCH_EVERY: Duration = Duration::from_secs(30);
/// Bytes of a configuration or a set of keys: 64 RSA keys with certificates.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
