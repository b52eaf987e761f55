//! A fleet's papers without a fleet.

use std::path::{Path, PathBuf};

use longrein::NodeName;
use longrein::fleet::{FleetFolder, Order, Validity};
use longrein::local_fleet::Folder;
use longrein_io::clock;

/// Papers of a relay `relay-a`, an agent `truck-17` and a controller `desk`.
pub struct Papers {
    fleet: FleetFolder,
    folder: Folder,
}

impl Papers {
    /// Makes them.
    pub fn new() -> Papers {
        Papers::made(now_s(), 365)
    }

    /// The same, made at another time, and all valid for so many days.
    pub fn made(now_s: u64, days: u32) -> Papers {
        let folder = Folder::new().unwrap();
        let orders = NODES.map(|node| Order {
            days,
            ..Order::new(node.parse().unwrap())
        });
        let name = "yard".parse().unwrap();
        let fleet = FleetFolder::create(&folder.path().join("fleet"), name, &orders, now_s);
        Papers {
            fleet: fleet.unwrap(),
            folder,
        }
    }

    /// The folder that goes with them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The papers of a node.
    pub fn of(&self, node: &str) -> PathBuf {
        self.fleet.node(&node.parse::<NodeName>().unwrap())
    }

    /// The papers of a node, with a certificate that was valid for a day in 2020.
    pub fn expired(&self, node: &str) -> PathBuf {
        self.valid(node, YEAR_2020_S, YEAR_2020_S + 86_400)
    }

    /// The papers of a node, with a certificate that is valid from then to then.
    pub fn valid(&self, node: &str, not_before_s: u64, not_after_s: u64) -> PathBuf {
        let validity = Validity {
            not_before_s,
            not_after_s,
        };
        let authority = self.fleet.authority();
        let files = authority.issue(&node.parse().unwrap(), &[], validity);
        let folder = self
            .folder()
            .join(format!("{}-{not_after_s}", node.replace('/', "-")));
        files.unwrap().write(&folder).unwrap();
        folder
    }

    /// The papers of a node, whose key is lost.
    pub fn without_key(&self, node: &str) -> PathBuf {
        let folder = self
            .folder()
            .join(format!("{}-keyless", node.replace('/', "-")));
        std::fs::create_dir(&folder).unwrap();
        for file in ["authority.pem", "node.pem"] {
            std::fs::copy(self.of(node).join(file), folder.join(file)).unwrap();
        }
        folder
    }
}

/// The program of a node, and its arguments for these papers and a relay at this address.
pub fn program(
    papers: &Papers,
    node: &str,
    identity: &Path,
    relay: &str,
) -> (&'static str, Vec<String>) {
    let kind = node.split('/').next().unwrap();
    let file = format!("{kind}.toml");
    let identity = format!("identity = {{ directory = {identity:?} }}\n");
    let relays = format!("relay = [{{ name = \"relay-a\", address = \"{relay}\" }}]\n");
    let state = papers.folder().join("state");
    let (name, text, verb) = match kind {
        "relay" => (
            "longrein-relay",
            format!("{identity}listen = [{{ name = \"main\", address = \"{relay}\" }}]\n"),
            None,
        ),
        "agent" => (
            "longrein-agent",
            format!(
                "state_directory = {state:?}\n{identity}{relays}\
                 function = [{{ name = \"drive\", adapter = {{ kind = \"sim\" }} }}]\n\
                 allow = [{{ who = [\"anybody\"], may = [\"observe\", \"command\"] }}]\n"
            ),
            None,
        ),
        _ => ("longrein", format!("{identity}{relays}"), Some("vehicles")),
    };
    let config = papers.file(&file, &text);
    let arguments = verb.map(String::from).into_iter();
    (
        name,
        arguments.chain(["--config".to_string(), config]).collect(),
    )
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    clock::unix_ms() / 1_000
}

/// The nodes that have papers.
pub const NODES: [&str; 3] = ["relay/relay-a", "agent/truck-17", "controller/desk"];
/// 1 January 2020.
const YEAR_2020_S: u64 = 1_577_836_800;
