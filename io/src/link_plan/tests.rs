//! What becomes of patterns as interfaces come and go.

use super::*;

fn interface(index: u32, name: &str) -> Interface {
    Interface::usable(index, name, &["10.0.0.1"])
}

fn table(names: &[(u32, &str)]) -> InterfaceTable {
    let interfaces = names.iter().map(|(index, name)| interface(*index, name));
    InterfaceTable::of(interfaces)
}

fn pattern(link: &str, pattern: &str, count_max: usize, relay: &str) -> Route {
    Route {
        link: link.parse().unwrap(),
        bind: Bind::Pattern {
            pattern: pattern.to_string(),
            count_max,
        },
        relay: relay.parse().unwrap(),
        address: "192.0.2.1:4433".to_string(),
        budget_kbit_s: 1_000,
    }
}

fn plain(link: &str, interface: &str) -> Route {
    Route {
        bind: Bind::Interface(interface.to_string()),
        ..pattern(link, "", 1, "east")
    }
}

/// Of each route the link and what it is bound to.
fn shown(plan: &LinkPlan) -> Vec<String> {
    let routes = plan.routes().into_iter();
    let line = |route: Route| match route.bind {
        Bind::Interface(interface) => format!("{} {} {interface}", route.link, route.relay),
        Bind::Pattern { pattern, .. } => format!("{} {} ({pattern})", route.link, route.relay),
        other @ (Bind::Any | Bind::Address(_)) => format!("{other:?}"),
    };
    routes.map(line).collect()
}

#[test]
fn each_interface_that_matches_is_a_link_to_every_relay() {
    let mut plan = LinkPlan::default();
    plan.configure(vec![
        pattern("modem", "wwan*", 4, "east"),
        pattern("modem", "wwan*", 4, "west"),
    ]);
    assert_eq!(shown(&plan), ["modem east (wwan*)", "modem west (wwan*)"]);
    plan.look(&table(&[
        (1, "lo"),
        (2, "wwan0"),
        (3, "eth0"),
        (4, "wwan1"),
    ]));
    assert_eq!(
        shown(&plan),
        [
            "modem-wwan0 east wwan0",
            "modem-wwan1 east wwan1",
            "modem-wwan0 west wwan0",
            "modem-wwan1 west wwan1",
        ]
    );
}

#[test]
fn an_interface_that_is_away_keeps_its_place_until_another_needs_it() {
    let mut plan = LinkPlan::default();
    plan.configure(vec![pattern("modem", "wwan*", 2, "east")]);
    plan.look(&table(&[(2, "wwan0"), (4, "wwan1")]));
    let both = ["modem-wwan0 east wwan0", "modem-wwan1 east wwan1"];
    assert_eq!(shown(&plan), both);
    for now in [&[(4, "wwan1")][..], &[], &[(9, "wwan0"), (4, "wwan1")]] {
        assert_eq!(plan.look(&table(now)), []);
        assert_eq!(shown(&plan), both);
    }
    plan.look(&table(&[(4, "wwan1"), (5, "wwan2")]));
    let other = ["modem-wwan1 east wwan1", "modem-wwan2 east wwan2"];
    assert_eq!(shown(&plan), other);
}

#[test]
fn who_comes_when_there_are_enough_is_left_out_and_told_once() {
    let mut plan = LinkPlan::default();
    plan.configure(vec![pattern("modem", "wwan*", 1, "east")]);
    let all = table(&[(2, "wwan0"), (3, "wwan1")]);
    let left_out = [("modem".parse().unwrap(), "wwan1".to_string())];
    assert_eq!(plan.look(&all), left_out);
    assert_eq!(plan.look(&all), []);
    assert_eq!(shown(&plan), ["modem-wwan0 east wwan0"]);
    // It has the place as soon as the other is gone.
    assert_eq!(plan.look(&table(&[(3, "wwan1")])), []);
    assert_eq!(shown(&plan), ["modem-wwan1 east wwan1"]);
}

#[test]
fn an_interface_is_one_link_only() {
    let mut plan = LinkPlan::default();
    plan.configure(vec![
        plain("cable", "eth0"),
        pattern("any", "*", 4, "east"),
        pattern("more", "e*", 4, "east"),
    ]);
    plan.look(&table(&[(2, "eth0"), (3, "eth1")]));
    let expected = ["cable east eth0", "any-eth1 east eth1", "more east (e*)"];
    assert_eq!(shown(&plan), expected);
}

#[test]
fn names_that_are_used_or_cannot_be_are_left_out() {
    let mut plan = LinkPlan::default();
    plan.configure(vec![
        plain("modem-wwan0", "usb0"),
        pattern("modem", "?WAN*", 4, "east"),
        pattern("modem", "?WAN*", 4, "west"),
        pattern("other", "wwan*", 4, "east"),
    ]);
    let left_out = plan.look(&table(&[(2, "wWAN0"), (3, "wWAN:1"), (4, "wWAN=1")]));
    let names: Vec<&str> = left_out.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["wWAN0", "wWAN=1"]);
    assert_eq!(shown(&plan)[1], "modem-wwan_1 east wWAN:1");
}

#[test]
fn what_is_configured_anew_keeps_the_places_that_still_fit() {
    let mut plan = LinkPlan::default();
    let all = table(&[(2, "wwan0"), (3, "wwan1"), (4, "usb0")]);
    plan.configure(vec![pattern("modem", "wwan*", 4, "east")]);
    plan.look(&all);
    plan.configure(vec![
        pattern("modem", "wwan*", 1, "east"),
        plain("other", "usb0"),
    ]);
    plan.look(&all);
    assert_eq!(shown(&plan), ["modem-wwan0 east wwan0", "other east usb0"]);
    plan.configure(vec![plain("other", "usb0")]);
    plan.look(&all);
    assert_eq!(shown(&plan), ["other east usb0"]);
}

#[test]
fn a_socket_carries_while_its_interface_and_its_address_are_the_same() {
    let bind = Bind::Interface("wwan0".to_string());
    let two = InterfaceTable::of([Interface::usable(7, "wwan0", &["10.0.0.1", "2001:db8::1"])]);
    let presence = Presence::of(&bind, Some(&two));
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(presence.carries(Some(7), ip("10.0.0.1")));
    assert!(presence.carries(Some(7), ip("0.0.0.0")));
    assert!(!presence.carries(Some(6), ip("10.0.0.1")));
    assert!(!presence.carries(Some(7), ip("10.0.0.2")));
    assert!(presence.speaks(ip("192.0.2.1")) && presence.speaks(ip("2001:db8::9")));

    let only_six = InterfaceTable::of([Interface::usable(7, "wwan0", &["2001:db8::1"])]);
    let presence = Presence::of(&bind, Some(&only_six));
    assert!(!presence.speaks(ip("192.0.2.1")) && presence.speaks(ip("2001:db8::9")));

    let gone = Presence::of(&bind, Some(&InterfaceTable::default()));
    assert!(!gone.carries(Some(7), ip("10.0.0.1")) && !gone.speaks(ip("192.0.2.1")));
    assert!(Presence::of(&bind, None).carries(None, ip("10.0.0.1")));
}
