//! Two operators at a fleet whose first relay is the hub: rooms, messages to nodes, mailboxes, presence, history, and a reader that is
//! killed and goes on behind the last line that it printed.

use std::future::Future;
use std::time::Duration;

use longrein::hub::{
    Cursor, CursorText, History, Hub, HubError, HubRefusal, JoinOptions, Journal, Letter,
    MailboxEvent, MemberChange, Message, Room, RoomEvent, RoomMessage, RoomRole, Selector, Start,
    TargetOutcome, Want,
};
use longrein::local_fleet::{LocalFleet, Plan};
use longrein::{Class, Connection, Name, NodeName, Settings};
use longrein_io::runtime;
use rustix::process::Signal;
use tokio::time::timeout;

use super::fleet;
use super::program::Program;
use super::until::{PATIENCE, until};

fn start() -> LocalFleet {
    fleet::start(Plan {
        hub: true,
        ..fleet::plan()
    })
}

pub(super) async fn connect(fleet: &LocalFleet, controller: &str) -> Connection {
    Connection::connect(settings(fleet, controller))
        .await
        .unwrap()
}

/// How one of the operators reaches the fleet.
pub(super) fn settings(fleet: &LocalFleet, controller: &str) -> Settings {
    let mut settings = Settings::new(fleet::identity(fleet, controller));
    for relay in fleet.relays() {
        settings = settings.relay(name(&relay.name), relay.address.to_string());
    }
    settings.patience = PATIENCE;
    settings
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn node(text: &str) -> NodeName {
    text.parse().unwrap()
}

pub(super) async fn soon<T>(fact: &str, step: impl Future<Output = T>) -> T {
    let step = timeout(PATIENCE, step).await;
    step.unwrap_or_else(|_| panic!("never: {fact}"))
}

/// The next message of a room, whatever else happens there.
async fn next_message(room: &mut Room) -> RoomMessage {
    soon("a message", async {
        loop {
            match room.next().await.expect("the room is there") {
                RoomEvent::Message(message) => return message,
                RoomEvent::Members(_) | RoomEvent::Resumed { .. } => {}
                end => panic!("{end:?}"),
            }
        }
    })
    .await
}

pub(super) async fn next_letter(mailbox: &mut longrein::hub::Mailbox) -> Letter {
    soon("a letter", async {
        loop {
            match mailbox.next().await.expect("the mailbox is there") {
                MailboxEvent::Letter(letter) => return *letter,
                MailboxEvent::Resumed { .. } => {}
                end => panic!("{end:?}"),
            }
        }
    })
    .await
}

pub(super) fn with_patience(connection: &Connection) -> Hub {
    connection.hub().with_patience(PATIENCE)
}

fn yard(role: RoomRole) -> JoinOptions {
    JoinOptions::new(name("yard"), role)
        .topic(name("talk"), Start::Oldest)
        .create(JoinOptions::SETTINGS)
        .members()
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one conversation, from joining to being removed"
)]
fn two_operators_speak_in_a_room_in_each_class_and_in_private() {
    let fleet = start();
    runtime::run(async || {
        let (alice, desk) = (
            connect(&fleet, "alice").await,
            connect(&fleet, "desk").await,
        );
        let (at_alice, at_desk) = (with_patience(&alice), with_patience(&desk));
        let mut first = at_alice.join(yard(RoomRole::Dispatcher)).await.unwrap();
        let again = at_alice.join(yard(RoomRole::Driver)).await;
        assert_eq!(again.err(), Some(HubError::InUse));
        let mut second = at_desk.join(yard(RoomRole::Driver)).await.unwrap();
        soon("alice hears who joins", async {
            loop {
                if let Some(RoomEvent::Members(changes)) = first.next().await
                    && changes.changes.iter().any(|(who, change)| {
                        *who == node("controller/desk") && matches!(change, MemberChange::Joined(_))
                    })
                {
                    return;
                }
            }
        })
        .await;
        let (_, members) = second.members().await.unwrap();
        let names: Vec<String> = members.iter().map(|m| m.node.to_string()).collect();
        assert_eq!(names, ["controller/alice", "controller/desk"]);

        let (talk, ttl) = (name("talk"), Duration::from_secs(30));
        let mut cursors = Vec::new();
        for class in [
            Class::Reliable,
            Class::Unordered,
            Class::Latest,
            Class::Reliable,
        ] {
            let text = format!("{class:?}").into_bytes();
            let sent = first
                .publish(&talk, class, ttl, text.clone())
                .await
                .unwrap();
            assert_eq!(sent.cursor.is_some(), class == Class::Reliable);
            assert_eq!(sent.targets, 2);
            let heard = next_message(&mut second).await;
            assert_eq!((heard.class, &*heard.payload.0), (class, text.as_slice()));
            assert_eq!(heard.from, node("controller/alice"));
            assert_eq!((heard.id, heard.cursor), (sent.id, sent.cursor));
            cursors.extend(heard.cursor);
        }

        // One that is sent again with its name is there once.
        let id = longrein::hub::MessageId([7; 16]);
        let mut places = Vec::new();
        for _ in 0..2 {
            let sent = first
                .publish_as(id, &talk, Class::Reliable, ttl, b"once".as_slice())
                .await
                .unwrap();
            places.push(sent.cursor.unwrap());
        }
        assert_eq!(places[0], places[1]);
        cursors.push(places[0]);
        assert_eq!(next_message(&mut second).await.cursor, Some(places[0]));

        // What was kept is the past, in both directions and from any place.
        let journal = Journal::Topic {
            room: name("yard"),
            topic: talk.clone(),
        };
        let past = at_desk.history(journal);
        assert_eq!(places_of(past.clone().page(2)).await, cursors);
        let newest_first: Vec<Cursor> = cursors.iter().rev().copied().collect();
        assert_eq!(places_of(past.clone().backwards()).await, newest_first);
        let from = longrein::hub::HistoryFrom::After(cursors[0]);
        assert_eq!(places_of(past.from(from)).await, cursors[1..]);

        // A word in private, and what became of it.
        let mut letters = at_desk.letters().await.unwrap();
        let to = [node("controller/desk")];
        let sent = first
            .tell(
                to,
                &talk,
                Class::Reliable,
                ttl,
                Want::Applied,
                b"psst".as_slice(),
            )
            .await
            .unwrap();
        let letter = soon("a private word", letters.next()).await.unwrap();
        assert_eq!(letter.room, Some(name("yard")));
        assert_eq!(&*letter.payload.0, b"psst");
        letter.applied().await.unwrap();
        let results = soon("what became of it", sent.results()).await;
        let applied = (node("controller/desk"), TargetOutcome::Applied);
        assert_eq!(results.into_iter().collect::<Vec<_>>(), [applied]);

        // Roles: an observer may not speak, and who is removed hears it.
        second
            .assign(&node("controller/alice"), RoomRole::Observer)
            .await
            .unwrap_err();
        first
            .assign(&node("controller/desk"), RoomRole::Observer)
            .await
            .unwrap();
        let refused = second
            .publish(&talk, Class::Latest, ttl, b"no".as_slice())
            .await;
        let forbids = HubError::Refused(HubRefusal::RoleForbids);
        assert_eq!(refused.err(), Some(forbids));
        first.kick(&node("controller/desk")).await.unwrap();
        soon("desk hears that it is removed", async {
            while let Some(event) = second.next().await {
                if let RoomEvent::Removed(_) = event {
                    return;
                }
            }
            panic!("the room ended without a word");
        })
        .await;
        assert_eq!(second.next().await, None);
        alice.close().await;
        desk.close().await;
    })
    .unwrap();
}

async fn places_of(mut history: History) -> Vec<Cursor> {
    let mut places = Vec::new();
    loop {
        let page = history.next_page().await.unwrap();
        if page.is_empty() {
            return places;
        }
        places.extend(page.iter().map(|entry| entry.cursor));
    }
}

#[test]
fn a_room_goes_on_when_the_hub_was_killed_and_every_message_is_there_once() {
    let mut fleet = start();
    runtime::run(async || {
        let (alice, desk) = (
            connect(&fleet, "alice").await,
            connect(&fleet, "desk").await,
        );
        let (at_alice, at_desk) = (with_patience(&alice), with_patience(&desk));
        let speaker = at_alice.join(yard(RoomRole::Driver)).await.unwrap();
        let mut reader = at_desk.join(yard(RoomRole::Observer)).await.unwrap();
        let (talk, ttl) = (name("talk"), Duration::from_secs(3_600));
        let say = async |text: &'static str| {
            let said = speaker.publish(&talk, Class::Reliable, ttl, text.as_bytes());
            said.await.unwrap()
        };
        say("before").await;
        assert_eq!(&*next_message(&mut reader).await.payload.0, b"before");
        fleet.kill_relay(0);
        let meanwhile = say("meanwhile");
        let restart = async {
            fleet.restart_relay(0).unwrap();
        };
        let (_, ()) = tokio::join!(meanwhile, restart);
        say("after").await;
        for text in ["meanwhile", "after"] {
            let heard = next_message(&mut reader).await;
            assert_eq!(&*heard.payload.0, text.as_bytes());
        }
        alice.close().await;
        desk.close().await;
    })
    .unwrap();
}

#[test]
fn messages_reach_who_is_here_and_the_mailbox_of_who_is_away() {
    let fleet = start();
    runtime::run(async || {
        let alice = connect(&fleet, "alice").await;
        let hub = with_patience(&alice);
        let mut letters = hub.letters().await.unwrap();
        // One is here, one is away, and one has never been heard of.
        let to = ["controller/alice", "controller/desk", "agent/ghost"].map(node);
        let message = Message::to_nodes(to.clone(), name("shift"), b"is over".as_slice());
        let sent = hub.send(message.want(Want::Delivered)).await.unwrap();
        assert_eq!(sent.targets(), 3);
        let results = soon("results", sent.results()).await;
        assert_eq!(results[&to[0]], TargetOutcome::Delivered);
        assert_eq!(results[&to[1]], TargetOutcome::Offline);
        assert_eq!(results[&to[2]], TargetOutcome::Offline);
        let letter = soon("a letter", letters.next()).await.unwrap();
        assert_eq!(letter.flow, Some(name("shift")));

        let hour = Duration::from_secs(3_600);
        for text in ["one", "two"] {
            let to = [to[1].clone()];
            let message = Message::to_nodes(to, name("shift"), text.as_bytes());
            let sent = hub
                .send(message.kept(hour).want(Want::Delivered))
                .await
                .unwrap();
            let results = soon("results", sent.results()).await;
            assert_eq!(results[&node("controller/desk")], TargetOutcome::Kept);
        }

        // It comes, takes one, goes, and comes again.
        let desk = connect(&fleet, "desk").await;
        let mut mailbox = with_patience(&desk).mailbox(Start::Oldest).await.unwrap();
        let one = next_letter(&mut mailbox).await;
        assert_eq!(&*one.payload.0, b"one");
        mailbox.taken(one.cursor.unwrap()).await.unwrap();
        drop(mailbox);
        desk.close().await;
        let desk = connect(&fleet, "desk").await;
        let mut mailbox = with_patience(&desk).mailbox(Start::Oldest).await.unwrap();
        assert_eq!(&*next_letter(&mut mailbox).await.payload.0, b"two");
        alice.close().await;
        desk.close().await;
    })
    .unwrap();
}

#[test]
fn who_comes_and_goes_is_seen() {
    let fleet = start();
    runtime::run(async || {
        let alice = connect(&fleet, "alice").await;
        let hub = with_patience(&alice);
        let desk_node = node("controller/desk");
        let of = Selector {
            nodes: vec![desk_node.clone()],
            ..Selector::default()
        };
        let mut watch = hub.watch_presence(of.clone()).await.unwrap();
        let desk = connect(&fleet, "desk").await;
        let is_here = async |watch: &mut longrein::hub::PresenceWatch, here| {
            soon("desk comes or goes", async {
                loop {
                    let node = watch.next().await.expect("the watch goes on");
                    if node.node == desk_node && node.present == here {
                        return node;
                    }
                }
            })
            .await
        };
        let seen = is_here(&mut watch, true).await;
        assert!(seen.links.iter().any(|link| link.present));
        let found = hub.where_is(&desk_node).await.unwrap();
        assert!(found.presence.present && found.rooms.is_empty());
        let all = hub.presence(of).await.unwrap();
        assert_eq!(all.len(), 1);
        desk.close().await;
        is_here(&mut watch, false).await;
        alice.close().await;
    })
    .unwrap();
}

#[test]
fn attributes_are_written_by_revision_and_under_locks() {
    use longrein::hub::{Owner, Section, Write};
    let fleet = start();
    runtime::run(async || {
        let (alice, desk) = (
            connect(&fleet, "alice").await,
            connect(&fleet, "desk").await,
        );
        let (at_alice, at_desk) = (with_patience(&alice), with_patience(&desk));
        let truck = Owner::Node(node("agent/truck-17"));
        let write = || Write::new(truck.clone(), Section::Attributes);
        let mut watch = at_desk
            .watch_document(&truck, Section::Attributes)
            .await
            .unwrap();
        let revision = at_alice
            .set(
                write()
                    .if_revision(0)
                    .set(name("label.site"), b"north".as_slice()),
            )
            .await
            .unwrap();
        let late = at_desk
            .set(write().if_revision(0).unset(name("label.site")))
            .await;
        let conflict = HubError::Refused(HubRefusal::Conflict { revision });
        assert_eq!(late.err(), Some(conflict));
        soon("desk hears of it", async {
            while watch.next().await.expect("the watch goes on").revision != revision {}
        })
        .await;

        let ttl = Duration::from_secs(10);
        let gate = name("gate");
        let guard = at_alice
            .lock(&truck, &gate, ttl, Duration::ZERO)
            .await
            .unwrap();
        let held = at_desk.lock(&truck, &gate, ttl, Duration::ZERO).await;
        assert!(matches!(
            held.err(),
            Some(HubError::Refused(HubRefusal::LockHeld { .. }))
        ));
        let under = write().locked_by(&guard).set(name("plan"), b"a".as_slice());
        at_alice.set(under).await.unwrap();
        let waiting = at_desk.lock(&truck, &gate, ttl, Duration::from_secs(30));
        let (unlocked, next) = tokio::join!(guard.unlock(), waiting);
        unlocked.unwrap();
        let next = next.unwrap();
        assert_eq!(next.loss(), None);
        next.unlock().await.unwrap();
        alice.close().await;
        desk.close().await;
    })
    .unwrap();
}

#[test]
fn a_reader_that_is_killed_goes_on_behind_the_last_line_that_it_printed() {
    let fleet = start();
    let cursor_file = fleet.folder().join("talk.cursor");
    let verb = |words: &[&str], controller: &str| {
        let mut arguments: Vec<String> = words.iter().map(ToString::to_string).collect();
        arguments.extend(fleet::connection(&fleet, controller));
        Program::start("longrein", arguments)
    };
    let file = cursor_file.display().to_string();
    let reader = || {
        let words = [
            "room",
            "join",
            "yard",
            "talk",
            "--create",
            "--from",
            "oldest",
            "--cursor-file",
            &file,
        ];
        verb(&words, "desk")
    };
    let publish = |text: &str| -> String {
        let ended = verb(&["room", "publish", "yard", "talk", text], "alice").ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout[0].clone()
    };
    let texts = |program: &Program| -> Vec<String> {
        let last = |line: &String| line.rsplit('\t').next().unwrap().to_string();
        program.printed().iter().map(last).collect()
    };

    let mut first = reader();
    first.says("joined yard");
    publish("one");
    let place = publish("two");
    first.prints("two");
    until("the place is kept", || {
        let kept = std::fs::read_to_string(&cursor_file).ok()?;
        (kept == format!("talk {place}\n")).then_some(())
    });
    first.signal(Signal::KILL);
    let mut printed = texts(&first);
    drop(first);
    publish("three");
    let mut second = reader();
    second.prints("three");
    publish("four");
    second.prints("four");
    second.signal(Signal::INT);
    printed.extend(texts(&second));
    assert_eq!(second.ended().code, Some(0));
    assert_eq!(printed, ["one", "two", "three", "four"]);

    let ended = verb(&["history", "yard", "talk", "--since", "1h"], "alice").ended();
    let last = |line: &String| line.rsplit('\t').next().unwrap().to_string();
    let past: Vec<String> = ended.stdout.iter().map(last).collect();
    assert_eq!(past, printed, "{ended:?}");
    assert!(place.parse::<CursorText>().is_ok());

    let words = ["send", "alice", "--payload", "on", "--wait", "delivered"];
    let ended = verb(&words, "desk").ended();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert_eq!(ended.stdout, ["agent/alice\toffline"]);
    let ended = verb(&["room", "show", "nowhere"], "desk").ended();
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[test]
fn without_a_hub_the_verbs_say_so() {
    let fleet = fleet::start(fleet::plan());
    let mut arguments = vec!["room".to_string(), "list".to_string()];
    arguments.extend(fleet::connection(&fleet, "desk"));
    super::complaint::expect("longrein", &arguments, 5, &["no hub is reached"]);
}
