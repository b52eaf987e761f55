//! The smallest role: a caller says something on each path again and again, an echo sends it back.

use crate::fleet::Fleet;
use longrein_io::dial::{DialOutcome, Dialers, Route, dial};
use longrein_io::drive::Driver;
use longrein_io::keys::Identity;
use longrein_io::listen::{ListenLimits, ListenSettings, Listener, listen};
use longrein_io::socket::Bind;
use longrein_proto::base::{MonoTime, Name, PathId};
use longrein_proto::role::{Input, Redial, Role, Transmit};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

#[derive(Default)]
pub struct Echo {
    pub answers: bool,
    pub says: Option<Vec<u8>>,
    pub paths: BTreeSet<PathId>,
    pub out: VecDeque<Transmit>,
    pub events: VecDeque<Event>,
    pub due: Option<MonoTime>,
    pub redials: VecDeque<Redial>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Up(PathId, Name, String),
    Down(PathId),
    Got(PathId, Vec<u8>),
    Wall(u64),
    Persisted(u64),
    Timeout,
}

impl Echo {
    pub fn answering() -> Echo {
        Echo {
            answers: true,
            ..Echo::default()
        }
    }

    pub fn saying(words: &str) -> Echo {
        Echo {
            says: Some(words.into()),
            ..Echo::default()
        }
    }

    pub fn send(&mut self, path: PathId, bytes: Vec<u8>) {
        self.out.push_back(Transmit { path, bytes });
    }

    fn say(&mut self, now: MonoTime) {
        let Some(words) = self.says.clone() else {
            return;
        };
        for path in self.paths.clone() {
            self.send(path, words.clone());
        }
        self.due = Some(now + Duration::from_millis(20));
    }
}

impl Role for Echo {
    type Event = Event;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        let event = match input {
            Input::PathUp { path, link, peer } => {
                self.paths.insert(path);
                self.say(now);
                Event::Up(path, link, peer.node.to_string())
            }
            Input::Remote { .. } => return,
            Input::PathDown { path } => {
                self.paths.remove(&path);
                Event::Down(path)
            }
            Input::Packet { path, bytes } => {
                if self.answers {
                    self.send(path, bytes.to_vec());
                }
                Event::Got(path, bytes.to_vec())
            }
            Input::Wall { unix_ms } => Event::Wall(unix_ms),
            Input::Persisted { ticket } => Event::Persisted(ticket),
            Input::Timeout => {
                self.due = None;
                self.say(now);
                Event::Timeout
            }
        };
        self.events.push_back(event);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.redials.pop_front()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        self.due
    }
}

/// Says whether a path shall be dialled anew.
pub fn redial(node: &Node, path: PathId, wanted: bool) {
    let redial = Redial { path, wanted };
    node.driver.with(|role, _| role.redials.push_back(redial));
}

/// A role that is driven, with all that it told.
#[derive(Clone)]
pub struct Node {
    pub driver: Driver<Echo>,
    events: Rc<RefCell<Vec<Event>>>,
    outcomes: Rc<RefCell<Vec<String>>>,
}

impl Node {
    pub fn start(role: Echo) -> Node {
        let events = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&events);
        let driver = Driver::start(role, move |_, event| told.borrow_mut().push(event)).unwrap();
        Node {
            driver,
            events,
            outcomes: Rc::default(),
        }
    }

    pub fn dial(&self, identity: &Identity, routes: Vec<Route>) -> Dialers<Echo> {
        let outcomes = Rc::clone(&self.outcomes);
        dial(&self.driver, identity, routes, move |route, outcome| {
            let text = format!("{:?}: {}", outcome.exit(), outcome.describe(route));
            outcomes.borrow_mut().push(text);
            if let DialOutcome::Up { remote, .. } = outcome {
                assert!(remote.ip().is_loopback());
            }
        })
        .unwrap()
    }

    pub fn listen(&self, identity: &Identity, address: SocketAddr) -> Listener {
        let settings = ListenSettings {
            name: "door".parse().unwrap(),
            address,
            interface: None,
            limits: ListenLimits::default(),
        };
        listen(&self.driver, identity, settings).unwrap()
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.borrow().clone()
    }

    pub fn outcomes(&self) -> Vec<String> {
        self.outcomes.borrow().clone()
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.borrow().iter().filter(|&e| wanted(e)).count()
    }

    pub fn ups(&self) -> usize {
        self.count(|event| matches!(event, Event::Up(..)))
    }

    pub fn downs(&self) -> usize {
        self.count(|event| matches!(event, Event::Down(_)))
    }

    pub fn got(&self, words: &str) -> usize {
        self.count(|event| matches!(event, Event::Got(_, bytes) if bytes == words.as_bytes()))
    }

    /// Waits until these words arrived.
    pub async fn heard(&self, words: &str) {
        until(words, || self.got(words) > 0, || self.events()).await;
    }
}

/// A relay that echoes, and what it needs to be started.
pub fn relay(fleet: &Fleet, name: &str) -> (Node, Listener) {
    relay_at(fleet, name, any_port())
}

/// A relay that says back what it hears, somewhere.
pub fn relay_at(fleet: &Fleet, name: &str, address: SocketAddr) -> (Node, Listener) {
    let node = Node::start(Echo::answering());
    let listener = node.listen(&fleet.identity(&format!("relay/{name}")), address);
    (node, listener)
}

/// A node that says its own name over one link to one relay.
pub fn caller(fleet: &Fleet, name: &str, relay: &str, address: SocketAddr) -> Node {
    let node = Node::start(Echo::saying(name));
    node.dial(&fleet.identity(name), vec![route(relay, address)]);
    node
}

pub fn route(relay: &str, address: SocketAddr) -> Route {
    Route {
        budget_kbit_s: 1_000,
        link: "cable".parse().unwrap(),
        bind: Bind::Any,
        relay: relay.parse().unwrap(),
        address: address.to_string(),
    }
}

pub fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Waits for a fact; says what was there instead when it does not come.
pub async fn until<T: std::fmt::Debug>(
    what: &str,
    fact: impl Fn() -> bool,
    instead: impl Fn() -> T,
) {
    let wait = async {
        while !fact() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    if timeout(PATIENCE, wait).await.is_err() {
        panic!("{what} did not come; instead: {:?}", instead());
    }
}

/// A loaded machine may take long; nothing is measured here.
pub const PATIENCE: Duration = Duration::from_secs(60);
