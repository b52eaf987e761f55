//! What the hub is told of the vehicle, and what its program has to do with the hub.
//!
//! Nothing here leads to a session, a lease, the latch or an actuation: the hub is told how they stand, and has no way back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, AgentEvent, Function};
use crate::base::limits::REPORT_OWN_ITEMS_MAX;
use crate::base::{FencingToken, MonoTime, Name, NodeName, Stage};
use crate::hub::{Caller, CallerEvent, Reported};
use crate::path::Health;
use crate::role::PathView;
use crate::wire::hub::{Bytes, HubRefusal};

/// Keeps the vehicle's `reported` document: an item for each function, one for the stop, one for the links, and what the
/// vehicle's own programs add.
#[derive(Debug)]
pub(super) struct Reporting {
    reported: Reported,
    functions: Vec<Shown>,
    stop: Option<Stopped>,
    /// Who changed the stop latch last.
    stop_by: Option<NodeName>,
    links: BTreeMap<Name, BTreeSet<Name>>,
    own: BTreeSet<Name>,
}

/// How a function was last reported.
#[derive(Debug)]
struct Shown {
    key: Name,
    stage: Stage,
    /// Of the lease, when it is held.
    fence: Option<FencingToken>,
    since_ms: Option<u64>,
    stage_since_ms: Option<u64>,
}

/// How the stop latch was last reported.
#[derive(Debug, PartialEq, Eq)]
struct Stopped {
    is_latched: bool,
    generation: u32,
}

impl Agent {
    /// From now on the hub is told how this vehicle stands: its `reported` document.
    pub fn report_to_hub(&mut self) {
        self.reporting = Some(Reporting {
            reported: Reported::new(self.me.clone()),
            functions: Vec::new(),
            stop: None,
            stop_by: None,
            links: BTreeMap::new(),
            own: BTreeSet::new(),
        });
    }

    /// The conversation with the fleet's hub: what the vehicle's programs ask there. What they hear comes as
    /// [`AgentEvent::Hub`].
    pub fn with_hub<T>(&mut self, now: MonoTime, act: impl FnOnce(&mut Caller) -> T) -> T {
        let result = act(self.hub.caller());
        self.work_hub(now);
        result
    }

    /// The vehicle's own programs report an item of it, or take it back. It is there as `own.` and its name.
    ///
    /// # Errors
    /// `NotFound`: nothing is reported. `Malformed`: the name is too long. `TooLarge`, `Full`: a bound; nothing has changed.
    pub fn report_own(
        &mut self,
        now: MonoTime,
        key: &Name,
        value: Option<Bytes>,
    ) -> Result<(), HubRefusal> {
        let reporting = self.reporting.as_mut().ok_or(HubRefusal::NotFound)?;
        reporting.set_own(key, value)?;
        self.work_hub(now);
        Ok(())
    }

    /// Notes who latched or cleared the stop.
    pub(super) fn note_stop_by(&mut self, who: &NodeName) {
        if let Some(reporting) = &mut self.reporting {
            reporting.stop_by = Some(who.clone());
        }
    }

    /// Looks at how the vehicle stands, hears the hub, and says what is due.
    // [SAFE-138]
    pub(super) fn work_hub(&mut self, now: MonoTime) {
        let shown_ms = self.wall.shown_ms(now);
        if let Some(reporting) = &mut self.reporting {
            reporting.look_at_functions(shown_ms, &self.functions);
            let stopped = Stopped {
                is_latched: self.latch.is_latched(),
                generation: self.latch.generation(),
            };
            reporting.look_at_stop(shown_ms, &self.me, stopped);
        }
        while let Some(event) = self.hub.caller().poll_event() {
            if let Some(reporting) = &mut self.reporting
                && reporting.on_event(now, &event, self.hub.caller())
            {
                continue;
            }
            self.events.push_back(AgentEvent::Hub(Box::new(event)));
        }
        if let Some(reporting) = &mut self.reporting {
            reporting.ask(now, self.hub.caller());
        }
        self.hub.work(now, &mut self.node);
    }

    /// Links may have come or gone.
    pub(super) fn look_at_links(&mut self) {
        if let Some(reporting) = &mut self.reporting {
            reporting.look_at_links(&self.node.paths());
        }
    }

    pub(super) fn next_hub_timeout(&self) -> Option<MonoTime> {
        let reporting = self.reporting.as_ref();
        let report = reporting.and_then(|reporting| reporting.reported.next_timeout());
        self.hub.next_timeout().into_iter().chain(report).min()
    }
}

impl Reporting {
    /// Sets an item that the vehicle itself reports.
    fn say(&mut self, key: &Name, value: String) {
        // Its own items are few and short. Only names of many links could be too much for the item, which is then as it was.
        let _ = self
            .reported
            .set(key, Some(Bytes::from(value.into_bytes())));
    }

    fn set_own(&mut self, key: &Name, value: Option<Bytes>) -> Result<(), HubRefusal> {
        let key: Name = format!("{OWN}.{key}")
            .parse()
            .map_err(|_| HubRefusal::Malformed)?;
        let is_removed = value.is_none();
        if !is_removed && !self.own.contains(&key) && self.own.len() >= REPORT_OWN_ITEMS_MAX {
            return Err(HubRefusal::Full);
        }
        self.reported.set(&key, value)?;
        if is_removed {
            self.own.remove(&key);
        } else {
            self.own.insert(key);
        }
        Ok(())
    }

    /// Compares numbers only, as it is done with every packet.
    fn look_at_functions(&mut self, shown_ms: Option<u64>, functions: &[Function]) {
        for (place, function) in functions.iter().enumerate() {
            let lease = &function.lease;
            let fence = lease.is_held().then(|| lease.token());
            if self.functions.len() <= place {
                let Some(key) = key_of(&function.config.name, place) else {
                    return;
                };
                self.functions.push(Shown {
                    key,
                    stage: function.stage,
                    fence,
                    since_ms: shown_ms,
                    stage_since_ms: shown_ms,
                });
            } else if let Some(shown) = self.functions.get_mut(place) {
                if shown.stage == function.stage && shown.fence == fence {
                    continue;
                }
                if shown.fence != fence {
                    (shown.fence, shown.since_ms) = (fence, shown_ms);
                }
                if shown.stage != function.stage {
                    (shown.stage, shown.stage_since_ms) = (function.stage, shown_ms);
                }
            }
            if let Some(shown) = self.functions.get(place) {
                let holder = fence.and_then(|_| lease.holder());
                let value = format!(
                    r#"{{"function":"{}","stage":"{}","stage_since_ms":{},"holder":{},"fence":{},"since_ms":{}}}"#,
                    function.config.name,
                    shown.stage,
                    number(shown.stage_since_ms),
                    text(holder),
                    lease.token().0,
                    number(shown.since_ms),
                );
                let key = shown.key.clone();
                self.say(&key, value);
            }
        }
    }

    fn look_at_stop(&mut self, shown_ms: Option<u64>, me: &NodeName, stopped: Stopped) {
        if self.stop.as_ref() == Some(&stopped) {
            return;
        }
        let Ok(key) = STOP.parse() else {
            return;
        };
        let by = self.stop_by.as_ref();
        let why = match (stopped.is_latched, by) {
            (true, Some(who)) if who == me => "\"vehicle\"",
            (true, Some(_)) => "\"operator\"",
            (true, None) => "\"before the start\"",
            (false, _) => "null",
        };
        let value = format!(
            r#"{{"latched":{},"generation":{},"by":{},"why":{why},"since_ms":{}}}"#,
            stopped.is_latched,
            stopped.generation,
            text(by),
            number(shown_ms),
        );
        self.stop = Some(stopped);
        self.say(&key, value);
    }

    fn look_at_links(&mut self, paths: &[PathView]) {
        let mut links: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
        for path in paths {
            let relays = links.entry(path.link.clone()).or_default();
            let health = path.status.as_ref().map(|status| status.health);
            // What is in doubt is still used, and comes back more often than it goes.
            if matches!(health, Some(Health::Live | Health::Suspect)) {
                relays.insert(path.relay.name.clone());
            }
        }
        let Ok(key) = LINKS.parse() else {
            return;
        };
        if links == self.links {
            return;
        }
        let each = links.iter().map(|(link, relays)| {
            let relays: Vec<String> = relays.iter().map(|relay| format!("\"{relay}\"")).collect();
            format!("\"{link}\":[{}]", relays.join(","))
        });
        let value = format!("{{{}}}", each.collect::<Vec<_>>().join(","));
        self.links = links;
        self.say(&key, value);
    }

    /// Whether the event is only about the document.
    fn on_event(&mut self, now: MonoTime, event: &CallerEvent, caller: &mut Caller) -> bool {
        if matches!(event, CallerEvent::Up | CallerEvent::Down)
            && let Some(ask) = self.reported.open_ask()
        {
            caller.forget(ask);
        }
        self.reported.on_event(now, event)
    }

    fn ask(&mut self, now: MonoTime, caller: &mut Caller) {
        let Some(request) = self.reported.next_request(now) else {
            return;
        };
        match caller.ask(request.clone()) {
            Ok(ask) => self.reported.on_asked(now, ask, &request),
            // The vehicle's programs ask too much; their answers make room.
            Err(_) => self.reported.on_no_room(now),
        }
    }
}

/// The key of a function's item; of a name that is too long as much as fits, and the number of its channel.
fn key_of(function: &Name, place: usize) -> Option<Name> {
    let whole = format!("{FUNCTION}.{function}");
    whole.parse().ok().or_else(|| {
        let channel = format!("-{}", place + 1);
        let fits = whole.get(..Name::BYTES_MAX.checked_sub(channel.len())?)?;
        format!("{fits}{channel}").parse().ok()
    })
}

fn text(name: Option<&NodeName>) -> String {
    name.map_or_else(|| "null".to_string(), |name| format!("\"{name}\""))
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "null".to_string(), |value| value.to_string())
}

/// What the keys of functions begin with.
const FUNCTION: &str = "function";
/// The stop latch.
const STOP: &str = "stop";
/// The links, and by which relays each is up.
const LINKS: &str = "links";
/// What the keys of the vehicle's own programs begin with.
const OWN: &str = "own";
