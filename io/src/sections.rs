//! The parts of a configuration that several programs share.

use crate::config::{ConfigError, as_text};
use crate::dial::Route;
use crate::link_plan::link_name;
use crate::log::Level;
use crate::pattern::{self, is_pattern};
use crate::socket::Bind;
use longrein_proto::base::limits::{
    DAILY_MB_MAX, DAILY_MB_MIN, LINK_BUDGET_BITS_PER_S, LINK_BUDGET_BITS_PER_S_MAX,
    PATHS_PER_LEG_MAX, RATE_FLOOR_BITS_PER_S, RELAYS_MAX,
};
use longrein_proto::base::{Name, NameError};
use longrein_proto::path::DailyPlan;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

/// `[identity]`: who this node is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySection {
    /// Directory with `authority.pem`, `node.pem` and `node.key`.
    pub directory: PathBuf,
}

/// `[[relay]]`: a relay that this node uses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RelaySection {
    /// Its name in the fleet; its certificate must say the same.
    #[serde(with = "as_text")]
    pub name: Name,
    /// Host and UDP port.
    pub address: String,
}

/// `[[link]]`: a way out of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSection {
    /// What logs and reports call it.
    #[serde(with = "as_text")]
    pub name: Name,
    /// The network interface that its packets leave by; with `*` or `?`, each whose name matches, as a link of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Of the interfaces that match, how many are links at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_max: Option<usize>,
    /// The local address that its packets leave from, instead of an interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Thousands of bits a second that may go over it each way, with all overhead; shared by its paths to all relays.
    #[serde(default = "budget_kbit_s_default")]
    pub budget_kbit_s: u32,
    /// Millions of bytes that may go over it in a day, both ways together, with all overhead; as many as it can without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_mb: Option<u32>,
    /// Per cent of these after which telemetry goes over other links only, or not at all: the rest is kept for control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_telemetry_percent: Option<u8>,
    /// Per cent of these at which the log warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_warn_percent: Option<u8>,
    /// By name, relays that this link reaches by another address than the others do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relay_addresses: BTreeMap<String, String>,
}

impl LinkSection {
    /// The link that an interface is by this section, if it is meant.
    pub fn link_on(&self, interface: &str) -> Option<Name> {
        let own = self.interface.as_deref()?;
        if own == interface {
            return Some(self.name.clone());
        }
        let fits = is_pattern(own) && pattern::matches(own, interface);
        fits.then(|| link_name(&self.name, interface)).flatten()
    }

    /// Links that it may stand for.
    fn count_max(&self) -> usize {
        let is_pattern = self.interface.as_deref().is_some_and(is_pattern);
        self.count_max
            .unwrap_or(if is_pattern { COUNT_MAX_DEFAULT } else { 1 })
    }

    /// What its packets leave by; or what is wrong.
    fn bind(&self) -> Result<Bind, String> {
        let is_interface = |name: &&String| {
            let known = 1..=INTERFACE_BYTES_MAX;
            known.contains(&name.len()) && !name.contains(['/', ' ', '\t', '\n', '\0'])
        };
        match (&self.interface, self.address) {
            (Some(_), Some(_)) => return Err("give either `interface` or `address`".to_string()),
            (Some(name), None) if !is_interface(&name) => {
                return Err(format!(
                    "`interface` is the name of one, of 1 to {INTERFACE_BYTES_MAX} bytes, see `ip link`"
                ));
            }
            (Some(pattern), None) if is_pattern(pattern) => {
                let counts = 1..=PATHS_PER_LEG_MAX;
                if !counts.contains(&self.count_max()) {
                    return Err(format!("`count_max` is 1 to {PATHS_PER_LEG_MAX}"));
                }
                if self.name.as_str().len() > PATTERN_NAME_BYTES_MAX {
                    return Err(format!(
                        "the interface's name is put behind this one, which has at most {PATTERN_NAME_BYTES_MAX} bytes then"
                    ));
                }
                return Ok(Bind::Pattern {
                    pattern: pattern.clone(),
                    count_max: self.count_max(),
                });
            }
            (Some(_) | None, _) => {}
        }
        if self.count_max.is_some() {
            return Err("`count_max` is for an `interface` with `*` or `?`".to_string());
        }
        Ok(match (&self.interface, self.address) {
            (Some(interface), _) => Bind::Interface(interface.clone()),
            (None, Some(address)) => Bind::Address(address),
            (None, None) => Bind::Any,
        })
    }

    /// For programs that send no telemetry, and so have nothing to count.
    ///
    /// # Errors
    /// When it has a budget for the day.
    pub fn expect_unmetered(&self) -> Result<(), ConfigError> {
        if self.daily_plan()?.is_none() {
            return Ok(());
        }
        Err(ConfigError::Wrong {
            place: format!("[[link]] {}", self.name),
            what: "`daily_mb` is for agents".to_string(),
        })
    }

    /// What it may carry in a day; none when that has no bound.
    ///
    /// # Errors
    /// Which key is wrong and what is allowed.
    pub fn daily_plan(&self) -> Result<Option<DailyPlan>, ConfigError> {
        let wrong = |what: String| ConfigError::Wrong {
            place: format!("[[link]] {}", self.name),
            what,
        };
        let shares = [
            ("daily_telemetry_percent", self.daily_telemetry_percent),
            ("daily_warn_percent", self.daily_warn_percent),
        ];
        for (key, percent) in shares {
            if percent.is_some_and(|percent| percent > 100) {
                return Err(wrong(format!("`{key}` is 0 to 100")));
            }
            if percent.is_some() && self.daily_mb.is_none() {
                return Err(wrong(format!(
                    "`{key}` is a part of `daily_mb`, which is not given"
                )));
            }
        }
        let Some(daily_mb) = self.daily_mb else {
            return Ok(None);
        };
        if !(DAILY_MB_MIN..=DAILY_MB_MAX).contains(&daily_mb) {
            return Err(wrong(format!(
                "`daily_mb` is {DAILY_MB_MIN} to {DAILY_MB_MAX}"
            )));
        }
        Ok(Some(DailyPlan {
            bytes: u64::from(daily_mb) * 1_000_000,
            telemetry_percent: self.daily_telemetry_percent.unwrap_or(DAILY_PERCENT),
            warn_percent: self.daily_warn_percent.unwrap_or(DAILY_PERCENT),
        }))
    }
}

/// `[log]`: how much is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Level,
}

/// The first name that stood before.
pub fn used_twice<'a>(names: impl IntoIterator<Item = &'a Name>) -> Option<&'a Name> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

/// All ways from the links to the relays. Without links there is one, named `default`, by the routing table.
///
/// # Errors
/// Names that are used twice, relays that are not there, addresses without a port, more than the protocol takes.
pub fn routes(relays: &[RelaySection], links: &[LinkSection]) -> Result<Vec<Route>, ConfigError> {
    let wrong = |place: &str, what: String| ConfigError::Wrong {
        place: place.to_string(),
        what,
    };
    if relays.is_empty() {
        let what =
            format!("name 1 to {RELAYS_MAX} relays in the --config file, see agent.example.toml");
        return Err(wrong("no [[relay]]", what));
    }
    if relays.len() > RELAYS_MAX {
        return Err(wrong("[[relay]]", format!("at most {RELAYS_MAX}")));
    }
    let count: usize = links.iter().map(LinkSection::count_max).sum();
    if count > PATHS_PER_LEG_MAX {
        let what = format!(
            "at most {PATHS_PER_LEG_MAX} links, and these may be {count}: an interface pattern counts as its `count_max`, \
             which is {COUNT_MAX_DEFAULT} when it is not given"
        );
        return Err(wrong("[[link]]", what));
    }
    let relay_names: BTreeSet<_> = relays.iter().map(|relay| relay.name.as_str()).collect();
    if let Some(name) = used_twice(relays.iter().map(|relay| &relay.name)) {
        return Err(wrong("[[relay]]", format!("the name {name} is used twice")));
    }
    if let Some(name) = used_twice(links.iter().map(|link| &link.name)) {
        return Err(wrong("[[link]]", format!("the name {name} is used twice")));
    }
    let default = [LinkSection {
        name: DEFAULT_LINK
            .parse()
            .map_err(|error: NameError| wrong("[[link]]", error.to_string()))?,
        interface: None,
        count_max: None,
        address: None,
        budget_kbit_s: budget_kbit_s_default(),
        daily_mb: None,
        daily_telemetry_percent: None,
        daily_warn_percent: None,
        relay_addresses: BTreeMap::new(),
    }];
    let links = if links.is_empty() { &default } else { links };
    let mut routes = Vec::with_capacity(links.len() * relays.len());
    for link in links {
        let place = format!("[[link]] {}", link.name);
        let bind = link.bind().map_err(|what| wrong(&place, what))?;
        let stranger = link
            .relay_addresses
            .keys()
            .find(|name| !relay_names.contains(name.as_str()));
        if let Some(name) = stranger {
            let what = format!("`relay_addresses` names {name:?}, which is no [[relay]]");
            return Err(wrong(&place, what));
        }
        let paths = u32::try_from(relays.len()).unwrap_or(u32::MAX);
        let least = BUDGET_KBIT_S_MIN.max(paths.saturating_mul(kbit_s(PATH_BITS_PER_S_MIN)));
        let budgets = least..=kbit_s(LINK_BUDGET_BITS_PER_S_MAX);
        if !budgets.contains(&link.budget_kbit_s) {
            let what = format!(
                "`budget_kbit_s` is {} to {} with so many relays",
                budgets.start(),
                budgets.end()
            );
            return Err(wrong(&place, what));
        }
        link.daily_plan()?;
        for relay in relays {
            let own = link.relay_addresses.get(relay.name.as_str());
            let address = own.unwrap_or(&relay.address);
            if !has_port(address) {
                let what = format!("{address:?} is no `host:port`");
                return Err(wrong(&format!("address of relay {}", relay.name), what));
            }
            routes.push(Route {
                link: link.name.clone(),
                bind: bind.clone(),
                relay: relay.name.clone(),
                address: address.clone(),
                budget_kbit_s: link.budget_kbit_s,
            });
        }
    }
    Ok(routes)
}

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn budget_kbit_s_default() -> u32 {
    kbit_s(LINK_BUDGET_BITS_PER_S)
}

fn kbit_s(bits_per_s: u64) -> u32 {
    u32::try_from(bits_per_s / 1_000).unwrap_or(u32::MAX)
}

/// No path keeps to less than this: what a link may carry has to be enough for one to each relay.
const PATH_BITS_PER_S_MIN: u64 = RATE_FLOOR_BITS_PER_S as u64;
/// With less than twice what a drive flow takes, nothing is left for copies and the rest.
const BUDGET_KBIT_S_MIN: u32 = 128;
/// Interfaces that match one pattern, when nothing is said.
const COUNT_MAX_DEFAULT: usize = 4;
/// Bytes of an interface's name (`IFNAMSIZ` of `linux/if.h`, less the end).
const INTERFACE_BYTES_MAX: usize = 15;
/// Bytes of the name of a link that is a pattern: `NAME-INTERFACE` has to be a name.
const PATTERN_NAME_BYTES_MAX: usize = Name::BYTES_MAX - 1 - INTERFACE_BYTES_MAX;
/// Per cent of a day's budget at which telemetry ends and the log warns, where nothing is said.
const DAILY_PERCENT: u8 = 80;
/// The link of a configuration that names none.
const DEFAULT_LINK: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(name: &str, address: &str) -> RelaySection {
        RelaySection {
            name: name.parse().unwrap(),
            address: address.to_string(),
        }
    }

    fn link(name: &str) -> LinkSection {
        LinkSection {
            name: name.parse().unwrap(),
            interface: None,
            count_max: None,
            address: None,
            budget_kbit_s: budget_kbit_s_default(),
            daily_mb: None,
            daily_telemetry_percent: None,
            daily_warn_percent: None,
            relay_addresses: BTreeMap::new(),
        }
    }

    fn example() -> (Vec<RelaySection>, Vec<LinkSection>) {
        let relays = vec![
            relay("east", "relay.example:4433"),
            relay("west", "[2001:db8::1]:4433"),
        ];
        let mut modem = link("modem-1");
        modem.interface = Some("wwan0".to_string());
        let mut cable = link("cable");
        cable.address = Some("192.0.2.7".parse().unwrap());
        let own = ("east".to_string(), "10.0.0.1:4433".to_string());
        cable.relay_addresses = BTreeMap::from([own]);
        (relays, vec![modem, cable])
    }

    #[test]
    fn every_link_reaches_every_relay() {
        let (relays, links) = example();
        let routes = routes(&relays, &links).unwrap();
        let text: Vec<_> = routes
            .iter()
            .map(|route| format!("{} {} {}", route.link, route.relay, route.address))
            .collect();
        assert_eq!(
            text,
            [
                "modem-1 east relay.example:4433",
                "modem-1 west [2001:db8::1]:4433",
                "cable east 10.0.0.1:4433",
                "cable west [2001:db8::1]:4433",
            ]
        );
        assert_eq!(routes[0].bind, Bind::Interface("wwan0".to_string()));
        assert_eq!(routes[2].bind, Bind::Address("192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn without_links_the_routing_table_decides() {
        let (relays, _) = example();
        let routes = routes(&relays, &[]).unwrap();
        assert_eq!(routes.len(), 2);
        assert_eq!(
            (routes[0].link.as_str(), &routes[0].bind),
            ("default", &Bind::Any)
        );
    }

    /// [WIRE-123]
    #[test]
    fn a_budget_is_enough_for_a_path_to_each_relay_and_no_more_than_links_may_have() {
        let routed = |relays: u32, budget_kbit_s: u32| {
            let relays: Vec<_> = (0..relays)
                .map(|number| relay(&format!("relay-{number}"), "a:1"))
                .collect();
            let link = LinkSection {
                budget_kbit_s,
                ..link("lte")
            };
            routes(&relays, &[link]).map_err(|error| error.to_string())
        };
        for (relays, least) in [(1, 128), (2, 128), (3, 192), (8, 512)] {
            assert!(routed(relays, least).is_ok());
            assert!(routed(relays, 2_000).is_ok());
            for wrong in [least - 1, 2_001] {
                let said = format!("`budget_kbit_s` is {least} to 2000");
                let error = routed(relays, wrong).unwrap_err();
                assert!(error.contains(&said), "{error}");
            }
        }
    }

    fn pattern(link: &mut LinkSection, interface: &str, count_max: Option<usize>) {
        link.interface = Some(interface.to_string());
        link.count_max = count_max;
    }

    #[test]
    fn an_interface_with_a_star_is_a_pattern_of_four_links_when_nothing_is_said() {
        let (relays, mut links) = example();
        for (count_max, expected) in [(None, 4), (Some(7), 7)] {
            pattern(&mut links[0], "wwan*", count_max);
            let bind = Bind::Pattern {
                pattern: "wwan*".to_string(),
                count_max: expected,
            };
            assert_eq!(routes(&relays, &links).unwrap()[0].bind, bind);
        }
    }

    #[test]
    fn a_day_s_budget_has_shares_and_bounds_and_none_is_none() {
        let plan = |daily_mb, telemetry, warn| {
            let link = LinkSection {
                daily_mb,
                daily_telemetry_percent: telemetry,
                daily_warn_percent: warn,
                ..link("lte")
            };
            link.daily_plan().map_err(|error| error.to_string())
        };
        let plan_of = |bytes, telemetry_percent, warn_percent| {
            Ok(Some(DailyPlan {
                bytes,
                telemetry_percent,
                warn_percent,
            }))
        };
        assert_eq!(plan(None, None, None), Ok(None));
        assert_eq!(plan(Some(500), None, None), plan_of(500_000_000, 80, 80));
        assert_eq!(
            plan(Some(2), Some(0), Some(100)),
            plan_of(2_000_000, 0, 100)
        );
        for (daily_mb, telemetry, warn, said) in [
            (Some(1), None, None, "`daily_mb` is 2 to 1000000"),
            (Some(1_000_001), None, None, "`daily_mb` is 2 to 1000000"),
            (
                Some(9),
                Some(101),
                None,
                "`daily_telemetry_percent` is 0 to 100",
            ),
            (Some(9), None, Some(101), "`daily_warn_percent` is 0 to 100"),
            (
                None,
                None,
                Some(50),
                "is a part of `daily_mb`, which is not given",
            ),
        ] {
            let error = plan(daily_mb, telemetry, warn).unwrap_err();
            assert!(
                error.contains("[[link]] lte") && error.contains(said),
                "{error}"
            );
        }
    }

    #[test]
    fn routes_that_make_no_sense_are_refused() {
        type Change = fn(&mut Vec<RelaySection>, &mut Vec<LinkSection>);
        let cases: [(Change, &str); 12] = [
            (
                |_, links| links[1].count_max = Some(2),
                "`count_max` is for an `interface` with `*` or `?`",
            ),
            (
                |_, links| pattern(&mut links[0], "wwan*", Some(0)),
                "`count_max` is 1 to 8",
            ),
            (
                |_, links| pattern(&mut links[0], "wwan*", Some(8)),
                "at most 8 links, and these may be 9",
            ),
            (
                |_, links| {
                    links[0].name = "a".repeat(33).parse().unwrap();
                    pattern(&mut links[0], "wwan*", None);
                },
                "which has at most 32 bytes",
            ),
            (
                |_, links| pattern(&mut links[0], "wwan0123456789ab", None),
                "of 1 to 15 bytes",
            ),
            (
                |_, links| pattern(&mut links[0], "wwan/0", None),
                "`interface` is the name of one",
            ),
            (
                |relays, _| relays.clear(),
                "no [[relay]]: name 1 to 8 relays",
            ),
            (
                |relays, _| relays.push(relay("east", "a:1")),
                "[[relay]]: the name east is used twice",
            ),
            (
                |_, links| links.push(link("cable")),
                "the name cable is used twice",
            ),
            (
                |relays, _| relays[1].address = "relay.example".into(),
                "is no `host:port`",
            ),
            (
                |_, links| links[1].interface = Some("eth0".into()),
                "either `interface` or `address`",
            ),
            (
                |_, links| {
                    drop(
                        links[0]
                            .relay_addresses
                            .insert("north".into(), "a:1".into()),
                    )
                },
                "names \"north\", which is no [[relay]]",
            ),
        ];
        for (change, expected) in cases {
            let (mut relays, mut links) = example();
            change(&mut relays, &mut links);
            let error = routes(&relays, &links).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
