//! What a token says of its owner.

use std::time::Duration;

use longrein_proto::base::{Name, NodeKind, NodeName};
use longrein_proto::hub::{HubRight, HubRights};
use serde_json::{Map, Value};

use super::TokenError;

/// Which claims say who the owner is, and what it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::api) struct ClaimNames {
    pub(in crate::http::api) name: String,
    pub(in crate::http::api) scope: String,
}

/// What has to stand in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::api) struct Expected {
    /// `iss`, if it is to be a certain one.
    pub(in crate::http::api) issuer: Option<String>,
    /// One of `aud`.
    pub(in crate::http::api) audience: String,
    pub(in crate::http::api) names: ClaimNames,
}

/// What a token gives its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::api) struct Grant {
    /// The service that it speaks for.
    pub(in crate::http::api) node: NodeName,
    pub(in crate::http::api) rights: HubRights,
    /// Until when, in seconds since 1970.
    pub(in crate::http::api) until_s: u64,
}

impl Expected {
    /// What these claims give now.
    ///
    /// # Errors
    /// Which of them is missing, over, or another one.
    pub(in crate::http::api) fn grant(
        &self,
        now_s: u64,
        claims: &Map<String, Value>,
    ) -> Result<Grant, TokenError> {
        let until_s = seconds(claims, "exp")?.ok_or(wrong("exp", "is missing"))?;
        if now_s >= until_s.saturating_add(LEEWAY.as_secs()) {
            return Err(wrong("exp", "is in the past"));
        }
        if seconds(claims, "nbf")?.is_some_and(|from| from > now_s + LEEWAY.as_secs()) {
            return Err(wrong("nbf", "is in the future"));
        }
        let issuer = claims.get("iss").and_then(Value::as_str);
        if self
            .issuer
            .as_deref()
            .is_some_and(|wanted| issuer != Some(wanted))
        {
            return Err(wrong("iss", "is another issuer's"));
        }
        let is_for_us = |value: &Value| value.as_str() == Some(&self.audience);
        let audience = claims.get("aud").ok_or(wrong("aud", "is missing"))?;
        let audience = audience.as_array().map_or_else(
            || is_for_us(audience),
            |several| several.iter().any(is_for_us),
        );
        if !audience {
            return Err(wrong("aud", "is another audience's"));
        }
        let name = claims.get(&self.names.name).and_then(Value::as_str);
        let name = name.ok_or(wrong(&self.names.name, "is missing"))?;
        let name = name.strip_prefix("service/").unwrap_or(name);
        let name: Name = name
            .parse()
            .map_err(|_| wrong(&self.names.name, "is no name of a service"))?;
        Ok(Grant {
            node: NodeName::new(NodeKind::Service, name),
            rights: self.rights(claims),
            until_s,
        })
    }

    /// What is no right of the hub's is for others.
    fn rights(&self, claims: &Map<String, Value>) -> HubRights {
        let words: Vec<&str> = match claims.get(&self.names.scope) {
            Some(Value::String(text)) => text.split(' ').collect(),
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is_granted = |right: &HubRight| {
            let word = |word: &&str| word.strip_prefix("hub.") == Some(right.as_str());
            words.iter().any(word)
        };
        HubRight::ALL.into_iter().filter(is_granted).collect()
    }
}

/// A date of RFC 7519 §2, whole seconds of it.
fn seconds(claims: &Map<String, Value>, claim: &str) -> Result<Option<u64>, TokenError> {
    match claims.get(claim) {
        None => Ok(None),
        Some(value) => {
            let whole = value.as_u64();
            let date = whole.or_else(|| {
                value
                    .as_f64()
                    .and_then(|date| format!("{date:.0}").parse().ok())
            });
            date.map(Some).ok_or(wrong(claim, "is no date"))
        }
    }
}

fn wrong(claim: &str, what: &'static str) -> TokenError {
    TokenError::Claim {
        claim: claim.to_string(),
        what,
    }
}

/// Between the clock of the relay and that of whoever signs.
const LEEWAY: Duration = Duration::from_secs(30);
