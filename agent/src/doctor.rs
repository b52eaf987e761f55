//! `longrein-agent doctor`: looks at all that an agent needs, and says what to do where something is missing.
//!
//! It changes nothing, takes no lock, and stops before the first word of a leg: an agent that runs with the same identity and
//! configuration notices nothing. What it sees is gathered first and judged by functions that only take facts.

mod asked;
mod certificate;
mod clock;
mod finding;
mod folder;
mod kernel;
mod link;
mod relay;
mod revocations;
mod route;
mod unit;

use longrein_io::dial::{DialOutcome, Route, matched};
use longrein_io::keys::Identity;
use longrein_io::probe::{Probe, probe};
use longrein_io::revocation_file::RevocationFile;
use longrein_io::runtime;
use longrein_proto::base::NodeKind;
use tokio::task::JoinSet;

use self::finding::{Finding, Level};
use self::unit::Unit;
use crate::config::Config;
use crate::error::AgentError;
use crate::flags::print;

/// Looks at everything, and prints a line for each finding, or a JSON object.
///
/// # Errors
/// [`AgentError::Unwell`] when something fails, and the configuration's own error when that is wrong.
pub(crate) fn examine(config: &Config, json: bool) -> Result<(), AgentError> {
    config.check()?;
    let routes = config.routes()?;
    let routes = runtime::run(async || matched(routes))?;
    let unit = Unit::look();
    let mut failed = 0;
    let mut tell = |findings: Vec<Finding>| -> Result<(), AgentError> {
        for finding in findings {
            failed += usize::from(finding.level == Level::Fail);
            let line = match json {
                true => finding.json().to_string(),
                false => finding.line(),
            };
            print(&format!("{line}\n"))?;
        }
        Ok(())
    };
    tell(vec![configuration(config, &routes)])?;
    let identity = Identity::load_undated(&config.identity.directory).and_then(|identity| {
        identity.expect_kind(NodeKind::Agent)?;
        Ok(identity)
    });
    let known = longrein_io::known_time::read(&config.identity.directory);
    tell(clock::findings(clock::Facts::look(known)))?;
    tell(folder::identity(&config.identity.directory))?;
    match &identity {
        Ok(identity) => {
            RevocationFile::open(&config.state_directory, identity.fleet());
            tell(certificate::findings(&certificate::Facts::of(identity)))?;
            let list = revocations::Facts::of(identity.fleet(), config.revocations_max_age());
            tell(revocations::findings(list))?;
        }
        Err(error) => {
            let advice = "then run this again: nothing can be said of certificates before";
            tell(vec![Finding::fail("identity", error.to_string(), advice)])?;
        }
    }
    tell(folder::state(config))?;
    tell(kernel::findings(
        &kernel::Facts::look(),
        &routes,
        unit.as_ref(),
    ))?;
    tell(unit::findings(unit.as_ref()))?;
    tell(link::findings(&routes, link::Facts::look))?;
    eprintln!("looking at {} routes ...", routes.len());
    let probed = runtime::run(async || probe_all(&routes, identity.as_ref().ok()).await)?;
    let probed: Vec<_> = routes.iter().zip(&probed).collect();
    let judged = probed
        .iter()
        .map(|(route, probe)| route::finding(route, probe));
    tell(judged.collect())?;
    tell(relay::findings(&probed))?;
    match failed {
        0 => Ok(()),
        failed => Err(AgentError::Unwell { failed }),
    }
}

fn configuration(config: &Config, routes: &[Route]) -> Finding {
    let (functions, relays) = (config.function.len(), config.relay.len());
    let what = format!(
        "is good: {functions} functions, {relays} relays, {} routes",
        routes.len()
    );
    Finding::ok("configuration", what)
}

/// What became of a route's probe.
type Probed = Result<Probe, DialOutcome>;

/// Probes of all routes at once, in their order.
async fn probe_all(routes: &[Route], identity: Option<&Identity>) -> Vec<Probed> {
    let mut probes = JoinSet::new();
    for (place, route) in routes.iter().cloned().enumerate() {
        let identity = identity.cloned();
        probes.spawn_local(async move { (place, probe(&route, identity.as_ref()).await) });
    }
    let mut done = Vec::new();
    while let Some(probed) = probes.join_next().await {
        done.extend(probed);
    }
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, probed)| probed).collect()
}
