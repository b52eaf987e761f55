//! The local API of the real program, with clients that do what they should not. Nobody drives here: `tests/processes` does.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::mpsc::channel;

use longrein_agent::config::Config;
use longrein_agent::program;
use longrein_io::config::Loader;
use longrein_io::service_manager::ServiceManager;
use longrein_proto::base::Stage;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::local_client::LocalClient;
use support::operator::DRIVE;
use support::{AGENT, Fleet, Folder, Program, inside, nobody, text, until};

/// An agent with the functions `drive` (a local device), `arm` (a simulated one) and `tunnel` (opaque, without a watchdog), and
/// sockets for devices, for devices of `arm` only, and for observers.
struct Scene {
    folder: Folder,
    file: PathBuf,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let folder = Folder::new(name);
        let identity = Fleet::new("yard").issue(folder.path(), "agent/truck-17");
        let [state, device, arm, observer] =
            ["state", "device", "arm", "observer"].map(|name| inside(&folder, name));
        let config = format!(
            "state_directory = {state:?}\n\
             identity = {{ directory = {identity:?} }}\n\
             relay = [{{ name = \"east\", address = \"{}\" }}]\n\
             [[function]]\nname = \"drive\"\nadapter = {{ kind = \"local\" }}\n\
             [[function]]\nname = \"arm\"\nadapter = {{ kind = \"sim\" }}\n\
             [[function]]\nname = \"tunnel\"\nkind = \"opaque\"\nwatchdog = false\nadapter = {{ kind = \"local\" }}\n\
             [[local]]\nlevel = \"device\"\npath = {device:?}\n\
             [[local]]\nlevel = \"device\"\npath = {arm:?}\nfunctions = [\"arm\"]\nmode = \"0606\"\n\
             [[local]]\nlevel = \"observer\"\npath = {observer:?}\n",
            nobody()
        );
        let file = folder.file("agent.toml", &config);
        Scene { folder, file }
    }

    fn start(&self) -> Program {
        Program::start(AGENT, &["--config", &text(&self.file)])
    }

    fn at(&self, socket: &str) -> LocalClient {
        LocalClient::connect(&inside(&self.folder, socket))
    }
}

fn state(message: &Value) -> Option<&Value> {
    message.get("state")
}

fn is_stopped(message: &Value) -> Option<bool> {
    state(message)?["stopped"].as_bool()
}

/// SAFE-134
#[test]
fn an_observer_reads_how_the_vehicle_stands_and_can_do_nothing_else() {
    let scene = Scene::new("local-observer");
    let _agent = scene.start();
    let observer = scene.at("observer");
    let hello = observer.hear().unwrap();
    assert_eq!(
        hello,
        json!({"hello": {"api": 1, "vehicle": "truck-17", "level": "observer", "functions": [
            {"name": "drive", "kind": "drive", "claimable": false},
            {"name": "arm", "kind": "drive", "claimable": false},
            {"name": "tunnel", "kind": "opaque", "claimable": false},
        ]}})
    );
    let functions = observer.hears("the state", |message| {
        let state = state(message)?;
        assert_eq!(state["stopped"], false);
        state["functions"][1]["device_up"]
            .as_bool()?
            .then(|| state["functions"].clone())
    });
    assert_eq!(
        functions[1],
        json!({"name": "arm", "stage": "MinimalRisk", "device_up": true, "holder": null})
    );
    assert_eq!(functions[0]["device_up"], false);

    for message in [
        r#"{"id":1,"do":"claim","function":"drive"}"#,
        r#"{"id":2,"do":"minimal_risk","function":"drive"}"#,
        r#"{"id":3,"do":"stop"}"#,
        r#"{"function":"arm","telemetry":{"x_mm":1,"y_mm":0,"heading_mrad":0,"speed_mm_s":0}}"#,
        r#"{"function":"drive","ack":1}"#,
        r#"{"id":4,"do":"release","function":"drive"}"#,
    ] {
        assert_eq!(observer.ask(message), "not_allowed", "{message}");
    }
    assert_eq!(observer.ask(&"x".repeat(2_000)), "too_long");
    let device = scene.at("device");
    assert_eq!(
        device.ask(r#"{"id":1,"do":"claim","function":"drive"}"#),
        "claim"
    );
    assert!(!observer.hears("the state", is_stopped));
}

/// SAFE-134
#[test]
fn a_socket_is_for_its_functions_and_for_whom_its_file_says() {
    let scene = Scene::new("local-functions");
    let _agent = scene.start();
    let arm = scene.at("arm");
    for (message, answer) in [
        (r#"{"do":"claim","function":"drive"}"#, "not_allowed"),
        (r#"{"do":"minimal_risk","function":"drive"}"#, "not_allowed"),
        (r#"{"do":"claim","function":"arm"}"#, "not_local"),
        (r#"{"do":"claim","function":"wings"}"#, "no_such_function"),
        (r#"{"do":"minimal_risk","function":"arm"}"#, "minimal_risk"),
    ] {
        assert_eq!(arm.ask(message), answer, "{message}");
    }
    for (socket, mode) in [("device", 0o660), ("arm", 0o606), ("observer", 0o660)] {
        let file = std::fs::metadata(inside(&scene.folder, socket)).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.mode() & 0o777, mode, "{socket}");
    }
}

/// SAFE-133
#[test]
fn a_function_has_one_device_and_the_next_one_when_that_is_gone() {
    let scene = Scene::new("local-claim");
    let mut agent = scene.start();
    let (first, second) = (scene.at("device"), scene.at("device"));
    let claim = r#"{"id":7,"do":"claim","function":"drive"}"#;
    assert_eq!(first.ask(claim), "claim");
    let word = first.hears("a word", |message| {
        message.get("seq").map(|_| message.clone())
    });
    assert_eq!(
        (
            &word["function"],
            &word["seq"],
            &word["stage"],
            &word["stopped"]
        ),
        (
            &json!("drive"),
            &json!(1),
            &json!("MinimalRisk"),
            &json!(false)
        )
    );
    assert!(first.say(r#"{"function":"drive","ack":1}"#));
    agent.line("device is up function=\"drive\"");
    assert!(first.say(claim), "again, which changes nothing");
    assert_eq!(first.answer(), json!({"id": 7, "done": "claim"}));
    assert_eq!(second.ask(claim), "taken");
    for message in [
        r#"{"function":"drive","ack":1}"#,
        r#"{"do":"release","function":"drive"}"#,
    ] {
        assert_eq!(second.ask(message), "not_claimed");
    }

    drop(first);
    agent.line("device is down");
    assert_eq!(second.ask(claim), "claim");
    // It never acknowledges, and so is no device, and loses its place.
    agent.line("local device does not answer and loses its place");
    second.ends();
    assert_eq!(scene.at("device").ask(claim), "claim");
}

/// SAFE-131, SAFE-34
#[test]
fn a_stop_holds_and_is_stored_and_no_client_can_reset_it() {
    let scene = Scene::new("local-stop");
    let mut agent = scene.start();
    let (device, observer) = (scene.at("device"), scene.at("observer"));
    agent.line("agent ready");
    assert_eq!(device.ask(r#"{"id":1,"do":"stop","why":"bumper"}"#), "stop");
    let line = agent.line("emergency stop is latched");
    assert!(line.contains("operator=\"agent/truck-17\""), "{line}");
    until("the observer hears of it", || {
        observer.hears("the state", is_stopped).then_some(())
    });
    for message in [
        r#"{"id":2,"do":"reset"}"#,
        r#"{"id":3,"do":"reset","function":"drive"}"#,
        r#"{"id":4,"do":"stop","stopped":false}"#,
    ] {
        assert_eq!(device.ask(message), "malformed", "{message}");
    }
    // As an agent that has come to its end has it on disk.
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().0.code(), Some(0));
    assert!(
        !inside(&scene.folder, "device").exists(),
        "it is gone with the agent"
    );
    let _agent = scene.start();
    assert!(scene.at("observer").hears("the state", is_stopped));
}

/// SAFE-130
#[test]
fn minimal_risk_is_refused_for_a_function_that_nothing_could_resume() {
    let scene = Scene::new("local-request");
    let _agent = scene.start();
    let device = scene.at("device");
    for (function, answer) in [("drive", "minimal_risk"), ("tunnel", "no_watchdog")] {
        let message = json!({"do": "minimal_risk", "function": function, "why": "somebody ahead"});
        assert_eq!(device.ask(&message.to_string()), answer);
    }
}

/// SAFE-135
#[test]
fn rubbish_floods_and_crowds_are_bounded_and_disturb_nobody_else() {
    let scene = Scene::new("local-flood");
    let _agent = scene.start();
    let good = scene.at("device");
    let claim = r#"{"id":1,"do":"claim","function":"drive"}"#;
    assert_eq!(good.ask(claim), "claim");

    let rubbish = scene.at("device");
    for number in 0..16 {
        let message = [b"{\"id\":1}".to_vec(), vec![0xff; 100], b"[]".to_vec()];
        assert!(rubbish.say(&message[number % 3]));
    }
    rubbish.ends();
    let long = scene.at("device");
    assert_eq!(
        long.ask(&format!(r#"{{"do":"{}"}}"#, "x".repeat(131_330))),
        "too_long"
    );

    let flood = scene.at("device");
    let telemetry =
        r#"{"function":"drive","telemetry":{"x_mm":1,"y_mm":2,"heading_mrad":3,"speed_mm_s":4}}"#;
    while flood.say(telemetry) {}
    let said: Vec<Value> = std::iter::from_fn(|| flood.hear()).collect();
    assert!(
        said.iter().any(|message| message["error"] == "too_often"),
        "{said:?}"
    );

    // Who does not read is not waited for.
    let deaf = scene.at("device");
    while deaf.say(r#"{"id":1,"function":"arm","telemetry":{"x_mm":1,"y_mm":2,"heading_mrad":3,"speed_mm_s":4}}"#) {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }

    let crowd: Vec<LocalClient> = (0..8).map(|_| scene.at("observer")).collect();
    for client in &crowd {
        assert!(client.hear().unwrap().get("hello").is_some());
    }
    assert_eq!(scene.at("observer").answer()["error"], "too_many");
    assert_eq!(good.ask(claim), "claim", "it has its place still");
}

/// SAFE-131, SAFE-28
#[test]
fn a_stop_is_in_effect_while_the_network_thread_is_blocked_and_told_when_it_is_not() {
    let scene = Scene::new("local-blocked");
    let config: Config = Loader::new(Some(&scene.file)).unwrap().finish().unwrap();
    let again = config.clone();
    let manager = ServiceManager::from_environment();
    let agent = program::start(&config, Box::new(move || Ok(again.clone())), manager).unwrap();
    let (unblock, blocked) = channel::<()>();
    let (tell, told) = channel();
    let block = move |_: &mut _, _| {
        tell.send(()).unwrap();
        let _ = blocked.recv();
    };
    agent.remote().call(block).unwrap();
    told.recv().unwrap();

    let device = scene.at("device");
    assert_eq!(device.ask(r#"{"do":"claim","function":"drive"}"#), "claim");
    assert_eq!(device.ask(r#"{"do":"stop"}"#), "stop");
    device.hears("the stop", |message| is_stopped(message)?.then_some(()));
    assert_eq!(agent.control().own_stops(), 1);
    assert_eq!(agent.control().stage(DRIVE), Some(Stage::MinimalRisk));
    drop(unblock);
    until("the role knows", || {
        let stopped = agent.remote().ask_blocking(|agent, _| agent.is_stopped());
        stopped.unwrap().then_some(())
    });
    agent.end().unwrap();
}

#[test]
fn a_socket_that_was_left_is_replaced_and_another_file_is_not() {
    let scene = Scene::new("local-left");
    let mut agent = scene.start();
    agent.line("agent ready");
    agent.signal(Signal::KILL);
    let _ = agent.ended();
    let socket = inside(&scene.folder, "device");
    assert!(socket.exists());
    let mut agent = scene.start();
    agent.line("agent ready");
    assert!(scene.at("device").hear().is_some());
    agent.signal(Signal::TERM);
    let _ = agent.ended();

    std::fs::write(&socket, "precious").unwrap();
    let (status, said) = scene.start().ended();
    assert_eq!(status.code(), Some(1));
    assert!(
        said.ends_with("device: there is a file that is no socket"),
        "{said}"
    );
    assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
}
