//! A vehicle at the hub, with the real programs: what it reports is read by an operator, and how it shall be and letters reach a
//! program on the vehicle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longrein::hub::{
    Document, Hub, MailboxEvent, Message, Owner, Section, Start, TargetOutcome, Want, Write,
};
use longrein::local_fleet::{Folder, LocalFleet, Plan};
use longrein::{Connection, NodeName, Settings};
use longrein_io::runtime;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::fleet;
use super::program::Program;
use super::until::PATIENCE;

fn start(folder: &Folder) -> LocalFleet {
    let functions = format!(
        "[[function]]\nname = \"drive\"\nadapter = {{ kind = \"sim\" }}\n\
         [[local]]\nlevel = \"device\"\npath = {:?}\n",
        socket(folder)
    );
    fleet::start(Plan {
        hub: true,
        functions,
        ..fleet::plan()
    })
}

fn socket(folder: &Folder) -> PathBuf {
    folder.path().join("device.sock")
}

fn own_program(folder: &Folder) -> Program {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = tests.join("processes/local_hub.py");
    let mut command = Command::new("python3");
    let arguments = [script, tests.join("../agent/examples"), socket(folder)];
    let mut program = Program::run("python3", {
        command.args(arguments);
        command
    });
    program.prints("takes letters");
    program
}

async fn connect(fleet: &LocalFleet) -> Connection {
    let mut settings = Settings::new(fleet::identity(fleet, "alice"));
    for relay in fleet.relays() {
        settings = settings.relay(relay.name.parse().unwrap(), relay.address.to_string());
    }
    settings.patience = PATIENCE;
    Connection::connect(settings).await.unwrap()
}

fn truck() -> NodeName {
    "agent/truck-17".parse().unwrap()
}

fn values(document: &Document) -> BTreeMap<String, Value> {
    let items = document.items.iter();
    items
        .map(|item| {
            let value = serde_json::from_slice(&item.value.0).expect("JSON");
            (item.key.to_string(), value)
        })
        .collect()
}

/// The vehicle's report, once it is as is wanted.
async fn reported(
    hub: &Hub,
    fact: &str,
    is_so: impl Fn(&BTreeMap<String, Value>) -> bool,
) -> BTreeMap<String, Value> {
    let owner = Owner::Node(truck());
    let seen = async {
        let mut watch = hub.watch_document(&owner, Section::Reported).await.unwrap();
        loop {
            let document = watch.next().await.expect("the watch goes on");
            let values = values(&document);
            if is_so(&values) {
                return values;
            }
        }
    };
    let seen = timeout(PATIENCE, seen).await;
    seen.unwrap_or_else(|_| panic!("never: {fact}"))
}

#[test]
fn what_a_vehicle_reports_is_read_at_the_hub_also_after_the_hub_was_killed() {
    let folder = Folder::new().unwrap();
    let mut fleet = start(&folder);
    runtime::run(async || {
        let alice = connect(&fleet).await;
        let hub = alice.hub().with_patience(PATIENCE);
        let drive = |values: &BTreeMap<String, Value>| values.get("function.drive").cloned();
        let free = reported(&hub, "the drive function is free", |values| {
            drive(values).is_some_and(|drive| drive["holder"].is_null())
        })
        .await;
        assert_eq!(free["stop"]["latched"], json!(false));
        assert_eq!(free["links"]["lte"], json!(["relay-a", "relay-b"]));

        let vehicle = alice.open(&"truck-17".parse().unwrap()).await.unwrap();
        let lease = vehicle.take(&"drive".parse().unwrap()).await.unwrap();
        reported(&hub, "alice holds the lease", |values| {
            drive(values).is_some_and(|drive| drive["holder"] == json!("controller/alice"))
        })
        .await;
        fleet.kill_relay(0);
        lease.release().await.unwrap();
        fleet.restart_relay(0).unwrap();
        reported(&hub, "what changed meanwhile is told", |values| {
            drive(values).is_some_and(|drive| drive["holder"].is_null())
        })
        .await;
        alice.close().await;
    })
    .unwrap();

    // The same at the command line.
    let mut arguments: Vec<String> = ["attr", "get", "truck-17", "--section", "reported", "--json"]
        .map(ToString::to_string)
        .into();
    arguments.extend(fleet::connection(&fleet, "alice"));
    let ended = Program::start("longrein", arguments).ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = ended.stdout.join("\n");
    assert!(
        text.contains("function.drive") && text.contains("stop"),
        "{text}"
    );
}

#[test]
fn how_a_vehicle_shall_be_and_letters_reach_a_program_on_it() {
    let folder = Folder::new().unwrap();
    let fleet = start(&folder);
    runtime::run(async || {
        let alice = connect(&fleet).await;
        let hub = alice.hub().with_patience(PATIENCE);
        let owner = Owner::Node(truck());
        let hour = Duration::from_secs(3_600);
        let want = async |flow: &str, is_kept: bool, want: Want| {
            let flow = flow.parse().unwrap();
            let message = Message::to_nodes([truck()], flow, b"{\"go\":1}".as_slice()).want(want);
            let message = if is_kept { message.kept(hour) } else { message };
            let sent = hub.send(message).await.unwrap();
            let results = timeout(PATIENCE, sent.results()).await.expect("results");
            results[&truck()].clone()
        };
        // Its agent is here, and no program for letters.
        let none = TargetOutcome::Declined("no-program".parse().unwrap());
        assert_eq!(want("plan", false, Want::Applied).await, none);
        assert_eq!(
            want("plan", false, Want::Delivered).await,
            TargetOutcome::Delivered
        );
        assert_eq!(
            want("early", true, Want::Delivered).await,
            TargetOutcome::Kept
        );

        let mut program = own_program(&folder);
        program.prints("\"flow\": \"early\"");
        assert_eq!(
            want("plan", false, Want::Applied).await,
            TargetOutcome::Applied
        );
        assert_eq!(
            want("plan", true, Want::Applied).await,
            TargetOutcome::Applied
        );
        let not_now = TargetOutcome::Declined("not-now".parse().unwrap());
        assert_eq!(want("no", false, Want::Applied).await, not_now);

        // What it sends is in her mailbox.
        let mut mailbox = hub.mailbox(Start::Oldest).await.unwrap();
        let letter = timeout(PATIENCE, async {
            loop {
                match mailbox.next().await.expect("the mailbox is there") {
                    MailboxEvent::Letter(letter) => return *letter,
                    MailboxEvent::Resumed { .. } => {}
                    end => panic!("{end:?}"),
                }
            }
        });
        let letter = letter.await.expect("a letter");
        assert_eq!(letter.from, truck());
        assert_eq!(&*letter.payload.0, br#"{"to":{"go":1}}"#);

        let limit = "limit".parse().unwrap();
        let write =
            Write::new(owner.clone(), Section::Desired).set(limit, b"{\"mm_s\":900}".as_slice());
        hub.set(write).await.unwrap();
        program.prints("\"mm_s\": 900");
        let own = reported(&hub, "its own items are told", |values| {
            values.contains_key("own.battery") && values.contains_key("own.done")
        })
        .await;
        assert_eq!(own["own.battery"], json!({"percent": 80}));
        assert_eq!(own["own.done"], json!({"go": 1}));

        // It dies, and what is kept waits for the next one.
        program.signal(Signal::KILL);
        drop(program);
        assert_eq!(
            want("later", true, Want::Delivered).await,
            TargetOutcome::Kept
        );
        let mut program = own_program(&folder);
        program.prints("\"mm_s\": 900");
        program.prints("\"flow\": \"later\"");
        alice.close().await;
    })
    .unwrap();
}
