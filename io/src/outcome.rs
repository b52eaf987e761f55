//! Ways to relays, and what became of them.

use crate::ending::{CertificateFault, Ending};
use crate::exit::Exit;
use crate::socket::{Bind, SocketError};
use longrein_proto::base::{Name, PathId};
use std::net::SocketAddr;

/// One way to one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The link.
    pub link: Name,
    /// What its packets leave by.
    pub bind: Bind,
    /// The relay; its certificate must name it.
    pub relay: Name,
    /// Host and port of the relay as this link reaches it.
    pub address: String,
    /// Thousands of bits a second that the link may carry each way, for all its routes together.
    pub budget_kbit_s: u32,
}

impl Route {
    /// Whether both are the same way: what is sent on it, and how much, does not matter.
    pub(crate) fn leads_as(&self, other: &Route) -> bool {
        let Route {
            link,
            bind,
            relay,
            address,
            budget_kbit_s: _,
        } = self;
        (link, bind, relay, address) == (&other.link, &other.bind, &other.relay, &other.address)
    }
}

/// What became of a route, told to the program each time.
#[derive(Debug)]
pub enum DialOutcome {
    /// A connection is up.
    Up {
        /// Its path.
        path: PathId,
        /// The relay's address.
        remote: SocketAddr,
    },
    /// The connection is over; another is being dialled.
    Lost {
        /// Its path.
        path: PathId,
        /// Why.
        why: Ending,
    },
    /// The relay's name has no address that this link can use.
    Unresolved {
        /// What the system said.
        why: String,
    },
    /// The link cannot be used.
    NoSocket(SocketError),
    /// No attempt was answered.
    NoAnswer,
    /// The relay answered and it is no use: certificates, too many connections, another protocol.
    Refused(Ending),
}

impl DialOutcome {
    /// The exit code of a program that gives up now; none while things go well.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            DialOutcome::Up { .. } => None,
            DialOutcome::Unresolved { .. } | DialOutcome::NoSocket(_) | DialOutcome::NoAnswer => {
                Some(Exit::Unreachable)
            }
            DialOutcome::Lost { why, .. } | DialOutcome::Refused(why) => match why {
                Ending::RefusedThem(CertificateFault::NotValidNow)
                | Ending::RefusedUs(CertificateFault::NotValidNow) => Some(Exit::Expired),
                Ending::RefusedThem(_) | Ending::RefusedUs(_) | Ending::Full => Some(Exit::Refused),
                Ending::Protocol
                | Ending::Silent
                | Ending::Restarted
                | Ending::There
                | Ending::LinkGone
                | Ending::Here => Some(Exit::Unreachable),
            },
        }
    }

    /// One line for a person: what happened on this route, and what to do.
    pub fn describe(&self, route: &Route) -> String {
        let Route {
            link,
            relay,
            address,
            ..
        } = route;
        let place = format!("relay {relay} at {address} over link {link}");
        match self {
            DialOutcome::Up { .. } => format!("{place}: connected"),
            DialOutcome::Lost { why, .. } => format!("{place}: connection lost: {why}"),
            DialOutcome::Unresolved { why } => {
                format!("{place}: the name has no usable address: {why}")
            }
            DialOutcome::NoSocket(error) => format!("{place}: {error}"),
            DialOutcome::NoAnswer => {
                format!("{place}: no answer; does it run, and is its UDP port open?")
            }
            DialOutcome::Refused(why @ Ending::RefusedThem(CertificateFault::OtherNode)) => {
                format!("{place}: {why} than relay/{relay}: correct the relay's name or address")
            }
            DialOutcome::Refused(why) => format!("{place}: {why}"),
        }
    }

    /// Whether a person must mend something first.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            DialOutcome::Lost { why, .. } | DialOutcome::Refused(why) => why.is_refusal(),
            DialOutcome::Up { .. }
            | DialOutcome::Unresolved { .. }
            | DialOutcome::NoSocket(_)
            | DialOutcome::NoAnswer => false,
        }
    }
}
