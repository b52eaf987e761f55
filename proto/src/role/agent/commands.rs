//! Commands: from a delivery through the gate to the program, and the verdict back.

use std::collections::BTreeMap;

use super::journey::Journey;
use super::persisting::Pending;
use super::{Agent, AgentEvent, Apply, Asked, function_mut};
use crate::base::limits::APPLYING_MAX;
use crate::base::{ApplicationId, Class, FencingToken, Flow, MonoTime, Refusal, Right, SessionId};
use crate::control::{Accepted, Life, gate};
use crate::session::Delivery;
use crate::wire::{Command, Outcome};

/// Commands that the program has and has not judged yet, by ticket.
pub(super) type AllApplying = BTreeMap<u64, Applying>;

/// A command that the program has.
#[derive(Debug)]
pub(super) struct Applying {
    session: SessionId,
    flow: Flow,
    number: u64,
    application_id: Option<ApplicationId>,
    journey: Journey,
    /// The command, when it is only rehearsed so far.
    rehearsed: Option<Accepted<Command>>,
}

impl Agent {
    /// What became at `at` of a command that the program was given.
    pub fn on_verdict(&mut self, at: MonoTime, ticket: u64, verdict: Result<(), Refusal>) {
        let Some(mut applying) = self.applying.remove(&ticket) else {
            return;
        };
        let mut verdict = verdict;
        if let Some(accepted) = applying.rehearsed.take() {
            let token = accepted.inner().token;
            verdict = self.on_rehearsed(at, &applying, token, verdict);
            if verdict.is_ok() {
                return self.submit(applying, accepted);
            }
            // Nothing was noted under its id.
            applying.application_id = None;
        }
        let outcome = match verdict {
            Ok(()) => {
                if let Some(guest) = self.guests.get_mut(&applying.session) {
                    guest.times = Some(applying.journey.times(at));
                }
                Outcome::Applied
            }
            Err(why) => {
                self.counters.refused += 1;
                // [WIRE-118] It may come again, also after a restart: nothing was done under its id.
                if let Some(id) = applying.application_id {
                    self.record.forget_applied(id);
                    self.persist(None);
                }
                outcome_of(why)
            }
        };
        self.resolve(applying.session, applying.flow, applying.number, outcome);
    }

    /// [SAFE-40] Only commands that pass the gate leave the agent's role, each as an `Accepted`.
    pub(super) fn on_command(
        &mut self,
        now: MonoTime,
        id: SessionId,
        delivery: &Delivery,
        journey: Journey,
    ) {
        let (flow, number) = (delivery.flow, delivery.number);
        let (accepted, application_id, rehearsal) = match self.judge(now, id, delivery) {
            Ok(judged) => judged,
            Err(why) => {
                self.counters.refused += 1;
                let asked = Asked::Command {
                    channel: flow.channel,
                    number,
                };
                self.tell_refused(id, asked, &why);
                self.resolve(id, flow, number, outcome_of(why));
                return;
            }
        };
        let applying = Applying {
            session: id,
            flow,
            number,
            application_id,
            journey,
            rehearsed: rehearsal.then(|| accepted.clone()),
        };
        self.submit(applying, accepted);
    }

    /// Gives a command to the program: a reliable one when its id is stored, unless it is only rehearsed.
    fn submit(&mut self, applying: Applying, accepted: Accepted<Command>) {
        let ticket = self.take_ticket();
        let rehearsal = applying.rehearsed.is_some();
        let application_id = applying.application_id.filter(|_| !rehearsal);
        let apply = Box::new(Apply {
            ticket,
            channel: applying.flow.channel,
            class: applying.flow.class,
            number: applying.number,
            accepted,
            journey: applying.journey.clone(),
            rehearsal,
        });
        self.applying.insert(ticket, applying);
        while self.applying.len() > APPLYING_MAX {
            self.applying.pop_first();
            self.counters.lost_verdicts += 1;
        }
        match application_id {
            // [WIRE-118]
            Some(application_id) => {
                self.record.note_applied(application_id);
                self.persist(Pending::Apply(apply));
            }
            None => self.events.push_back(AgentEvent::Apply(apply)),
        }
    }

    /// A command whose application id is on disk is applied, unless its lease ended or a stop came in the meantime.
    // [SAFE-26] [SAFE-33]
    pub(super) fn apply_persisted(&mut self, now: MonoTime, apply: Box<Apply>) {
        let token = apply.accepted.inner().token;
        let session = self
            .applying
            .get(&apply.ticket)
            .map(|applying| applying.session);
        let function = function_mut(&mut self.functions, apply.channel);
        let still = match (session, function) {
            (Some(session), Some(function)) => function.check(now, session, token),
            // Its session has ended, or its verdict is given up: nobody may have it applied.
            (None, _) | (_, None) => Err(Refusal::NotLeased),
        };
        let still = if self.latch.is_latched() {
            Err(Refusal::Stopped)
        } else {
            still
        };
        match still {
            Ok(()) => self.events.push_back(AgentEvent::Apply(apply)),
            Err(why) => self.on_verdict(now, apply.ticket, Err(why)),
        }
    }

    pub(super) fn resolve(&mut self, id: SessionId, flow: Flow, number: u64, outcome: Outcome) {
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.line.session.on_outcome(flow, number, outcome);
        }
    }

    fn judge(
        &mut self,
        now: MonoTime,
        id: SessionId,
        delivery: &Delivery,
    ) -> Result<(Accepted<Command>, Option<ApplicationId>, bool), Refusal> {
        let command = Command::decode(&delivery.bytes).map_err(|_| Refusal::Malformed)?;
        let function = function_mut(&mut self.functions, delivery.flow.channel)
            .ok_or(Refusal::NoSuchFunction)?;
        let once = matches!(delivery.flow.class, Class::Reliable | Class::Stop);
        let application_id = command.application_id.filter(|_| once);
        if once && application_id.is_none() {
            return Err(Refusal::Malformed);
        }
        let token = command.token;
        let guest = self.guests.get(&id).ok_or(Refusal::NotLeased)?;
        // [SAFE-81]
        if !guest.may(Right::Command, delivery.flow.channel) {
            return Err(Refusal::NotAllowed);
        }
        let rehearses = function.rehearses(id, token);
        let held = if rehearses {
            Ok(())
        } else {
            // A lease is one session's: another program of the same node does not command under it.
            let held = function.lease.check(now, &guest.peer, token);
            held.and_then(|()| function.check(now, id, token))
        };
        let kind = function.config.kind;
        let life = Life {
            sent_at: delivery
                .age
                .map_or(now, |age| now.before(age.age + age.error)),
            deadline: delivery.deadline,
        };
        let accepted = gate(now, kind, command, life, held, &self.latch)?;
        if application_id.is_some_and(|id| self.record.applied.contains(&id)) {
            return Err(Refusal::AlreadyApplied);
        }
        if once && !self.persisting.has_room() {
            return Err(Refusal::TooOften);
        }
        Ok((accepted, application_id, rehearses))
    }

    /// Whether the token of a rehearsed command is in force now, so that it is to be applied; why not otherwise.
    // [SAFE-90] [SAFE-91]
    fn on_rehearsed(
        &mut self,
        now: MonoTime,
        applying: &Applying,
        token: FencingToken,
        verdict: Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        verdict?;
        let channel = applying.flow.channel;
        let ready = function_mut(&mut self.functions, channel).is_some_and(|function| {
            function.rehearses(applying.session, token) && function.handover.on_rehearsal(now)
        });
        if !ready {
            return Err(Refusal::NotYet);
        }
        self.hand_over(now, channel, token);
        Ok(())
    }
}

fn outcome_of(why: Refusal) -> Outcome {
    if why == Refusal::Expired {
        Outcome::Expired
    } else {
        Outcome::Refused(why)
    }
}
