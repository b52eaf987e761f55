//! The ways out of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use longrein_io::dial::Route;
use longrein_io::socket::{self, Bind, NODE_BUFFER_BYTES};
use longrein_proto::base::Name;

use super::finding::Finding;

/// What is known of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    is_up: bool,
    /// Whether there is somebody at its other end; none while it is down.
    has_carrier: Option<bool>,
}

impl Facts {
    /// None when the machine has no such interface.
    pub(super) fn look(interface: &str) -> Option<Facts> {
        if interface.contains('/') {
            return None;
        }
        let folder = Path::new("/sys/class/net").join(interface);
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
        let flags = read("flags")?;
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
        Some(Facts {
            is_up: flags & IFF_UP != 0,
            has_carrier: read("carrier").map(|carrier| carrier.trim() == "1"),
        })
    }
}

/// One for each link of the routes.
pub(super) fn findings(routes: &[Route], look: impl Fn(&str) -> Option<Facts>) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let links = routes
        .iter()
        .filter(|route| seen.insert((&route.link, format!("{:?}", route.bind))));
    links
        .map(|route| finding(&route.link, &route.bind, &look))
        .collect()
}

fn finding(link: &Name, bind: &Bind, look: impl Fn(&str) -> Option<Facts>) -> Finding {
    let check = format!("link {link}");
    match bind {
        Bind::Any => Finding::ok(check, "the routing table says what its packets leave by"),
        Bind::Address(address) => match socket::open((*address, 0).into(), None, NODE_BUFFER_BYTES)
        {
            Ok(_) => Finding::ok(check, format!("this machine has its address {address}")),
            Err(error) => {
                let advice = format!(
                    "correct `address` in [[link]] {link}, or give the machine that address"
                );
                Finding::fail(check, error.to_string(), advice)
            }
        },
        // What it matches is a link of its own, by its interface.
        Bind::Pattern { pattern, .. } => Finding::warn(
            check,
            format!("no interface that can be used matches {pattern}"),
            "plug one in, or see why it has no address: `ip address` shows what there is",
        ),
        Bind::Interface(name) => match look(name) {
            None => Finding::fail(
                check,
                format!("there is no interface {name}"),
                format!(
                    "plug it in, or correct `interface` in [[link]] {link}: `ip link` shows what there is"
                ),
            ),
            Some(Facts { is_up: false, .. }) => Finding::fail(
                check,
                format!("interface {name} is down"),
                format!("run `ip link set {name} up`, or see to whoever manages it"),
            ),
            Some(Facts {
                has_carrier: Some(false),
                ..
            }) => Finding::fail(
                check,
                format!("interface {name} is up, and has no carrier"),
                "see to its cable, its antenna or its SIM",
            ),
            Some(Facts { .. }) => bound(check, name),
        },
    }
}

/// Whether a socket can be bound to an interface that is up.
fn bound(check: String, interface: &str) -> Finding {
    let open = |any: &str| {
        let local = any.parse().map_err(|_| String::new())?;
        socket::open(local, Some(interface), NODE_BUFFER_BYTES).map_err(|error| error.to_string())
    };
    match open("0.0.0.0:0").or_else(|_| open("[::]:0")) {
        Ok(_) => Finding::ok(
            check,
            format!("interface {interface} is up, and sockets can be bound to it"),
        ),
        Err(why) => Finding::fail(check, why, "see the finding of the kernel"),
    }
}

/// Of `linux/if.h`.
const IFF_UP: u32 = 1;

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn judged(facts: Option<Facts>) -> Finding {
        let bind = Bind::Interface("lo".into());
        finding(&"lte".parse().unwrap(), &bind, |_| facts)
    }

    #[test]
    fn an_interface_that_is_missing_down_or_without_carrier_fails_and_is_named() {
        for (facts, part) in [
            (None, "no interface lo"),
            (
                Some(Facts {
                    is_up: false,
                    has_carrier: None,
                }),
                "is down",
            ),
            (
                Some(Facts {
                    is_up: true,
                    has_carrier: Some(false),
                }),
                "no carrier",
            ),
        ] {
            let found = judged(facts);
            assert_eq!(found.level, Level::Fail);
            assert!(found.what.contains(part), "{}", found.what);
        }
    }

    #[test]
    fn the_loopback_is_up_and_can_be_bound_to() {
        let facts = Facts::look("lo");
        assert_eq!(facts.map(|facts| facts.is_up), Some(true));
        assert_eq!(judged(facts).level, Level::Ok);
        assert_eq!(Facts::look("modem9"), None);
        assert_eq!(Facts::look("../net/lo"), None);
    }

    #[test]
    fn an_address_has_to_be_the_machines_own() {
        let name = "cable".parse().unwrap();
        let judged = |address: &str| {
            let bind = Bind::Address(address.parse().unwrap());
            finding(&name, &bind, |_| None).level
        };
        assert_eq!(judged("127.0.0.1"), Level::Ok);
        assert_eq!(judged("192.0.2.7"), Level::Fail);
    }
}
