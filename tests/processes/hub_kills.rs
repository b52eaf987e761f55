//! [WIRE-194] What the hub promises over its own deaths, whenever they come: what it acknowledged is there, in order, and what a reader
//! has passed does not come again.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use longrein::hub::{
    Cursor, JoinOptions, MailboxEvent, Message, MessageId, RoomEvent, RoomRole, Start,
};
use longrein::local_fleet::{LocalFleet, Plan};
use longrein::{Class, Connection, Name, Settings};
use longrein_io::runtime;
use longrein_tests::Chance;
use tokio::sync::watch;
use tokio::time::timeout;

use super::fleet;
use super::hub_rooms::{name, node, settings};
use super::rounds::rounds_or;
use super::until::PATIENCE;

/// What a sender was told and what a reader heard.
struct Seen {
    lanes: [Lane; LANES],
    /// Grows with each acknowledgement and each message.
    facts: watch::Sender<u64>,
    /// Set when the hub is not killed any more.
    is_over: Cell<bool>,
    /// Set when nothing more is said.
    is_said: Cell<bool>,
}

/// A topic, or, the last one, the reader's mailbox.
#[derive(Default)]
struct Lane {
    /// The places of the messages that were acknowledged, by their numbers; nobody is told the place in a mailbox.
    acknowledged: RefCell<Vec<Option<Cursor>>>,
    /// Numbers and places of what came, in the order in which it came: what the reader keeps.
    heard: RefCell<Vec<(usize, Cursor)>>,
}

/// A sender publishes on some topics and into a mailbox as fast as it is acknowledged. A reader reads all of it, takes what it has read
/// out of its mailbox, dies now and then, and goes on behind what it has kept. The hub is killed with SIGKILL after any acknowledgement or message.
#[test]
fn over_any_kill_of_the_hub_what_it_acknowledged_is_there_and_comes_once() {
    let (mut chance, rounds) = rounds_or(ROUNDS);
    let mut reader_chance = Chance::new(chance.below(u64::MAX));
    let mut fleet = fleet::start(Plan {
        hub: true,
        ..fleet::plan()
    });
    let (alice, desk) = (settings(&fleet, "alice"), settings(&fleet, "desk"));
    let seen = Seen {
        lanes: Default::default(),
        facts: watch::Sender::new(0),
        is_over: Cell::new(false),
        is_said: Cell::new(false),
    };
    runtime::run(async || {
        tokio::join!(
            speak(alice, &seen),
            read(desk, &seen, &mut reader_chance),
            kill(&mut fleet, &seen, &mut chance, rounds),
        );
    })
    .unwrap();
    let mut messages = 0;
    for lane in &seen.lanes {
        messages += lane.check();
    }
    println!("{messages} messages over {rounds} kills");
}

async fn speak(settings: Settings, seen: &Seen) {
    let connection = Connection::connect(settings).await.unwrap();
    let hub = connection.hub().with_patience(PATIENCE);
    let join = JoinOptions::new(name("yard"), RoomRole::Driver).create(JoinOptions::SETTINGS);
    let room = hub.join(join).await.unwrap();
    let publish = async |index: usize| {
        while !seen.is_over.get() {
            let number = seen.lanes[index].said();
            let (id, topic) = (id(index, number), topic(index));
            let said = room.publish_as(id, &topic, Class::Reliable, HOUR, words(number));
            seen.acknowledge(index, said.await.unwrap().cursor);
        }
    };
    let post = async {
        while !seen.is_over.get() {
            let number = seen.lanes[MAILBOX].said();
            let message = Message::to_nodes([node(READER)], name("shift"), words(number));
            let message = message.kept(HOUR).id(id(MAILBOX, number));
            hub.send(message).await.unwrap();
            seen.acknowledge(MAILBOX, None);
        }
    };
    tokio::join!(publish(0), publish(1), publish(2), post);
    seen.is_said.set(true);
    seen.fact();
    connection.close().await;
}

async fn read(settings: Settings, seen: &Seen, chance: &mut Chance) {
    while !seen.is_all_heard() {
        let connection = Connection::connect(settings.clone()).await.unwrap();
        let hub = connection.hub().with_patience(PATIENCE);
        let mut join = JoinOptions::new(name("yard"), RoomRole::Observer);
        for index in 0..MAILBOX {
            join = join.topic(topic(index), seen.lanes[index].place());
        }
        let mut room = hub.join(join.create(JoinOptions::SETTINGS)).await.unwrap();
        let mut mailbox = hub.mailbox(seen.lanes[MAILBOX].place()).await.unwrap();
        let mut left = chance.below(LIFE);
        while left > 0 && !seen.is_all_heard() {
            let mut facts = seen.facts.subscribe();
            // After the look, the end of it all is a fact.
            if seen.is_all_heard() {
                break;
            }
            let next = async {
                tokio::select! {
                    event = room.next() => seen.hear_room(event.expect("the room is there")),
                    event = mailbox.next() => seen.hear_mailbox(event.expect("the mailbox is there")),
                    _ = facts.changed() => false,
                }
            };
            let heard = timeout(PATIENCE, next).await;
            left -= u64::from(heard.expect("something happens"));
            let letter = seen.lanes[MAILBOX].last();
            if let Some(letter) = letter
                && chance.happens(TAKES)
            {
                mailbox.taken(letter).await.unwrap();
            }
        }
        // It dies without a word to the hub, and with what waits for it.
        drop((room, mailbox, hub, connection));
    }
}

/// Kills the hub so often, each time after some more facts, and starts it again.
async fn kill(fleet: &mut LocalFleet, seen: &Seen, chance: &mut Chance, rounds: u64) {
    let mut facts = seen.facts.subscribe();
    for round in 0..rounds {
        let until = *facts.borrow() + 1 + chance.below(FACTS);
        let come = timeout(PATIENCE, facts.wait_for(|now| *now >= until)).await;
        assert!(come.is_ok(), "round {round}: nothing happens any more");
        fleet.kill_relay(0);
        fleet.restart_relay(0).unwrap();
    }
    seen.is_over.set(true);
    seen.fact();
}

impl Seen {
    fn fact(&self) {
        self.facts.send_modify(|facts| *facts += 1);
    }

    fn acknowledge(&self, index: usize, place: Option<Cursor>) {
        self.lanes[index].acknowledged.borrow_mut().push(place);
        self.fact();
    }

    /// Whether it is a message.
    fn hear_room(&self, event: RoomEvent) -> bool {
        match event {
            RoomEvent::Message(message) => {
                let index = (0..MAILBOX).find(|index| topic(*index) == message.topic);
                let cursor = message.cursor.expect("it is kept");
                self.hear(index.unwrap(), &message.payload.0, cursor)
            }
            RoomEvent::Resumed { is_broken, .. } => {
                assert!(!is_broken, "all is kept");
                false
            }
            other => panic!("{other:?}"),
        }
    }

    fn hear_mailbox(&self, event: MailboxEvent) -> bool {
        match event {
            MailboxEvent::Letter(letter) => {
                let cursor = letter.cursor.expect("it comes from the mailbox");
                self.hear(MAILBOX, &letter.payload.0, cursor)
            }
            MailboxEvent::Resumed { is_broken } => {
                assert!(!is_broken, "all is kept");
                false
            }
            other => panic!("{other:?}"),
        }
    }

    fn hear(&self, index: usize, words: &[u8], cursor: Cursor) -> bool {
        let number = std::str::from_utf8(words).unwrap().parse().unwrap();
        self.lanes[index].heard.borrow_mut().push((number, cursor));
        self.fact();
        true
    }

    fn is_all_heard(&self) -> bool {
        let is_heard = |lane: &Lane| lane.heard.borrow().len() >= lane.said();
        self.is_said.get() && self.lanes.iter().all(is_heard)
    }
}

impl Lane {
    /// How many messages were acknowledged.
    fn said(&self) -> usize {
        self.acknowledged.borrow().len()
    }

    fn last(&self) -> Option<Cursor> {
        self.heard.borrow().last().map(|(_, cursor)| *cursor)
    }

    /// Behind what was heard.
    fn place(&self) -> Start {
        self.last().map_or(Start::Oldest, Start::After)
    }

    /// Each message came once, in order, and from the place that its sender was told.
    fn check(&self) -> usize {
        let (acknowledged, heard) = (self.acknowledged.borrow(), self.heard.borrow());
        let numbers: Vec<usize> = heard.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (0..acknowledged.len()).collect::<Vec<_>>());
        assert!(heard.is_sorted_by(|(_, one), (_, next)| one.number < next.number));
        for ((number, cursor), place) in heard.iter().zip(acknowledged.iter()) {
            assert!(place.is_none_or(|place| place == *cursor), "{number}");
        }
        numbers.len()
    }
}

fn topic(index: usize) -> Name {
    name(["drive", "load", "talk"][index])
}

fn id(index: usize, number: usize) -> MessageId {
    let mut id = [0; 16];
    id[0] = u8::try_from(index).unwrap();
    id[8..].copy_from_slice(&(number as u64).to_be_bytes());
    MessageId(id)
}

fn words(number: usize) -> Vec<u8> {
    number.to_string().into_bytes()
}

const MAILBOX: usize = 3;
const LANES: usize = MAILBOX + 1;
const READER: &str = "controller/desk";
const HOUR: Duration = Duration::from_secs(3_600);
/// Kills in the usual run.
const ROUNDS: u64 = 15;
/// How often a reader has what came out of its mailbox taken.
const TAKES: f64 = 0.1;
/// Facts between two kills, at most.
const FACTS: u64 = 150;
/// Messages of a reader's life, at most.
const LIFE: u64 = 300;
