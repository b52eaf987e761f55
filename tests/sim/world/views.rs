//! What a scenario can ask of its world.

use std::hash::Hasher;
use std::sync::Arc;

use longrein_proto::base::{ApplicationId, MonoTime, NodeKind, NodeName};
use longrein_proto::crypto::Credential;
use longrein_proto::role::{
    Agent, ApplicantEvent, AuthorityEvent, Controller, ControllerEvent, Relay, RelayEvent,
};
use longrein_proto::session::Resolution;

use super::slot::{Body, node_name};
use super::{Station, World};
use crate::account::Arrived;
use crate::{Chance, Clock, Ledger, TestFleet, Vehicle};

impl World {
    /// The world's time.
    pub fn now(&self) -> MonoTime {
        self.now
    }

    /// A number that only the same packets at the same times give.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Whether a station's process runs.
    pub fn is_running(&self, station: Station) -> bool {
        let slot = self.slot(station);
        slot.frozen.is_none() && !matches!(slot.body, Body::Dead)
    }

    /// A station's own time.
    pub fn time_of(&self, station: Station) -> MonoTime {
        self.slot(station).clock.at(self.now)
    }

    /// A station's clock.
    pub fn clock_of(&self, station: Station) -> Clock {
        self.slot(station).clock
    }

    /// A station's name.
    pub fn name_of(&self, station: Station) -> &NodeName {
        &self.slot(station).node
    }

    /// The first station of this name.
    pub fn station(&self, name: &str) -> Station {
        let mut slots = self.stations.iter().zip(0..);
        let found = slots.find(|(slot, _)| slot.node.name.as_str() == name);
        let (_, index) = found.unwrap_or_else(|| panic!("no station {name}"));
        Station(index)
    }

    /// Stations on which an agent lives or lived.
    pub fn agents(&self) -> impl Iterator<Item = Station> {
        let slots = self.stations.iter().zip(0..);
        slots
            .filter(|(slot, _)| slot.node.kind == NodeKind::Agent)
            .map(|(_, index)| Station(index))
    }

    /// When a station's process was stopped, in the world's time.
    pub fn frozen_spans(&self, station: Station) -> &[(MonoTime, MonoTime)] {
        &self.slot(station).frozen_spans
    }

    /// What operators sent and were told.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What became of the newest command under an application id, as far as its sender was told.
    pub fn receipt(&self, id: ApplicationId) -> Option<Resolution> {
        self.ledger.receipt(id)
    }

    /// The papers of any node of the fleet: what a thief could have.
    pub fn stolen_credential(&mut self, kind: NodeKind, name: &str) -> Arc<dyn Credential> {
        self.fleet.credential(&node_name(kind, name))
    }

    /// The fleet.
    pub fn fleet(&mut self) -> &mut TestFleet {
        &mut self.fleet
    }

    /// Randomness of its own for one part of the scenario.
    pub fn branch(&mut self) -> Chance {
        Chance::new(self.chance.below(u64::MAX))
    }

    /// A controller's events so far.
    pub fn controller_events(&self, station: Station) -> &[(MonoTime, ControllerEvent)] {
        match &self.slot(station).body {
            Body::Controller { events, .. } => events,
            _ => &[],
        }
    }

    /// A relay's events so far, of its present run.
    pub fn relay_events(&self, station: Station) -> &[RelayEvent] {
        match &self.slot(station).body {
            Body::Relay { events, .. } => events,
            _ => &[],
        }
    }

    /// What the authority was asked so far.
    pub fn authority_events(&self, station: Station) -> &[AuthorityEvent] {
        match &self.slot(station).body {
            Body::Authority { events, .. } => events,
            _ => &[],
        }
    }

    /// What an applicant was told so far.
    pub fn applicant_events(&self, station: Station) -> &[ApplicantEvent] {
        match &self.slot(station).body {
            Body::Applicant { events, .. } => events,
            _ => &[],
        }
    }

    /// A living agent's role.
    pub fn agent_role(&self, station: Station) -> &Agent {
        match &self.slot(station).body {
            Body::Agent(body) => &body.role,
            _ => panic!("the station is no living agent"),
        }
    }

    /// A living controller's role.
    pub fn controller_role(&self, station: Station) -> &Controller {
        match &self.slot(station).body {
            Body::Controller { role, .. } => role,
            _ => panic!("the station is no living controller"),
        }
    }

    /// A living relay's role.
    pub fn relay_role(&self, station: Station) -> &Relay {
        match &self.slot(station).body {
            Body::Relay { role, .. } => role,
            _ => panic!("the station is no living relay"),
        }
    }

    /// A living agent's vehicle, or the last one of a dead agent.
    pub fn vehicle(&self, station: Station) -> &Vehicle {
        self.lives(station)
            .last()
            .unwrap_or_else(|| panic!("the station is no agent"))
    }

    /// The vehicles of all runs of an agent, oldest first.
    pub fn lives(&self, station: Station) -> impl Iterator<Item = &Vehicle> {
        let slot = self.slot(station);
        let living = match &slot.body {
            Body::Agent(body) => Some(&body.vehicle),
            _ => None,
        };
        slot.past.iter().chain(living)
    }

    /// Whether an agent has a write under way.
    pub fn is_writing(&self, station: Station) -> bool {
        match &self.slot(station).body {
            Body::Agent(body) => !body.writes.is_empty(),
            _ => false,
        }
    }

    /// Envelopes that a hostile relay did something to.
    pub fn tampered(&self, station: Station) -> u64 {
        match &self.slot(station).body {
            Body::Hostile(role) => role.tampered,
            _ => 0,
        }
    }

    pub(crate) fn arrived(&self, station: Station) -> &Arrived {
        &self.slot(station).arrived
    }

    pub(crate) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    #[cfg(test)]
    pub(crate) fn vehicle_mut(&mut self, station: Station) -> &mut Vehicle {
        match &mut self.stations[station.0].body {
            Body::Agent(body) => &mut body.vehicle,
            _ => panic!("the station is no living agent"),
        }
    }
}
