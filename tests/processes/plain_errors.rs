//! What is wrong is said on one line that says what to do, with the documented exit code.

use std::net::UdpSocket;

use super::complaint::expect;
use super::fleet;
use super::papers::{NODES, Papers, program};

#[test]
fn a_wrong_configuration_names_its_file_its_key_and_what_is_allowed() {
    let papers = Papers::new();
    for node in NODES {
        let (name, arguments) = program(&papers, node, &papers.of(node), "127.0.0.1:1");
        let config = arguments.last().unwrap();
        let right = std::fs::read_to_string(config).unwrap();
        std::fs::write(config, format!("adress = 7\n{right}")).unwrap();
        let parts = [&format!("{config}:1: unknown key `adress`"), "allowed here"];
        expect(name, &arguments, 2, &parts);
    }
}

#[test]
fn a_missing_key_is_named() {
    let papers = Papers::new();
    for node in NODES {
        let keyless = papers.without_key(node);
        let (name, arguments) = program(&papers, node, &keyless, "127.0.0.1:1");
        let file = keyless.join("node.key").display().to_string();
        expect(name, &arguments, 2, &["cannot read", &file]);
    }
}

#[test]
fn an_expired_certificate_is_said_with_its_date() {
    let papers = Papers::new();
    for node in NODES.iter().filter(|node| !node.starts_with("agent/")) {
        let expired = papers.expired(node);
        let (name, arguments) = program(&papers, node, &expired, "127.0.0.1:1");
        expect(name, &arguments, 4, &["expired on 2020-01-02", "renew it"]);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let papers = Papers::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = format!("UDP port {} is in use", address.port());
    let parts = [port.as_str(), "stop the other program or choose another"];
    let address = address.to_string();
    let (name, arguments) = program(&papers, NODES[0], &papers.of(NODES[0]), &address);
    expect(name, &arguments, 1, &parts);

    let (name, mut arguments) = program(&papers, NODES[2], &papers.of(NODES[2]), "127.0.0.1:1");
    let tunnel = [
        "tunnel",
        "truck-17",
        "--function",
        "mavlink",
        "--listen",
        &address,
    ];
    arguments.splice(..1, tunnel.map(String::from));
    expect(name, &arguments, 1, &parts);
}

#[test]
fn an_unknown_vehicle_and_function_are_said_with_what_is_known() {
    let fleet = fleet::start(fleet::plan());
    for (words, code, parts) in [
        (
            "drive ghost --input /dev/null",
            5,
            ["no relay knows a vehicle ghost", "longrein vehicles"],
        ),
        (
            "tunnel ghost --listen 127.0.0.1:0 --function a",
            5,
            ["no relay knows a vehicle ghost", "longrein vehicles"],
        ),
        (
            "drive truck-17 --input /dev/null --function arm",
            2,
            ["no function arm", "it has drive"],
        ),
        (
            "tunnel truck-17 --listen 127.0.0.1:0 --function drive",
            2,
            ["takes typed commands", "longrein drive"],
        ),
    ] {
        let mut arguments: Vec<String> = words.split(' ').map(String::from).collect();
        arguments.extend(fleet::connection(&fleet, "desk"));
        expect("longrein", &arguments, code, &parts);
    }
}

#[test]
fn a_controller_of_another_fleet_is_refused_and_told_so() {
    let fleet = fleet::start(fleet::plan());
    let papers = Papers::new();
    let mut arguments = fleet::connection(&fleet, "desk");
    arguments[1] = papers.of("controller/desk").display().to_string();
    arguments.insert(0, "vehicles".to_string());
    expect("longrein", &arguments, 3, &["certificate"]);
}
