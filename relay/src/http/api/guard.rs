//! The one place where it is decided who may ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use longrein_io::clock;
use longrein_proto::base::NodeName;
use longrein_proto::hub::{HubRight, HubRights};
use longrein_proto::wire::hub::HubRefusal;
use ring::digest::{SHA256, digest};

use super::Api;
use super::refusal;
use super::token::{
    ClaimNames, Expected, Grant, Issuer, Jwt, KeyError, NamedKey, TokenError, fitting, read_keys,
};
use crate::http::client::HttpClient;
use crate::http::problem::Problem;
use crate::http::section::KeySection;
use crate::http::{HttpError, HttpSection};

/// Knows whose tokens are believed.
pub(super) struct Guard {
    keys: Vec<(Vec<NamedKey>, Expected)>,
    issuer: Option<Arc<Issuer>>,
    /// Tokens that were believed a moment ago, by their SHA-256: verifying a signature takes up to 100 µs.
    believed: Mutex<BTreeMap<[u8; 32], Believed>>,
}

#[derive(Clone)]
struct Believed {
    grant: Grant,
    at: Instant,
}

/// Who asks, and what it may.
#[derive(Clone, Debug)]
pub(in crate::http) struct Caller {
    pub(in crate::http) node: NodeName,
    pub(in crate::http) rights: HubRights,
}

impl Guard {
    /// One that believes what the configuration says.
    ///
    /// # Errors
    /// A file has no keys, or the machine believes no certificates.
    pub(super) fn of(section: &HttpSection, client: &HttpClient) -> Result<Guard, HttpError> {
        let issuer = section.oidc.as_ref().map(|oidc| {
            let expected = Expected {
                issuer: Some(oidc.issuer.clone()),
                audience: oidc.audience.clone(),
                names: ClaimNames {
                    name: oidc.name_claim.clone(),
                    scope: oidc.scope_claim.clone(),
                },
            };
            Arc::new(Issuer::new(&oidc.issuer, expected, client.clone()))
        });
        Ok(Guard {
            keys: believed_keys(section)?,
            issuer,
            believed: Mutex::default(),
        })
    }

    /// What a token gives its owner now.
    async fn identify(&self, token: &str) -> Result<Grant, TokenError> {
        let hash = hash(token);
        let (now, now_s) = (Instant::now(), clock::unix_ms() / 1_000);
        {
            let believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
            let known = believed.get(&hash).filter(|known| known.holds(now, now_s));
            if let Some(known) = known {
                return Ok(known.grant.clone());
            }
        }
        let grant = self.verify(now_s, token).await?;
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        if believed.len() >= BELIEVED_MAX {
            believed.retain(|_, known| known.holds(now, now_s));
        }
        if believed.len() < BELIEVED_MAX {
            let grant = grant.clone();
            believed.insert(hash, Believed { grant, at: now });
        }
        Ok(grant)
    }

    async fn verify(&self, now_s: u64, token: &str) -> Result<Grant, TokenError> {
        let token = Jwt::read(token)?;
        let mut why = TokenError::UnknownKey;
        for (keys, expected) in &self.keys {
            for key in fitting(keys, &token) {
                match token.believe(&key) {
                    Ok(claims) => return expected.grant(now_s, claims),
                    Err(wrong) => why = wrong,
                }
            }
        }
        // Nobody makes the relay ask its issuer about tokens that do not say that they are of it.
        let issuer = self.issuer.as_ref();
        if let Some(issuer) = issuer.filter(|it| token.issuer() == it.expected.issuer.as_deref()) {
            for key in issuer.keys(&token).await? {
                match token.believe(&key) {
                    Ok(claims) => return issuer.expected.grant(now_s, claims),
                    Err(wrong) => why = wrong,
                }
            }
        }
        Err(why)
    }
}

/// The keys whose tokens are believed, each file with what its tokens have to say.
///
/// # Errors
/// A file has none.
pub(super) fn believed_keys(
    section: &HttpSection,
) -> Result<Vec<(Vec<NamedKey>, Expected)>, KeyError> {
    let read = |own: &KeySection| {
        let expected = Expected {
            issuer: None,
            audience: own.audience.clone(),
            names: ClaimNames {
                name: "sub".to_string(),
                scope: "scope".to_string(),
            },
        };
        Ok((read_keys(&own.name, &own.file)?, expected))
    };
    section.keys.iter().map(read).collect()
}

impl Believed {
    fn holds(&self, now: Instant, now_s: u64) -> bool {
        now.saturating_duration_since(self.at).as_secs() < BELIEVED_S && now_s < self.grant.until_s
    }
}

/// Lets those in who show a token, as often as they may ask.
pub(super) async fn admit(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let guard = &api.guard;
    let token = request.headers().get(header::AUTHORIZATION);
    let token = token.and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    let token = token
        .ok_or_else(|| unauthorized("a token is needed, as `Authorization: Bearer <token>`"))?;
    let grant = match guard.identify(token).await {
        Ok(grant) => grant,
        Err(TokenError::Issuer(why)) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let title = "The issuer's keys cannot be fetched";
            return Err(Problem::new(status, "issuer-not-reached", title, why));
        }
        Err(why) => return Err(unauthorized(format!("the token is not believed: {why}"))),
    };
    let left = match api.rates.take(Instant::now(), &grant.node) {
        Ok(left) => left,
        Err(none) => {
            let detail = format!("{} asks more often than it may", grant.node);
            let problem = too_often(detail).retry_after_s(none.wait_s());
            let mut response = problem.into_response();
            none.tell(response.headers_mut());
            return Ok(response);
        }
    };
    request.extensions_mut().insert(Caller {
        node: grant.node,
        rights: grant.rights,
    });
    let mut response = next.run(request).await;
    left.tell(response.headers_mut());
    Ok(response)
}

impl Caller {
    /// For what the relay answers without its hub, which looks at the rights itself.
    pub(super) fn expect(&self, right: HubRight) -> Result<(), Problem> {
        if self.rights.has(right) {
            return Ok(());
        }
        Err(refusal::problem(&HubRefusal::NotAllowed))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| unauthorized("a token is needed"))
    }
}

fn unauthorized(detail: impl Into<String>) -> Problem {
    let status = StatusCode::UNAUTHORIZED;
    Problem::new(status, "unauthorized", "A token is needed", detail).with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"longrein\""),
    )
}

/// Somebody asks more often than it may.
pub(super) fn too_often(detail: impl Into<String>) -> Problem {
    let status = StatusCode::TOO_MANY_REQUESTS;
    Problem::new(status, "too-often", "Too many requests", detail)
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Tokens that are remembered.
const BELIEVED_MAX: usize = 4_096;
/// Seconds for which one is: as long as a key that its issuer took back still counts.
const BELIEVED_S: u64 = 60;
