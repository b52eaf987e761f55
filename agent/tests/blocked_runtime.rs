//! SAFE-28, SAFE-72: the watchdog's stages pass while the thread of the connections is blocked, and the service manager hears nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod support;

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::channel;
use std::time::Duration;

use longrein_agent::config::Config;
use longrein_agent::program;
use longrein_io::config::Loader;
use longrein_io::service_manager::ServiceManager;
use longrein_proto::base::{NodeName, Stage};
use longrein_proto::role::ControllerEvent;
use support::operator::{DRIVE, Operator};
use support::relay::TestRelay;
use support::{Fleet, Folder, applied, config, inside, until};

#[test]
fn stages_pass_in_order_while_the_network_thread_is_blocked() {
    let folder = Folder::new("agent-blocked");
    let fleet = Fleet::new("yard");
    let relay = TestRelay::start(&fleet.issue(folder.path(), "relay/east"));
    let identity = fleet.issue(folder.path(), "agent/truck-17");
    let log = inside(&folder, "applied.jsonl");
    let text = config(&identity, &inside(&folder, "state"), relay.address());
    let file = folder.file(
        "agent.toml",
        &format!("{text}record = {{ applied = {log:?} }}\n"),
    );
    let config: Config = Loader::new(Some(&file)).unwrap().finish().unwrap();
    let again = config.clone();
    let notify = inside(&folder, "notify");
    let ear = UnixDatagram::bind(&notify).unwrap();
    ear.set_nonblocking(true).unwrap();
    let within = Some(Duration::from_millis(40));
    let manager = ServiceManager::at(notify.as_os_str(), within).unwrap();
    let agent = program::start(&config, Box::new(move || Ok(again.clone())), manager).unwrap();
    let mut known = Vec::new();
    until(
        "the service manager knows that it is ready, and alive",
        || {
            known.extend(heard(&ear));
            let knows = |words: &str| known.iter().any(|known| known == words);
            (knows("READY=1") && knows("WATCHDOG=1")).then_some(())
        },
    );

    let truck: NodeName = "agent/truck-17".parse().unwrap();
    let desk = fleet.issue(folder.path(), "controller/desk");
    let operator = Operator::start(&desk, relay.address());
    relay.joined(&truck);
    operator.open(&truck);
    operator.take(&truck);
    until("motion is enabled", || {
        operator.drive(&truck, 0);
        (agent.control().stage(DRIVE) == Some(Stage::Nominal)).then_some(())
    });

    // From here on the network thread does nothing at all; the operator goes on driving.
    let (unblock, blocked) = channel::<()>();
    let (tell, told) = channel();
    agent
        .remote()
        .call(move |_, _| {
            tell.send(()).unwrap();
            let _ = blocked.recv();
        })
        .unwrap();
    told.recv().unwrap();
    heard(&ear);
    until("MinimalRisk", || {
        operator.drive(&truck, 500);
        (agent.control().stage(DRIVE) == Some(Stage::MinimalRisk)).then_some(())
    });
    let lines = until("the log has it", || {
        let lines = applied(&log);
        let last = lines.iter().rfind(|line| line["event"] == "stage")?;
        (last["stage"] == "MinimalRisk").then_some(lines)
    });
    // The control thread works as before; nobody says so to the service manager, which is about to start the agent again.
    assert_eq!(heard(&ear), [""; 0]);
    drop(unblock);

    // Judged by what the control thread noted: nothing came before its time, and in order.
    let last_applied = lines
        .iter()
        .rfind(|line| line["event"] == "applied")
        .unwrap();
    let fed = last_applied["applied_at_us"].as_u64().unwrap();
    let entered: Vec<(&str, u64)> = lines
        .iter()
        .filter(|line| line["event"] == "stage" && line["at_us"].as_u64() > Some(fed))
        .map(|line| {
            (
                line["stage"].as_str().unwrap(),
                line["at_us"].as_u64().unwrap() - fed,
            )
        })
        .collect();
    let stages: Vec<&str> = entered.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, ["Hold", "Ramp", "MinimalRisk"]);
    for ((_, after_us), limit_us) in entered.iter().zip([200_000, 500_000, 1_500_000]) {
        assert!(*after_us >= limit_us, "{entered:?}");
    }

    // What waited meanwhile is worth nothing: the lease is over, and motion needs a resume.
    operator.expect("the lease is lost", |event| match event {
        ControllerEvent::LeaseLost { .. } | ControllerEvent::SessionDown { .. } => Some(()),
        _ => None,
    });
    assert_eq!(agent.control().stage(DRIVE), Some(Stage::MinimalRisk));
    agent.end().unwrap();
    let after = applied(&log);
    let driven =
        |lines: &[serde_json::Value]| lines.iter().filter(|l| l["event"] == "applied").count();
    assert_eq!(driven(&after), driven(&lines));
}

/// What a service manager was told meanwhile.
fn heard(ear: &UnixDatagram) -> Vec<String> {
    let mut bytes = [0; 1_024];
    std::iter::from_fn(|| {
        let count = ear.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..count].to_vec()).unwrap())
    })
    .collect()
}
