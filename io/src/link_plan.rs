//! Which interfaces are links: of a pattern each that can be used, up to a number; no sockets.

use crate::interface_table::{Interface, InterfaceTable};
use crate::outcome::Route;
use crate::pattern;
use crate::socket::{Bind, SocketError};
use longrein_proto::base::Name;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The routes as they are configured, and the interfaces that stand for their patterns.
#[derive(Debug, Default)]
pub(crate) struct LinkPlan {
    configured: Vec<Route>,
    slots: Vec<Slot>,
    left_out: BTreeSet<String>,
}

/// An interface that is a link of a pattern. It keeps its place while it is away, unless another one needs it: one that comes
/// back is the same link, with all that was learned about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    /// The link that the configuration names.
    section: Name,
    link: Name,
    interface: String,
}

/// Whether packets can leave by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is not bound to an interface, or nobody can tell: whoever tries will see.
    Unknown,
    /// They cannot.
    Away(Absence),
    /// They can.
    Here {
        /// The interface's number.
        index: u32,
        /// What they can leave from.
        addresses: BTreeSet<IpAddr>,
    },
}

/// Why no packet can leave by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// There is no such interface.
    NoInterface(String),
    /// No interface matches.
    NoMatch(String),
    /// The interface is of no use now.
    Unusable(String, &'static str),
}

impl From<&Absence> for SocketError {
    fn from(absence: &Absence) -> SocketError {
        match absence.clone() {
            Absence::NoInterface(interface) => SocketError::NoSuchInterface { interface },
            Absence::NoMatch(pattern) => SocketError::NoInterfaceMatches { pattern },
            Absence::Unusable(interface, why) => SocketError::Unusable { interface, why },
        }
    }
}

impl LinkPlan {
    /// These are configured now; what stands for a pattern that stays goes on.
    pub(crate) fn configure(&mut self, routes: Vec<Route>) {
        self.configured = routes;
        let mut slots = std::mem::take(&mut self.slots);
        slots.retain(|slot| {
            self.patterns()
                .any(|(section, ..)| *section == slot.section)
        });
        self.slots = slots;
    }

    /// Looks at the interfaces. Tells those that match a pattern for the first time and have no place.
    pub(crate) fn look(&mut self, table: &InterfaceTable) -> Vec<(Name, String)> {
        let patterns: Vec<(Name, String, usize)> = self
            .patterns()
            .map(|(name, pattern, count)| (name.clone(), pattern.to_string(), count))
            .collect();
        let mut slots = std::mem::take(&mut self.slots);
        let mut without_place = Vec::new();
        for (section, pattern, count_max) in patterns {
            let is_here = |slot: &Slot| can_be_link(table.named(&slot.interface), &pattern);
            let fits = |slot: &Slot| pattern::matches(&pattern, &slot.interface);
            let mut places = count_max;
            slots.retain(|slot| {
                let stays = fits(slot) && !self.is_named(&slot.interface) && places > 0;
                let is_own = slot.section == section;
                places -= usize::from(is_own && stays);
                !is_own || stays
            });
            for interface in table.iter() {
                let name = &interface.name;
                let is_taken = slots.iter().any(|slot| slot.interface == *name);
                if is_taken || !can_be_link(Some(interface), &pattern) || self.is_named(name) {
                    continue;
                }
                let own = |slot: &&Slot| slot.section == section;
                if slots.iter().filter(own).count() >= count_max {
                    let absent = slots.iter().position(|slot| own(&slot) && !is_here(slot));
                    match absent {
                        Some(absent) => drop(slots.remove(absent)),
                        None => {
                            without_place.push((section.clone(), name.clone()));
                            continue;
                        }
                    }
                }
                let link = link_name(&section, name);
                let is_used = |link: &Name| {
                    slots.iter().any(|slot| slot.link == *link)
                        || self.configured.iter().any(|route| route.link == *link)
                };
                match link.filter(|link| !is_used(link)) {
                    Some(link) => slots.push(Slot {
                        section: section.clone(),
                        link,
                        interface: name.clone(),
                    }),
                    None => without_place.push((section.clone(), name.clone())),
                }
            }
        }
        without_place.retain(|(_, name)| !slots.iter().any(|slot| slot.interface == *name));
        self.slots = slots;
        let before = std::mem::replace(
            &mut self.left_out,
            without_place.iter().map(|(_, name)| name.clone()).collect(),
        );
        without_place.retain(|(_, name)| !before.contains(name));
        without_place
    }

    /// The routes of all links. A pattern that no interface has matched yet is one itself, by which nothing leaves.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let of_route = |route: &Route| -> Vec<Route> {
            let own = self.slots.iter().filter(|slot| slot.section == route.link);
            let by_slot = own.map(|slot| Route {
                link: slot.link.clone(),
                bind: Bind::Interface(slot.interface.clone()),
                ..route.clone()
            });
            let by_slot: Vec<Route> = by_slot.collect();
            if by_slot.is_empty() {
                vec![route.clone()]
            } else {
                by_slot
            }
        };
        self.configured.iter().flat_map(of_route).collect()
    }

    /// The links that are patterns: name, pattern, most interfaces; each once.
    fn patterns(&self) -> impl Iterator<Item = (&Name, &str, usize)> {
        let mut seen = BTreeSet::new();
        self.configured.iter().filter_map(move |route| {
            let Bind::Pattern { pattern, count_max } = &route.bind else {
                return None;
            };
            seen.insert(&route.link)
                .then_some((&route.link, pattern.as_str(), *count_max))
        })
    }

    /// Whether a link of its own is configured for an interface.
    fn is_named(&self, interface: &str) -> bool {
        let mut binds = self.configured.iter().map(|route| &route.bind);
        binds.any(|bind| bind.interface() == Some(interface))
    }
}

impl Presence {
    /// That of what is bound so; `table` is none when nobody watches.
    pub(crate) fn of(bind: &Bind, table: Option<&InterfaceTable>) -> Presence {
        match (bind, table) {
            (Bind::Pattern { pattern, .. }, _) => Presence::Away(Absence::NoMatch(pattern.clone())),
            (Bind::Any | Bind::Address(_), _) | (Bind::Interface(_), None) => Presence::Unknown,
            (Bind::Interface(name), Some(table)) => match table.named(name) {
                None => Presence::Away(Absence::NoInterface(name.clone())),
                Some(interface) => match interface.fault() {
                    Some(why) => Presence::Away(Absence::Unusable(name.clone(), why)),
                    None => Presence::Here {
                        index: interface.index,
                        addresses: interface.addresses.clone(),
                    },
                },
            },
        }
    }

    /// Whether a socket that was bound to the interface of this number, and to this address of it, still sends.
    pub(crate) fn carries(&self, bound: Option<u32>, local: IpAddr) -> bool {
        match self {
            Presence::Unknown => true,
            Presence::Away(_) => false,
            Presence::Here { index, addresses } => {
                bound == Some(*index) && (local.is_unspecified() || addresses.contains(&local))
            }
        }
    }

    /// Whether it has an address to talk to `far` from.
    pub(crate) fn speaks(&self, far: IpAddr) -> bool {
        match self {
            Presence::Unknown => true,
            Presence::Away(_) => false,
            Presence::Here { addresses, .. } => {
                addresses.iter().any(|own| own.is_ipv4() == far.is_ipv4())
            }
        }
    }
}

fn can_be_link(interface: Option<&Interface>, pattern: &str) -> bool {
    interface.is_some_and(|interface| {
        !interface.is_loopback()
            && interface.fault().is_none()
            && pattern::matches(pattern, &interface.name)
    })
}

/// `modem` and `wwan0` are `modem-wwan0`. The kernel allows characters that no name has.
pub(crate) fn link_name(section: &Name, interface: &str) -> Option<Name> {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => c,
        _ => '_',
    };
    let interface: String = interface.chars().map(plain).collect();
    format!("{section}-{interface}").parse().ok()
}

#[cfg(test)]
mod tests;
