//! Who is measured.

use std::sync::Arc;

use longrein::Class;

use super::arrivals::Arrivals;
use super::site::Site;
use super::{longrein_fleet, mosquitto, nats, quinn_datagrams, raw_udp, zenoh};

/// Who carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Longrein,
    Mosquitto,
    Nats,
    Zenoh,
    Quinn,
    /// No peer but the control: datagrams through a forwarder.
    RawUdp,
}

/// Programs of a peer that run: relay or broker, vehicles and controllers. They end when it is dropped.
pub trait Contestant {
    /// What sends the messages of a pair; it moves to a thread of the controller's node.
    fn sender(&mut self, pair: usize) -> anyhow::Result<Box<dyn Sender>>;

    /// Kills the first relay; who has one only starts it again at once.
    fn kill_relay(&mut self);
}

/// What sends the messages of one pair.
pub trait Sender: Send {
    /// Sends a message; false when nobody takes it now.
    fn send(&mut self, body: &str) -> bool;

    /// Numbers of the messages that the peer called applied; none when it does not tell.
    fn confirmed(&mut self) -> Option<Vec<u64>> {
        None
    }
}

impl Peer {
    /// Those that longrein is compared with.
    pub const OTHERS: [Peer; 4] = [Peer::Mosquitto, Peer::Nats, Peer::Zenoh, Peer::Quinn];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Peer::Longrein => "longrein",
            Peer::Mosquitto => "Mosquitto QoS 1, TLS",
            Peer::Nats => "NATS",
            Peer::Zenoh => "zenoh, QUIC",
            Peer::Quinn => "quinn datagrams",
            Peer::RawUdp => "raw UDP",
        }
    }

    /// Its name in JSON.
    pub const fn slug(self) -> &'static str {
        match self {
            Peer::Longrein => "longrein",
            Peer::Mosquitto => "mosquitto",
            Peer::Nats => "nats",
            Peer::Zenoh => "zenoh",
            Peer::Quinn => "quinn",
            Peer::RawUdp => "raw_udp",
        }
    }

    /// Relays that it can use.
    pub fn relays(self, most: usize) -> usize {
        if self == Peer::Longrein { most } else { 1 }
    }

    /// What it is set to.
    pub const fn configuration(self) -> &'static str {
        match self {
            Peer::Longrein => longrein_fleet::CONFIGURATION,
            Peer::Mosquitto => mosquitto::CONFIGURATION,
            Peer::Nats => nats::CONFIGURATION,
            Peer::Zenoh => zenoh::CONFIGURATION,
            Peer::Quinn => quinn_datagrams::CONFIGURATION,
            Peer::RawUdp => raw_udp::CONFIGURATION,
        }
    }

    /// Why it cannot be measured here; none when it can.
    pub fn missing(self) -> Option<String> {
        match self {
            Peer::Longrein | Peer::Quinn | Peer::RawUdp => None,
            Peer::Mosquitto => mosquitto::missing(),
            Peer::Nats => nats::missing(),
            Peer::Zenoh => zenoh::missing(),
        }
    }

    /// Starts its programs; what arrives is noted by pair.
    pub fn start(
        self,
        site: &Site<'_>,
        class: Class,
        arrivals: &[Arc<Arrivals>],
    ) -> anyhow::Result<Box<dyn Contestant>> {
        Ok(match self {
            Peer::Longrein => Box::new(longrein_fleet::start(site, class, arrivals)?),
            Peer::Mosquitto => Box::new(mosquitto::start(site, arrivals)?),
            Peer::Nats => Box::new(nats::start(site, arrivals)?),
            Peer::Zenoh => Box::new(zenoh::start(site, arrivals)?),
            Peer::Quinn => Box::new(quinn_datagrams::start(site, arrivals)?),
            Peer::RawUdp => Box::new(raw_udp::start(site, arrivals)?),
        })
    }
}
