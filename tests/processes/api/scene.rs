//! A fleet whose first relay serves the API, and services that use it.

use std::sync::Arc;

use longrein::local_fleet::{Folder, LocalFleet, Plan};
use serde_json::Value;

use super::super::fleet;
use super::super::program::Program;
use super::super::until::until;
use super::super::web::{self, Answer, Events};

/// A fleet, and a key whose tokens its relays believe.
pub struct Scene {
    /// The fleet.
    pub fleet: LocalFleet,
    /// Where its first relay serves HTTP.
    pub address: String,
    folder: Folder,
}

/// A service with its token; clones are the same one.
#[derive(Clone)]
pub struct Service {
    address: String,
    /// Its token.
    pub token: Arc<str>,
}

impl Scene {
    /// The first relay is the hub.
    pub fn start() -> Scene {
        Scene::new(true, "")
    }

    /// The same with further keys of `[http]`.
    pub fn with_keys(keys: &str) -> Scene {
        Scene::new(true, keys)
    }

    /// No relay is the hub.
    pub fn without_hub() -> Scene {
        Scene::new(false, "")
    }

    fn new(hub: bool, keys: &str) -> Scene {
        let folder = Folder::new().unwrap();
        let key = folder.path().join("tokens.key");
        let made = relay_token(&["--new-key", &key.display().to_string()]);
        assert!(made.is_empty(), "{made:?}");
        let public = folder.path().join("tokens.key.pub");
        let sections = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\napi = true\n{keys}\n\
             [[http.token_key]]\nname = \"own\"\nfile = {public:?}\nprivate = {key:?}\n"
        );
        let fleet = fleet::start(Plan {
            hub,
            relay_sections: sections,
            ..fleet::plan()
        });
        let address = fleet::http_address(&fleet, "relay-a");
        Scene {
            fleet,
            address,
            folder,
        }
    }

    /// Kills the hub, starts it again, and gives a service that asks it where it serves now.
    pub fn restart_hub(&mut self, name: &str) -> Service {
        self.fleet.kill_relay(0);
        // The one that was killed may still be there for a moment, and have the store.
        until("the hub starts again", || self.fleet.restart_relay(0).ok());
        self.address = fleet::http_address(&self.fleet, "relay-a");
        self.service(name, ALL)
    }

    /// A service with a token of its own.
    pub fn service(&self, name: &str, scope: &str) -> Service {
        self.service_at(&self.address, name, scope)
    }

    /// The same at another relay.
    pub fn service_at(&self, address: &str, name: &str, scope: &str) -> Service {
        let key = self.folder.path().join("tokens.key").display().to_string();
        let words = ["--key", &key, "--name", name, "--scope", scope];
        let printed = relay_token(&words);
        assert_eq!(printed.len(), 1, "{printed:?}");
        Service {
            address: address.to_string(),
            token: printed[0].as_str().into(),
        }
    }
}

impl Service {
    /// Asks for something.
    pub fn get(&self, place: &str) -> Answer {
        self.ask("GET", place, "", "")
    }

    /// Asks with JSON.
    pub fn send(&self, method: &str, place: &str, body: &Value) -> Answer {
        self.ask(method, place, JSON, &body.to_string())
    }

    /// The same with further lines of the head.
    pub fn send_with(&self, method: &str, place: &str, lines: &str, body: &Value) -> Answer {
        let lines = format!("{JSON}{lines}");
        self.ask(method, place, &lines, &body.to_string())
    }

    /// Asks anything.
    pub fn ask(&self, method: &str, place: &str, lines: &str, body: &str) -> Answer {
        let lines = format!("authorization: Bearer {}\r\n{lines}", self.token);
        web::tell(&self.address, method, place, &lines, body)
    }

    /// Opens a stream of events, behind one of an earlier stream's.
    pub fn events(&self, place: &str, last: Option<&str>) -> Events {
        let mut lines = format!("authorization: Bearer {}\r\n", self.token);
        if let Some(last) = last {
            lines += &format!("last-event-id: {last}\r\n");
        }
        Events::open(&self.address, place, &lines)
    }

    /// Asks on another thread, so that nodes of this thread go on.
    pub async fn aside<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Service) -> T + Send + 'static,
    ) -> T {
        let own = self.clone();
        tokio::task::spawn_blocking(move || ask(&own))
            .await
            .unwrap()
    }
}

/// Fails unless an answer is the problem of this kind; its detail.
pub fn expect_problem(answer: &Answer, status: u16, kind: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(
        answer
            .head
            .contains("content-type: application/problem+json"),
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:longrein:problem:{kind}"));
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string(), "{problem}");
    problem["detail"].as_str().unwrap().to_string()
}

fn relay_token(words: &[&str]) -> Vec<String> {
    let ended = Program::start("longrein-relay", [&["token"][..], words].concat()).ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

/// All scopes.
pub const ALL: &str = "hub.read hub.join hub.send hub.write hub.manage";
const JSON: &str = "content-type: application/json\r\n";
