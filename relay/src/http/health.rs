//! Whether the relay works, for those who restart it and those who send others to it.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use longrein_io::{clock, date};
use serde_json::{Value, json};

use super::Access;
use super::problem::{Json, Problem};

/// One thing that must be so for the relay to be of use.
pub(super) struct Check {
    /// What it is called, in metrics and answers.
    pub(super) name: &'static str,
    /// What is wrong; none when it is so.
    pub(super) wrong: Option<String>,
}

/// `GET /healthz`: 200 as long as the network thread answers within 1 s; when not, the program is to be started again.
pub(super) async fn alive(State(access): State<Access>) -> Result<Json<Value>, Problem> {
    access.ask(|_, _| ()).await?;
    Ok(Json(json!({ "status": "alive" })))
}

/// `GET /readyz`: 200 when all checks are so; when not, 503 names those that are not.
pub(super) async fn ready(State(access): State<Access>) -> Result<Json<Value>, Problem> {
    let checks = checks(&access).await?;
    let names: Vec<&str> = checks.iter().map(|check| check.name).collect();
    let wrong: Vec<(&str, String)> = checks
        .iter()
        .filter_map(|check| Some((check.name, check.wrong.clone()?)))
        .collect();
    if wrong.is_empty() {
        return Ok(Json(json!({ "status": "ready", "checks": names })));
    }
    let detail: Vec<String> = wrong
        .iter()
        .map(|(name, what)| format!("{name}: {what}"))
        .collect();
    let failed: Vec<Value> = wrong
        .into_iter()
        .map(|(name, what)| json!({ "name": name, "what": what }))
        .collect();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = Problem::new(
        status,
        "not-ready",
        "The relay is not ready",
        detail.join("; "),
    );
    Err(problem.with("checks", failed.into()))
}

/// All checks, each with its own name; what else a relay needs one day is one more here.
pub(super) async fn checks(access: &Access) -> Result<Vec<Check>, Problem> {
    let is_draining = access.ask(|relay, _| relay.is_draining()).await?;
    let listens = !access.counts().await?.listeners.is_empty();
    Ok(vec![
        Check {
            name: "listening",
            wrong: (!listens).then(|| "no listener is open".to_string()),
        },
        Check {
            name: "certificate",
            wrong: certificate_fault(access),
        },
        Check {
            name: "draining",
            wrong: is_draining.then(|| "the relay ends soon".to_string()),
        },
    ])
}

fn certificate_fault(access: &Access) -> Option<String> {
    let identity = &access.identity;
    let now: Duration = Duration::from_secs(identity.fleet().time(clock::unix_time()).as_secs());
    let not_after = identity.not_after();
    (now.as_secs() > not_after.as_secs())
        .then(|| format!("the certificate ended at {}", date::utc(not_after)))
}
