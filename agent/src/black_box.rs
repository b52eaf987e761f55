//! What the agent writes into its record: made of the role's events and of what the control thread says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use longrein_io::clock;
use longrein_io::keys::Identity;
use longrein_io::recorder::{Commanded, Event, Fingerprint, Recorder, Told};
use longrein_proto::base::limits::APPLYING_MAX;
use longrein_proto::base::{Channel, MonoTime, Name, NodeName, Refusal, Right, SessionId};
use longrein_proto::crypto::Credential;
use longrein_proto::role::{AgentEvent, Apply, Asked};
use longrein_proto::wire::{Drive, Telemetry};

use crate::config::Config;
use crate::control_thread::ControlOutput;
use crate::dispatch::class_name;

/// Feeds the recorder, when there is one.
pub(crate) struct BlackBox {
    recorder: RefCell<Option<Recorder>>,
    functions: BTreeMap<Channel, Name>,
    commands: bool,
    telemetry: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Commands without a verdict yet, by ticket.
    applying: BTreeMap<u64, (Channel, Event)>,
    /// Until when telemetry of a function is recorded; none while it is leased.
    telemetry_until: BTreeMap<Channel, Option<MonoTime>>,
    /// When a limit of a function was told last.
    limits_told: BTreeMap<Channel, MonoTime>,
    allowance: Allowance,
}

/// What controllers without a lease can cause, in a second.
#[derive(Default)]
struct Allowance {
    since: MonoTime,
    spent: u32,
}

impl BlackBox {
    /// As the configuration says; with the program's start as first entry.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        config: &Config,
        identity: &Identity,
        credential: Arc<dyn Credential>,
    ) -> io::Result<BlackBox> {
        let section = &config.record;
        let recorder = match config.record_directory() {
            Some(directory) => Some(Recorder::start(directory, section.bytes_max(), credential)?),
            None => None,
        };
        let functions = config
            .functions()
            .map(|(channel, function)| (channel, function.name.clone()))
            .collect();
        let black_box = BlackBox {
            recorder: RefCell::new(recorder),
            functions,
            commands: section.commands,
            telemetry: section.telemetry,
            state: RefCell::default(),
        };
        black_box.record(
            clock::now(),
            &Event::Start {
                node: identity.node().to_string(),
                version: VERSION.to_string(),
                fingerprint: Fingerprint(identity.fingerprint()),
            },
        );
        Ok(black_box)
    }

    /// Takes what the role tells.
    pub(crate) fn on_event(&self, event: &AgentEvent) {
        let now = clock::now();
        match event {
            AgentEvent::Apply(apply) => self.on_apply(apply),
            AgentEvent::Stop { author, generation } => self.record(
                now,
                &Event::Stop {
                    author: author.as_ref().map(ToString::to_string),
                    generation: (*generation).into(),
                },
            ),
            AgentEvent::StopReset { author, generation } => self.record(
                now,
                &Event::Reset {
                    author: author.to_string(),
                    generation: (*generation).into(),
                },
            ),
            AgentEvent::LeaseGranted {
                channel,
                holder,
                token,
            } => {
                let until = &mut self.state.borrow_mut().telemetry_until;
                until.insert(*channel, None);
                self.record(
                    now,
                    &Event::LeaseGranted {
                        function: self.name(*channel),
                        holder: holder.to_string(),
                        token: token.0,
                    },
                );
            }
            AgentEvent::LeaseEnded {
                channel,
                holder,
                token,
                why,
            } => {
                let until = &mut self.state.borrow_mut().telemetry_until;
                until.insert(*channel, Some(now + TELEMETRY_AFTER));
                self.record(
                    now,
                    &Event::LeaseEnded {
                        function: self.name(*channel),
                        holder: holder.to_string(),
                        token: token.0,
                        why: why.to_string(),
                    },
                );
            }
            AgentEvent::LeaseHandedOver {
                channel,
                from,
                holder,
                token,
            } => self.record(
                now,
                &Event::Handover {
                    function: self.name(*channel),
                    from: from.to_string(),
                    to: holder.to_string(),
                    token: token.0,
                },
            ),
            AgentEvent::NotAllowed { peer, right } => {
                self.record_within_allowance(now, &not_allowed(peer, *right));
            }
            AgentEvent::SessionUp {
                session,
                peer,
                fingerprint,
            } => self.record_within_allowance(now, &begun(*session, peer, *fingerprint)),
            AgentEvent::SessionRenewed {
                session,
                peer,
                fingerprint,
            } => self.record_within_allowance(now, &renewed(*session, peer, *fingerprint)),
            AgentEvent::SessionDown { session, peer, why } => {
                self.record_within_allowance(now, &ended(*session, peer, &why.to_string()));
            }
            AgentEvent::Clock { peer, difference } => {
                self.record_within_allowance(now, &Event::peer_clock(peer, *difference));
            }
            AgentEvent::News { to, news } => {
                self.record_within_allowance(now, &Event::news(self.name(news.channel()), to, news))
            }
            AgentEvent::Refused { peer, asked, why } => self.on_refused(now, peer, *asked, why),
            AgentEvent::Revocations { number, .. } => {
                self.record(now, &Event::Revocations { list: *number });
            }
            AgentEvent::Hub(_)
            | AgentEvent::Persist { .. }
            | AgentEvent::RelayUp { .. }
            | AgentEvent::Draining { .. }
            | AgentEvent::Metered { .. }
            | AgentEvent::SharedAddress(_)
            | AgentEvent::Health { .. } => {}
        }
    }

    /// Takes what the control thread says.
    pub(crate) fn on_output(&self, output: &ControlOutput) {
        match output {
            ControlOutput::Verdict { ticket, result, at } => self.on_verdict(*at, *ticket, result),
            ControlOutput::Limited { ticket, drive, at } => self.on_limited(*at, *ticket, *drive),
            ControlOutput::Stage { channel, stage, at } => self.record(
                *at,
                &Event::Stage {
                    function: self.name(*channel),
                    stage: stage.to_string(),
                },
            ),
            ControlOutput::Telemetry {
                channel,
                telemetry,
                at,
            } => self.on_telemetry(*at, *channel, telemetry),
            // The role tells of it, with its author.
            ControlOutput::OwnStop { .. } => {}
            ControlOutput::AdapterUp { channel } => self.on_device(*channel, "up"),
            ControlOutput::AdapterDown { channel } => self.on_device(*channel, "down"),
        }
    }

    /// What became of a command.
    pub(crate) fn on_verdict(&self, at: MonoTime, ticket: u64, result: &Result<(), Refusal>) {
        let applying = self.state.borrow_mut().applying.remove(&ticket);
        let Some((_, mut event)) = applying else {
            return;
        };
        if let Event::Command { verdict, why, .. } = &mut event {
            let (word, reason) = match result {
                Ok(()) => ("applied", None),
                Err(Refusal::Expired) => ("expired", None),
                Err(refusal) => ("refused", Some(refusal.to_string())),
            };
            *verdict = word.to_string();
            *why = reason;
        }
        self.record(at, &event);
    }

    /// Waits until everything is on disk.
    pub(crate) fn finish(&self) {
        self.recorder.take();
    }

    fn on_refused(&self, now: MonoTime, peer: &NodeName, asked: Asked, why: &Refusal) {
        let (asked, channel, number) = match asked {
            Asked::Command { channel, number } => ("command", Some(channel), Some(number)),
            Asked::Request { word, channel } => (word, channel, None),
        };
        let event = Event::Refused {
            peer: peer.to_string(),
            asked: asked.to_string(),
            function: channel.map(|channel| self.name(channel)),
            number,
            why: why.to_string(),
        };
        self.record_within_allowance(now, &event);
    }

    fn on_apply(&self, apply: &Apply) {
        if !self.commands || apply.rehearsal || self.recorder.borrow().is_none() {
            return;
        }
        let us = |span: Duration| u64::try_from(span.as_micros()).ok();
        let age = apply.journey.age;
        let event = Event::Command {
            function: self.name(apply.channel),
            class: class_name(apply.class).to_string(),
            number: apply.number,
            age_us: age.and_then(|age| us(age.age)),
            error_us: age.and_then(|age| us(age.error)),
            verdict: String::new(),
            why: None,
            command: Commanded(apply.accepted.inner().encode()),
        };
        let applying = &mut self.state.borrow_mut().applying;
        applying.insert(apply.ticket, (apply.channel, event));
        if applying.len() > APPLYING_MAX {
            applying.pop_first();
            self.note_dropped();
        }
    }

    /// A speed that is held above its limit is told once a second.
    fn on_limited(&self, at: MonoTime, ticket: u64, drive: Drive) {
        let mut state = self.state.borrow_mut();
        let Some((channel, Event::Command { number, .. })) = state.applying.get(&ticket) else {
            return;
        };
        let (channel, number) = (*channel, *number);
        let told = state.limits_told.get(&channel);
        if told.is_some_and(|told| at.since(*told) < LIMIT_INTERVAL) {
            return;
        }
        state.limits_told.insert(channel, at);
        drop(state);
        self.record(
            at,
            &Event::Limit {
                function: self.name(channel),
                number,
                speed_mm_s: drive.speed_mm_s.into(),
                curvature_per_km: drive.curvature_per_km.into(),
            },
        );
    }

    pub(crate) fn on_telemetry(&self, at: MonoTime, channel: Channel, telemetry: &Telemetry) {
        let wanted = match self.state.borrow().telemetry_until.get(&channel) {
            Some(None) => true,
            Some(Some(until)) => at < *until,
            None => false,
        };
        if self.telemetry && wanted {
            let event = Event::Telemetry {
                function: self.name(channel),
                telemetry: Told(telemetry.encode()),
            };
            self.record(at, &event);
        }
    }

    fn on_device(&self, channel: Channel, state: &str) {
        let event = Event::Device {
            function: self.name(channel),
            state: state.to_string(),
        };
        self.record(clock::now(), &event);
    }

    fn record_within_allowance(&self, now: MonoTime, event: &Event) {
        if self.state.borrow_mut().allowance.try_spend(now) {
            self.record(now, event);
        } else {
            self.note_dropped();
        }
    }

    fn record(&self, at: MonoTime, event: &Event) {
        if let Some(recorder) = self.recorder.borrow().as_ref() {
            recorder.record(at, event);
        }
    }

    fn note_dropped(&self) {
        if let Some(recorder) = self.recorder.borrow().as_ref() {
            recorder.note_dropped(1);
        }
    }

    fn name(&self, channel: Channel) -> String {
        self.functions
            .get(&channel)
            .map_or("?".to_string(), ToString::to_string)
    }
}

fn not_allowed(peer: &NodeName, right: Right) -> Event {
    Event::Note {
        subject: "policy".to_string(),
        text: format!("{peer} may not {}", right.as_str()),
    }
}

fn begun(session: SessionId, peer: &NodeName, fingerprint: [u8; 32]) -> Event {
    Event::SessionBegun {
        session: session.0.into(),
        peer: peer.to_string(),
        certificate: Some(Fingerprint(fingerprint).to_string()),
    }
}

fn renewed(session: SessionId, peer: &NodeName, fingerprint: [u8; 32]) -> Event {
    Event::SessionRenewed {
        session: session.0.into(),
        peer: peer.to_string(),
        certificate: Fingerprint(fingerprint),
    }
}

fn ended(session: SessionId, peer: &NodeName, why: &str) -> Event {
    Event::SessionEnded {
        session: session.0.into(),
        peer: peer.to_string(),
        why: why.to_string(),
    }
}

impl Allowance {
    fn try_spend(&mut self, now: MonoTime) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            *self = Allowance {
                since: now,
                spent: 0,
            };
        }
        self.spent += 1;
        self.spent <= ALLOWANCE_PER_S
    }
}

/// Program and version, as an entry says them.
const VERSION: &str = concat!("longrein-agent ", env!("CARGO_PKG_VERSION"));
/// Telemetry is recorded as long as somebody may drive, and for this long after: until every vehicle stands. One that is parked
/// does not overwrite its last drive.
const TELEMETRY_AFTER: Duration = Duration::from_secs(60);
/// Between entries about the limit of one function.
const LIMIT_INTERVAL: Duration = Duration::from_secs(1);
/// Sessions and refusals that are recorded in a second: a controller that may drive nothing must not push out what others drove
/// (64 MB last for nine hours of it).
const ALLOWANCE_PER_S: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_can_cause_has_a_bound_that_each_second_renews() {
        let mut allowance = Allowance::default();
        let now = MonoTime::from_us(5_000_000);
        let spent = (0..1_000).filter(|_| allowance.try_spend(now)).count();
        assert_eq!(spent, 20);
        assert!(!allowance.try_spend(now + Duration::from_millis(999)));
        assert!(allowance.try_spend(now + Duration::from_secs(1)));
    }
}
