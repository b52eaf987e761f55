//! What stands behind an agent in the world: the actuations that a control thread would run, and a notebook.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{
    ApplicationId, Channel, Class, FencingToken, MonoTime, Name, NodeName, Refusal, Right, Stage,
};
use longrein_proto::control::{Actuation, ActuationConfig, Policy, WatchdogConfig};
use longrein_proto::hub::CallerEvent;
use longrein_proto::path::MeterNews;
use longrein_proto::role::{
    Agent, AgentConfig, Apply, ClockDifference, FunctionConfig, Journey, LeaseEndReason,
    SessionEndReason, SharedAddress,
};
use longrein_proto::wire::{Body, FunctionKind, News};

/// A vehicle with the functions `drive` (channel 1, typed, guarded) and `tunnel` (channel 2, opaque), from a start of its
/// agent to the end of that process.
pub struct Vehicle {
    functions: Vec<Actuation>,
    /// When its agent started, on the agent's clock.
    pub began: MonoTime,
    /// Every lease that was granted, in order.
    pub grants: Vec<Granted>,
    /// Every handover of a lease, also among the grants: from whom.
    pub handovers: Vec<(MonoTime, Channel, NodeName)>,
    /// Everything that a node was told of a lease: whom, and what.
    pub news: Vec<(NodeName, News)>,
    /// What was told of metered links.
    pub metered: Vec<(Name, MeterNews)>,
    /// What was told of links that leave through one address.
    pub shared_addresses: Vec<SharedAddress>,
    /// How far whose wall clock was ahead of the own one.
    pub clocks: Vec<(NodeName, ClockDifference)>,
    /// Every end of a lease.
    pub lease_ends: Vec<(MonoTime, Channel)>,
    /// Every loss of a device.
    pub device_losses: Vec<(MonoTime, Channel)>,
    /// Every request of the vehicle's own software for MinimalRisk.
    pub own_requests: Vec<(MonoTime, Channel)>,
    /// Functions whose devices are there and take nothing.
    pub full: Vec<Channel>,
    /// Every command that took effect, in order.
    pub applied: Vec<AppliedCommand>,
    /// Every command that got as far as the vehicle and was refused there.
    pub refused: Vec<Refusal>,
    /// Every stage that was entered, with its function.
    pub stages: Vec<(MonoTime, Channel, Stage)>,
    /// Every stop and reset: when, and whether it is a stop.
    pub stops: Vec<(MonoTime, bool)>,
    /// When its agent ended in good order.
    pub ended: Option<MonoTime>,
    /// What an audit would want to know, in order.
    pub audit: Vec<Audit>,
    /// What the hub said for the vehicle's own programs.
    pub hub_events: Vec<CallerEvent>,
    /// The newest record that survives a power cut.
    pub disk: Vec<u8>,
    /// The newest list of revocations, on the same disk.
    pub revocations: Vec<Arc<[u8]>>,
}

/// A lease that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// When, on the agent's clock.
    pub at: MonoTime,
    /// How many commands had taken effect before.
    pub after: usize,
    /// The function.
    pub channel: Channel,
    /// To whom.
    pub holder: NodeName,
    /// The new token.
    pub token: FencingToken,
}

/// Who did what, as the agent's log says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Who stopped the vehicle, in which generation.
    Stop(Option<NodeName>, u32),
    /// Who reset the stop, and the generation that began.
    Reset(NodeName, u32),
    /// Whose lease ended, under which token, and why.
    LeaseEnded(Channel, NodeName, FencingToken, LeaseEndReason),
    /// Who was refused what by the policy.
    NotAllowed(NodeName, Right),
    /// Who has shown a newer certificate.
    SessionRenewed(NodeName),
    /// Whose session ended, and why.
    SessionDown(NodeName, SessionEndReason),
    /// Which list of revocations counts from now on.
    Revocations(u64),
}

/// A command that took effect.
#[derive(Clone, Debug)]
pub struct AppliedCommand {
    /// When, on the agent's clock.
    pub at: MonoTime,
    /// The function.
    pub channel: Channel,
    /// The flow's promise.
    pub class: Class,
    /// Its number in its flow.
    pub number: u64,
    /// Under this lease.
    pub token: FencingToken,
    /// When it would have been too late, on the agent's clock.
    pub deadline: MonoTime,
    /// Of a reliable flow.
    pub application_id: Option<ApplicationId>,
    /// What it said.
    pub body: Body,
    /// How it came.
    pub journey: Journey,
}

impl Vehicle {
    /// Channel of the typed function `drive`.
    pub const DRIVE: Channel = channel(1);
    /// Channel of the opaque function `tunnel`.
    pub const TUNNEL: Channel = channel(2);

    /// An opaque command with something in it that no relay may see.
    pub fn secret(bytes: &[u8]) -> Vec<u8> {
        [crate::check::SECRET, bytes].concat()
    }

    /// A vehicle that stands still, with what its disk holds.
    pub fn new(began: MonoTime, disk: Vec<u8>) -> Vehicle {
        let guarded = ActuationConfig {
            watchdog: Some(WatchdogConfig::default()),
            limits: None,
        };
        let unguarded = ActuationConfig {
            watchdog: None,
            limits: None,
        };
        let with_device = |config| {
            let mut actuation = Actuation::new(config, false);
            actuation.on_device(began, true);
            actuation
        };
        Vehicle {
            functions: vec![with_device(guarded), with_device(unguarded)],
            began,
            grants: Vec::new(),
            handovers: Vec::new(),
            news: Vec::new(),
            metered: Vec::new(),
            shared_addresses: Vec::new(),
            clocks: Vec::new(),
            lease_ends: Vec::new(),
            device_losses: Vec::new(),
            own_requests: Vec::new(),
            full: Vec::new(),
            applied: Vec::new(),
            refused: Vec::new(),
            stages: Vec::new(),
            stops: Vec::new(),
            ended: None,
            audit: Vec::new(),
            hub_events: Vec::new(),
            disk,
            revocations: Vec::new(),
        }
    }

    /// The stage that the drive function is in.
    pub fn stage(&self) -> Stage {
        self.functions[0].stage()
    }

    /// The stages that the drive function entered, in order.
    pub fn stages_entered(&self) -> Vec<Stage> {
        let drive = |(_, channel, stage): &(_, Channel, Stage)| {
            (*channel == Vehicle::DRIVE).then_some(*stage)
        };
        self.stages.iter().filter_map(drive).collect()
    }

    /// The numbers of all commands of a function that took effect, in order.
    pub fn applied_numbers(&self, channel: Channel) -> Vec<u64> {
        self.applied
            .iter()
            .filter(|command| command.channel == channel)
            .map(|command| command.number)
            .collect()
    }

    pub(crate) fn agent_config(me: NodeName) -> AgentConfig {
        let function = |name: &str, kind| FunctionConfig {
            name: name.parse().expect("a valid name"),
            kind,
            lease_ttl: Duration::from_millis(500),
        };
        let functions = vec![
            function("drive", FunctionKind::Drive),
            function("tunnel", FunctionKind::Opaque),
        ];
        AgentConfig {
            me,
            functions,
            policy: Policy::open(),
        }
    }

    pub(crate) fn apply(&mut self, now: MonoTime, apply: Apply, role: &mut Agent) {
        let index = usize::from(apply.channel.number()) - 1;
        let token = apply.accepted.inner().token;
        let deadline = apply.accepted.deadline();
        let application_id = apply.accepted.inner().application_id;
        if apply.rehearsal {
            let verdict = self.functions[index].rehearse(now, &apply.accepted);
            role.on_verdict(now, apply.ticket, verdict);
            self.tell_stages(now, role);
            return;
        }
        let full = self.full.contains(&apply.channel);
        let applied = &mut self.applied;
        let verdict = self.functions[index].on_command(now, apply.accepted, |taken, _| {
            if full {
                return Err(Refusal::TooOften);
            }
            applied.push(AppliedCommand {
                at: now,
                channel: apply.channel,
                class: apply.class,
                number: apply.number,
                token,
                deadline,
                application_id,
                body: taken.body().clone(),
                journey: apply.journey,
            });
            Ok(())
        });
        if let Err(why) = &verdict {
            self.refused.push(why.clone());
        }
        role.on_verdict(now, apply.ticket, verdict);
        self.tell_stages(now, role);
    }

    pub(crate) fn stop(&mut self, now: MonoTime, role: &mut Agent) {
        self.stops.push((now, true));
        for function in &mut self.functions {
            function.on_stop(now);
        }
        self.tell_stages(now, role);
    }

    pub(crate) fn end(&mut self, now: MonoTime, role: &mut Agent) {
        self.ended = Some(now);
        for function in &mut self.functions {
            function.on_end(now);
        }
        self.tell_stages(now, role);
    }

    pub(crate) fn reset(&mut self, now: MonoTime, role: &mut Agent) {
        self.stops.push((now, false));
        for function in &mut self.functions {
            function.on_reset(now);
        }
        self.tell_stages(now, role);
    }

    pub(crate) fn handed_over(&mut self, channel: Channel, token: FencingToken) {
        self.functions[usize::from(channel.number()) - 1].on_handed_over(token);
    }

    pub(crate) fn lease_ended(&mut self, now: MonoTime, channel: Channel, role: &mut Agent) {
        self.lease_ends.push((now, channel));
        self.functions[usize::from(channel.number()) - 1].on_lease_end(now);
        self.tell_stages(now, role);
    }

    pub(crate) fn device(&mut self, now: MonoTime, channel: Channel, up: bool, role: &mut Agent) {
        if !up {
            self.device_losses.push((now, channel));
        }
        self.functions[usize::from(channel.number()) - 1].on_device(now, up);
        self.tell_stages(now, role);
    }

    pub(crate) fn own_request(&mut self, now: MonoTime, channel: Channel, role: &mut Agent) {
        let function = &mut self.functions[usize::from(channel.number()) - 1];
        function.on_own_request(now).expect("it has a watchdog");
        self.own_requests.push((now, channel));
        self.tell_stages(now, role);
    }

    pub(crate) fn on_timeout(&mut self, now: MonoTime, role: &mut Agent) {
        for function in &mut self.functions {
            function.on_timeout(now);
        }
        self.tell_stages(now, role);
    }

    pub(crate) fn next_timeout(&self) -> Option<MonoTime> {
        self.functions
            .iter()
            .filter_map(Actuation::next_timeout)
            .min()
    }

    fn tell_stages(&mut self, now: MonoTime, role: &mut Agent) {
        for (index, function) in self.functions.iter_mut().enumerate() {
            let channel = if index == 0 {
                Vehicle::DRIVE
            } else {
                Vehicle::TUNNEL
            };
            while let Some(change) = function.poll_event() {
                self.stages.push((change.at, channel, change.stage));
                role.on_stage(now, channel, change.stage);
            }
        }
    }
}

const fn channel(number: u8) -> Channel {
    match Channel::new(number) {
        Some(channel) => channel,
        None => Channel::SESSION,
    }
}
