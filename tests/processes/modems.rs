//! Modems that are plugged in and pulled out while the agent runs, with IPv6 and nothing else.

use std::io::Write;
use std::process::{Command, Stdio};

use longrein::local_fleet::{Folder, Plan, Program};
use longrein_proto::base::{NodeKind, NodeName};
use longrein_tests::wan::{Namespace, Wan};

use super::until::until;

#[test]
fn a_modem_that_is_plugged_in_is_used_and_one_that_is_pulled_out_makes_room_for_another() {
    if let Some(missing) = Wan::missing() {
        eprintln!("SKIPPED: {missing}");
        return;
    }
    let folder = Folder::new().unwrap();
    let mut plan = Plan::demo(Plan::sibling_programs().unwrap());
    plan.relays = vec!["relay-a".into()];
    let papers = plan.papers(folder.path()).unwrap();
    let identity = |kind, name: &str| papers.node(&NodeName::new(kind, name.parse().unwrap()));
    let start = |place: &Namespace, program: &str, name: &str, config: &str, ready: &str| {
        let file = folder.path().join(format!("{name}.toml"));
        std::fs::write(&file, config).unwrap();
        let start = || plan.spawn(folder.path(), program, name, &file, ready);
        place.enter(start).unwrap().unwrap()
    };

    let (vehicle, far) = (machine(), machine());
    ip(&far, "address add fd00::1/128 dev lo nodad\n");
    let relay_identity = identity(NodeKind::Relay, "relay-a");
    let relay = start(
        &far,
        "longrein-relay",
        "relay-a",
        &format!(
            "[identity]\ndirectory = {relay_identity:?}\n[[listen]]\nname = \"main\"\naddress = \"[::]:4433\"\n"
        ),
        "relay ready",
    );
    let agent_identity = identity(NodeKind::Agent, "truck-17");
    let state = folder.path().join("state");
    let mut agent = start(
        &vehicle,
        "longrein-agent",
        "truck-17",
        &format!(
            "state_directory = {state:?}\n[identity]\ndirectory = {agent_identity:?}\n\
             [[relay]]\nname = \"relay-a\"\naddress = \"[fd00::1]:4433\"\n\
             [[link]]\nname = \"modem\"\ninterface = \"wwan*\"\ncount_max = 1\n{}{}",
            plan.functions, plan.allow
        ),
        "agent ready",
    );
    says(
        &mut agent,
        &["link is away", "no interface matches", "wwan*"],
    );

    plug(&vehicle, &relay, 0);
    says(&mut agent, &["path is up", "modem-wwan0", "fd00::1"]);
    plug(&vehicle, &relay, 1);
    says(&mut agent, &["interface is left out", "wwan1"]);
    assert!(!agent.log().contains("modem-wwan1"), "{}", agent.log());

    ip(&vehicle, "link delete wwan0\n");
    let gone = "the link's interface or address is gone";
    says(&mut agent, &["path is down", "modem-wwan0", gone]);
    says(&mut agent, &["path is up", "modem-wwan1", "fd00::1"]);

    // Another address is another connection.
    let ups = agent.log().matches("path is up").count();
    ip(
        &vehicle,
        "address add fd00:1::9/64 dev wwan1 nodad\naddress delete fd00:1::2/64 dev wwan1\n\
         route replace fd00::1 via fd00:1::1 dev wwan1\n",
    );
    until("a path from the other address", || {
        (agent.log().matches("path is up").count() > ups).then_some(())
    });
    says(&mut agent, &["link is there", "fd00:1::9"]);
    agent.terminate().unwrap();
}

/// A machine with a loopback interface.
fn machine() -> Namespace {
    let place = Namespace::new().unwrap();
    place
        .enter(|| {
            for scope in ["all", "default"] {
                let setting = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
                std::fs::write(setting, "0").unwrap();
            }
        })
        .unwrap();
    ip(&place, "link set dev lo up\n");
    place
}

/// A modem `wwan0`, `wwan1` and so on, whose far end is the relay's.
fn plug(vehicle: &Namespace, relay: &Program, number: u8) {
    let pid = relay.id();
    ip(
        vehicle,
        &format!(
            "link add wwan{number} type veth peer name w{number} netns {pid}\n\
             address add fd00:{number}::2/64 dev wwan{number} nodad\nlink set wwan{number} up\n"
        ),
    );
    let inside = Command::new("nsenter")
        .args(["--net", "--target", &pid.to_string(), "ip", "-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    feed(
        inside,
        &format!("address add fd00:{number}::1/64 dev w{number} nodad\nlink set w{number} up\n"),
    );
    // It has a carrier once both ends are up.
    ip(
        vehicle,
        &format!("route replace fd00::1 via fd00:{number}::1 dev wwan{number} metric 1{number}\n"),
    );
}

fn ip(place: &Namespace, commands: &str) {
    let run = || {
        let ip = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        feed(ip, commands);
    };
    place.enter(run).unwrap();
}

fn feed(mut child: std::process::Child, commands: &str) {
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(commands.as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{commands}");
}

/// Waits for a line of the log with all of these.
fn says(program: &mut Program, parts: &[&str]) {
    let is_there = |program: &Program| {
        let log = program.log();
        log.lines()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    };
    until(&format!("the log says {parts:?}"), || {
        assert!(
            is_there(program) || !program.has_ended(),
            "{}",
            program.log()
        );
        is_there(program).then_some(())
    });
}
