//! The real relay posts to a real receiver: signed, again until it is taken, over a kill of the relay, and never to who is gone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

#[path = "support/receiver.rs"]
mod receiver;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use receiver::{Received, Receiver};
use serde_json::{Value, json};
use support::Folder;
use support::fleet::Fleet;
use support::program::{Program, field, run};

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

/// A hub with a webhook, and a service that manages it.
struct Scene {
    folder: Folder,
    config: PathBuf,
    relay: Option<Program>,
    address: String,
    token: String,
}

impl Scene {
    fn start(test: &str, receiver: &Receiver, keys: &str) -> Scene {
        let folder = Folder::new(test);
        let identity = Fleet::new("harbour").issue(folder.path(), "relay/east");
        let key = folder.path().join("tokens.key").display().to_string();
        let (code, _, said) = run(RELAY, &["token", "--new-key", &key]);
        assert_eq!(code, Some(0), "{said}");
        let (secret, hub) = (
            folder.file("erp.secret", &format!("{SECRET}\n")),
            folder.path().join("hub"),
        );
        let text = format!(
            "[identity]\ndirectory = {identity:?}\n\
             [[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n\
             [hub]\nenabled = true\ndirectory = {hub:?}\n\
             [http]\nlisten = \"127.0.0.1:0\"\napi = true\n\
             [[http.token_key]]\nname = \"own\"\nfile = \"{key}.pub\"\nprivate = \"{key}\"\n\
             [[http.webhook]]\nname = \"erp\"\nurl = \"http://{}/hooks\"\nsecret_file = {secret:?}\n\
             service = \"erp\"\n{keys}\n",
            receiver.address
        );
        let config = folder.file("relay.toml", &text);
        let name = config.display().to_string();
        let (code, token, said) = run(
            RELAY,
            &["token", "--config", &name, "--name", "boss", "--scope", ALL],
        );
        assert_eq!(code, Some(0), "{said}");
        let mut scene = Scene {
            folder,
            config,
            relay: None,
            address: String::new(),
            token: token.trim().to_string(),
        };
        scene.run();
        scene
    }

    /// Kills the relay, if it runs, and starts it.
    fn run(&mut self) {
        // It is killed with SIGKILL when it is dropped.
        self.relay = None;
        let config = self.config.display().to_string();
        let mut relay = Program::start(RELAY, &["--config", &config]);
        let line = relay.line("http is served");
        self.address = field(&line, "address").to_string();
        self.relay = Some(relay);
    }

    fn ask(&self, method: &str, place: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (body, token) = (body.to_string(), &self.token);
        let request = format!(
            "{method} /v1{place} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nif-match: *\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Sends a message to the service that is kept for it.
    fn send(&self, number: u64) {
        let message = json!({
            "to": { "nodes": ["service/erp"] }, "flow": "orders", "keep": true,
            "ttl_ms": 600_000, "payload": number,
        });
        let (status, answer) = self.ask("POST", "/messages", &message);
        assert!((200..300).contains(&status), "{status} {answer}");
    }

    fn publish(&self, number: u64) {
        let place = "/rooms/yard/topics/talk/messages";
        let (status, answer) = self.ask("POST", place, &json!({ "payload": number }));
        assert_eq!(status, 201, "{answer}");
    }

    fn make_room(&self) {
        let (status, answer) = self.ask("PUT", "/rooms/yard", &json!({}));
        assert_eq!(status, 200, "{answer}");
    }

    /// Reads the room's topic as another service, which is a member of it for as long.
    fn join_and_leave(&self) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = &self.token;
        let request = format!(
            "GET /v1/events?topics=yard/talk HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
    }

    fn status(&self) -> Value {
        let (status, answer) = self.ask("GET", "/webhooks", &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer["webhooks"][0].clone()
    }

    fn dead(&self) -> Vec<Value> {
        let (status, answer) = self.ask("GET", "/webhooks/erp/dead-letters", &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer["dead_letters"].as_array().unwrap().clone()
    }

    /// Asks until something is so.
    fn until<T>(&self, fact: &str, look: impl Fn(&Scene) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let status = self.status();
            assert!(Instant::now() < deadline, "never: {fact}: {status}");
            // As often as a service may ask.
            std::thread::sleep(LOOK);
        }
    }
}

fn payload(received: &Received) -> u64 {
    received.json()["data"]["payload"].as_u64().unwrap()
}

#[test]
fn what_comes_is_posted_with_a_signature_that_verifies() {
    let receiver = Receiver::start(SECRET);
    let keys = "events = [\"mailbox\", \"document\", \"topic\", \"members\"]\nfrom = \"oldest\"\n\
                topics = [\"yard/talk\"]\nrooms = [\"yard\"]\nparts = [\"attributes\"]\nnodes = [\"agent/truck-17\"]";
    let scene = Scene::start("webhook-signed", &receiver, keys);
    scene.make_room();
    scene.send(1);
    scene.publish(2);
    for node in ["truck-16", "truck-17"] {
        let place = format!("/nodes/agent/{node}/documents/attributes");
        let (status, answer) = scene.ask("PATCH", &place, &json!({ "set": { "color": "red" } }));
        assert_eq!(status, 200, "{answer}");
    }
    let kinds = scene.until("each kind is posted", |scene| {
        // Somebody joins and leaves, until the webhook is a member that hears it.
        scene.join_and_leave();
        let mut kinds = BTreeMap::new();
        for received in receiver.taken() {
            assert!(received.is_genuine, "{received:?}");
            let body = received.json();
            assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
            let kind = body["type"].as_str().unwrap().to_string();
            kinds.insert(kind, body["data"].clone());
        }
        (kinds.len() == 4).then_some(kinds)
    });
    assert_eq!(kinds["mailbox"]["payload"], 1);
    assert_eq!(kinds["mailbox"]["from"], "service/boss");
    assert_eq!(kinds["topic"]["topic"], "talk");
    assert_eq!(kinds["topic"]["payload"], 2);
    assert_eq!(kinds["document"]["node"], "agent/truck-17");
    assert_eq!(kinds["document"]["set"]["color"]["value"], "red");
    assert_eq!(kinds["members"]["room"], "yard");

    // What is delivered is taken out of the mailbox.
    scene.until("nothing waits", |scene| {
        (scene.status()["waiting"] == 0).then_some(())
    });
    let line = "longrein_relay_webhook_waiting_events{webhook=\"erp\"} 0";
    let mut stream = TcpStream::connect(&scene.address).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.contains(line), "{page}");
}

#[test]
fn what_fails_is_posted_again_in_order_with_the_same_id_until_it_is_taken() {
    let receiver = Receiver::start(SECRET);
    receiver.answer(503, 2);
    let scene = Scene::start("webhook-again", &receiver, "events = [\"mailbox\"]");
    scene.send(1);
    scene.send(2);
    let seen: Vec<(u64, String)> = (0..4)
        .map(|_| receiver.next())
        .map(|received| (payload(&received), received.id))
        .collect();
    let numbers: Vec<u64> = seen.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 1, 1, 2]);
    assert_eq!(seen[0].1, seen[1].1);
    assert_eq!(seen[1].1, seen[2].1);
    assert_ne!(seen[2].1, seen[3].1);
    let status = scene.until("both are delivered", |scene| {
        let status = scene.status();
        (status["waiting"] == 0).then_some(status)
    });
    assert_eq!(status["delivered"], 2);
    assert_eq!(status["failed_attempts"], 2);
    assert_eq!(status["dead"], 0);
}

#[test]
fn what_is_never_taken_is_a_dead_letter_and_is_delivered_again_on_request_also_over_a_kill() {
    let receiver = Receiver::start(SECRET);
    receiver.answer(500, 2);
    let keys = "events = [\"mailbox\"]\nattempts = 2";
    let mut scene = Scene::start("webhook-dead", &receiver, keys);
    scene.send(7);
    let (first, second) = (receiver.next(), receiver.next());
    assert_eq!(first.id, second.id);
    scene.until("it is dead", |scene| {
        (scene.dead().len() == 1).then_some(())
    });
    scene.run();
    let dead = scene.dead();
    assert_eq!(dead[0]["id"], first.id.as_str());
    assert_eq!(dead[0]["attempts"], 2);
    assert_eq!(dead[0]["body"]["data"]["payload"], 7);
    assert!(dead[0]["why"].as_str().unwrap().contains("500"), "{dead:?}");

    let (status, _) = scene.ask(
        "POST",
        "/webhooks/erp/dead-letters/msg_00000000000000000000000000000000/redeliver",
        &Value::Null,
    );
    assert_eq!(status, 404);
    let place = format!("/webhooks/erp/dead-letters/{}/redeliver", first.id);
    assert_eq!(scene.ask("POST", &place, &Value::Null).0, 202);
    let third = receiver.next();
    assert_eq!((third.id, third.is_genuine), (first.id, true));
    scene.until("it is delivered", |scene| {
        (scene.status()["waiting"] == 0).then_some(())
    });
    assert!(scene.dead().is_empty());
    // It is given back once.
    assert_eq!(scene.ask("POST", &place, &Value::Null).0, 404);
}

#[test]
fn a_kill_of_the_relay_loses_nothing_and_keeps_the_order() {
    let receiver = Receiver::start(SECRET);
    let keys = "events = [\"mailbox\", \"topic\"]\ntopics = [\"yard/talk\"]\nfrom = \"oldest\"";
    let mut scene = Scene::start("webhook-kill", &receiver, keys);
    scene.make_room();
    for round in 0..4 {
        for number in 0..8 {
            scene.send(round * 8 + number);
            scene.publish(round * 8 + number);
        }
        if round % 2 == 0 {
            // Some of it is on its way, and what comes now finds nobody.
            receiver.next();
            receiver.answer(503, 2);
        }
        scene.run();
    }
    let mut seen = BTreeMap::<String, Vec<u64>>::new();
    scene.until("all are delivered", |scene| {
        let status = scene.status();
        (status["waiting"] == 0 && receiver.taken().len() >= 64).then_some(())
    });
    let mut ids = BTreeSet::new();
    for received in receiver.taken() {
        // At least once: a receiver knows by the id what it has.
        if ids.insert(received.id.clone()) {
            let kind = received.json()["type"].as_str().unwrap().to_string();
            seen.entry(kind).or_default().push(payload(&received));
        }
    }
    let all: Vec<u64> = (0..32).collect();
    assert_eq!(seen["mailbox"], all);
    assert_eq!(seen["topic"], all);
    drop(scene.folder);
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_until_it_is_enabled_again() {
    let receiver = Receiver::start(SECRET);
    receiver.answer(410, 1);
    let mut scene = Scene::start("webhook-gone", &receiver, "events = [\"mailbox\"]");
    scene.send(1);
    receiver.next();
    let gone = scene.until("it is off", |scene| {
        let status = scene.status();
        (status["enabled"] == false).then_some(status)
    });
    assert!(gone["gone_at_ms"].as_u64().unwrap() > 0, "{gone}");
    scene.run();
    assert_eq!(scene.status()["enabled"], false);
    scene.send(2);
    assert_eq!(receiver.count(), 1);
    let enabled = scene.ask("POST", "/webhooks/erp/enable", &Value::Null);
    assert_eq!(enabled.0, 204, "{}", enabled.1);
    let numbers = [receiver.next(), receiver.next()].map(|received| payload(&received));
    assert_eq!(numbers, [1, 2]);
}

/// The Python of the documentation, and what it says of a signature that is right and of others.
#[test]
fn the_documented_receiver_verifies_what_is_posted_and_nothing_else() {
    let text = include_str!("../../docs/webhooks.md");
    let (_, rest) = text.split_once("```python\n").unwrap();
    let (python, _) = rest.split_once("```").unwrap();
    let receiver = Receiver::start(SECRET);
    let scene = Scene::start("webhook-python", &receiver, "events = [\"mailbox\"]");
    scene.send(1);
    let received = receiver.next();
    let script = format!(
        "{python}\nimport json, sys\nposted = json.load(sys.stdin)\n\
         secret, body, headers = posted['secret'], posted['body'].encode(), posted['headers']\n\
         old = dict(headers, **{{'webhook-timestamp': '1614265330'}})\n\
         assert verify(secret, headers, body)\n\
         assert not verify(secret, headers, body + b' ')\n\
         assert not verify(secret, old, body)\n\
         assert not verify('whsec_' + 'A' * 32, headers, body)\n"
    );
    let posted = json!({
        "secret": SECRET,
        "body": received.body,
        "headers": {
            "webhook-id": received.id,
            "webhook-timestamp": received.timestamp,
            "webhook-signature": received.signature,
        },
    });
    let mut python = Command::new("python3")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(posted.to_string().as_bytes()).unwrap();
    drop(stdin);
    assert!(python.wait().unwrap().success());
}

#[test]
fn what_is_wrong_with_a_webhook_is_one_plain_line_without_the_secret() {
    let folder = Folder::new("webhook-errors");
    let identity = Fleet::new("harbour").issue(folder.path(), "relay/east");
    let hub = folder.path().join("hub");
    let secret = folder.file("secret", "whsec_tooshort\n");
    let head = format!(
        "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n"
    );
    let hook = |url: &str| {
        format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n[[http.webhook]]\nname = \"erp\"\nurl = \"{url}\"\n\
             secret_file = {secret:?}\nservice = \"erp\"\nevents = [\"mailbox\"]\n"
        )
    };
    let with_hub = format!("{head}[hub]\nenabled = true\ndirectory = {hub:?}\n");
    for (text, expected) in [
        (
            format!("{head}{}", hook("https://erp.example/")),
            "[[http.webhook]]: it is for the fleet's hub: [hub] needs `enabled = true`",
        ),
        (
            format!("{with_hub}{}", hook("http://erp.example/")),
            "[[http.webhook]] erp: `url` must be https, or http of this machine",
        ),
        (
            format!("{with_hub}{}", hook("https://erp.example/")),
            "expected 1 to 4 lines, each `whsec_` and 24 to 64 bytes in base64",
        ),
    ] {
        let file = folder.file("relay.toml", &text);
        let (code, _, said) = run(RELAY, &["--config", &file.display().to_string()]);
        assert_ne!(code, Some(0), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("tooshort"), "{said}");
    }
}

const ALL: &str = "hub.read hub.join hub.send hub.write hub.manage";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
