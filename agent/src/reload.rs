//! The configuration that is read again while the agent runs.

use std::cell::RefCell;
use std::rc::Rc;

use longrein_io::dial::Dialers;
use longrein_io::drive::Driver;
use longrein_io::keys::Identity;
use longrein_io::log;
use longrein_io::service_manager::ServiceManager;
use longrein_proto::base::Name;
use longrein_proto::role::Agent;

use crate::config::Config;
use crate::error::AgentError;
use crate::metering::Plans;
use crate::program::Reread;

/// Puts in force what can change while the agent runs; no connection goes that the new configuration still wants.
pub(crate) struct Reload {
    running: Config,
    reread: Reread,
    dialers: Dialers<Agent>,
    plans: Rc<RefCell<Plans>>,
}

impl Reload {
    /// `plans` are told of links, before the dialers are: what a link may carry is known when it comes.
    pub(crate) fn new(
        running: Config,
        reread: Reread,
        dialers: Dialers<Agent>,
        plans: Rc<RefCell<Plans>>,
    ) -> Reload {
        Reload {
            running,
            reread,
            dialers,
            plans,
        }
    }

    /// Whether a link has a budget for each day.
    pub(crate) fn has_plans(&self) -> bool {
        self.plans.borrow().has_any()
    }

    /// What each link's sockets have carried.
    pub(crate) fn wire_bytes(&self) -> Vec<(Name, u64)> {
        self.dialers.wire_bytes()
    }

    /// Reads the configuration again; one that is wrong changes nothing.
    pub(crate) fn reload(
        &mut self,
        driver: &Driver<Agent>,
        identity: &Identity,
        manager: &mut ServiceManager,
    ) {
        manager.reloading();
        if let Err(error) = self.try_reload(driver, identity) {
            tracing::error!(%error, "configuration is wrong, and everything stays as it is");
        }
        manager.ready();
    }

    fn try_reload(
        &mut self,
        driver: &Driver<Agent>,
        identity: &Identity,
    ) -> Result<(), AgentError> {
        let new = (self.reread)()?;
        new.check()?;
        let routes = new.routes()?;
        let before = self.plans.borrow_mut().replace_links(&new.link);
        let (begun, ended) = self.dialers.set_routes(identity, routes).map_err(|error| {
            self.plans.borrow_mut().replace_links(&before);
            AgentError::Key(error.to_string())
        })?;
        driver.with(|agent, now| {
            agent.set_revocations_max_age(new.revocations_max_age());
            agent.set_policy(now, new.policy());
        });
        log::set_level(new.log.level);
        tracing::info!(
            rules = new.allow.len(),
            routes_begun = begun,
            routes_ended = ended,
            log_level = new.log.level.as_str(),
            "configuration is reloaded"
        );
        let needs_restart = needs_restart(&self.running, &new);
        if !needs_restart.is_empty() {
            let sections = needs_restart.join(",");
            tracing::warn!(
                sections,
                "these sections have changed, and need a restart of the agent"
            );
        }
        Ok(())
    }
}

/// What the new configuration says otherwise and only a start reads.
fn needs_restart(running: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        state_directory,
        identity,
        record,
        function,
        dictionary,
        mqtt,
        operator,
        local,
        hub,
        reset_by_two: _,
        revocations_max_age_h: _,
        log: _,
        relay: _,
        link: _,
        allow: _,
    } = running;
    [
        ("state_directory", *state_directory != new.state_directory),
        ("identity", *identity != new.identity),
        ("record", *record != new.record),
        ("hub", *hub != new.hub),
        ("function", *function != new.function),
        ("dictionary", *dictionary != new.dictionary),
        ("mqtt", *mqtt != new.mqtt),
        ("operator", *operator != new.operator),
        ("local", *local != new.local),
    ]
    .into_iter()
    .filter_map(|(section, changed)| changed.then_some(section))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_only_a_start_reads_is_named_and_what_is_in_force_is_not() {
        let running = Config::default();
        assert_eq!(needs_restart(&running, &running), [""; 0]);
        let new = Config {
            state_directory: PathBuf::from("/elsewhere"),
            reset_by_two: true,
            revocations_max_age_h: Some(2),
            ..running.clone()
        };
        assert_eq!(needs_restart(&running, &new), ["state_directory"]);
    }
}
