//! The bridge in virtual time, with the server's half of the protocol's crate as its broker.

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::Event;
use mqtt_protocol_core::mqtt::packet::{
    GenericPacketTrait, Packet, Property, ReceiveMaximum, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, PubackReasonCode, SubackReasonCode,
};
use mqtt_protocol_core::mqtt::{Connection, packet, role};

use super::*;
use crate::mqtt::config::DevicesConfig;
use crate::mqtt::outbox::Voids;
use crate::mqtt::template::Template;
use std::sync::Arc;

const VALVES: Channel = Channel::new(1).unwrap();

/// A bridge, and the broker that it speaks with.
struct Rig {
    bridge: Bridge,
    voids: Arc<Voids>,
    broker: Connection<role::Server>,
    connected: bool,
    /// Whether the broker answers pings and acknowledges publishes.
    answers: bool,
    answers_pings: bool,
    session_present: bool,
    subscribers: bool,
    now: MonoTime,
    published: Vec<v5_0::Publish>,
    subscribed: Vec<String>,
    settled: Vec<(u64, Settled)>,
    lines: Vec<(Class, String)>,
    closes: Vec<String>,
    next_ticket: u64,
    next_id: u16,
}

fn config() -> DevicesConfig {
    let template = |text: &str| Template::parse(text).unwrap();
    DevicesConfig {
        broker: "yard".parse().unwrap(),
        command: template("devices/{device}/cmd"),
        qos: None,
        telemetry: vec![template("devices/{device}/state")],
        presence: Some(super::super::config::PresenceConfig {
            topic: template("devices/{device}/online"),
            online: "1".to_string(),
            offline: "0".to_string(),
        }),
        silent_s: 0,
        fail_safe: Some("close".to_string()),
        devices_max: 1_000,
        outage_max_s: 30,
        duplicate_s: 10,
    }
}

impl Rig {
    fn new(config: DevicesConfig) -> Rig {
        let voids = Arc::<Voids>::default();
        let group = Group::new(VALVES, config, Version::V5, Arc::clone(&voids));
        let hello = Hello {
            client_id: "longrein-truck-yard".to_string(),
            username: Some("truck".to_string()),
            password: Some(b"secret".to_vec()),
            keep_alive_s: 15,
            will: Some(("longrein/truck".to_string(), UNAVAILABLE.to_string())),
            session_s: 3_600,
        };
        let bridge = Bridge::new(Version::V5, hello, vec![group], || 1_700_000_000_000);
        Rig {
            bridge,
            voids,
            broker: broker(),
            connected: false,
            answers: true,
            answers_pings: true,
            session_present: false,
            subscribers: true,
            now: MonoTime::from_us(1_000_000),
            published: Vec::new(),
            subscribed: Vec::new(),
            settled: Vec::new(),
            lines: Vec::new(),
            closes: Vec::new(),
            next_ticket: 1,
            next_id: 1,
        }
    }

    /// A bridge whose broker is up, with these devices.
    fn up(devices: &[&str]) -> Rig {
        let mut rig = Rig::new(config());
        rig.connect();
        for device in devices {
            rig.device_says(
                &format!("devices/{device}/online"),
                b"1",
                Qos::AtLeastOnce,
                true,
            );
        }
        rig.published.clear();
        rig
    }

    fn connect(&mut self) {
        self.broker = broker();
        self.connected = true;
        self.bridge.on_connected(self.now);
        self.pump();
    }

    fn disconnect(&mut self) {
        self.connected = false;
        self.bridge.on_closed(self.now);
        self.pump();
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        for _ in 0..1_000 {
            match self.bridge.next_timeout(self.now) {
                Some(at) if at < until => {
                    self.now = at.max(self.now);
                    self.bridge.on_timeout(self.now);
                    self.pump();
                }
                Some(_) | None => break,
            }
        }
        self.now = until;
        self.bridge.on_timeout(self.now);
        self.pump();
    }

    /// Somebody comes to watch; the lines are what is told then.
    fn is_watched(&mut self) {
        self.lines.clear();
        self.bridge.on_watcher(self.now, VALVES);
        self.wait(100);
    }

    fn command(&mut self, device: &str, ttl_ms: u64) -> u64 {
        let body = format!(r#"{{"device":"{device}","payload":"open"}}"#);
        self.hand(body.into_bytes(), ttl_ms)
    }

    fn hand(&mut self, body: Vec<u8>, ttl_ms: u64) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let handed = Handed {
            ticket,
            token: FencingToken(7),
            voids: self.voids.number(),
            body,
            deadline: self.now + Duration::from_millis(ttl_ms),
        };
        self.bridge.on_command(self.now, VALVES, handed);
        self.pump();
        ticket
    }

    fn device_says(&mut self, topic: &str, payload: &[u8], qos: Qos, retained: bool) {
        let message = Message {
            topic: topic.to_string(),
            payload: payload.to_vec(),
            retained,
            ..Message::default()
        };
        self.broker_says(&message, qos, false);
    }

    fn broker_says(&mut self, message: &Message, qos: Qos, again: bool) {
        let id = (qos > Qos::AtMostOnce).then(|| {
            self.next_id += 1;
            self.next_id
        });
        let publish = message.v5(qos, id).unwrap().set_dup(again);
        self.bridge
            .on_bytes(self.now, &publish.to_continuous_buffer());
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(bytes) = self.bridge.poll_transmit(self.now) {
            // Acknowledgements are of messages that the test made without the broker.
            let acknowledges = matches!(bytes[0] >> 4, 4 | 5 | 7);
            if self.connected && !acknowledges {
                self.broker_hears(&bytes);
            }
        }
        while let Some(event) = self.bridge.poll_event() {
            match event {
                BridgeEvent::Settled {
                    ticket, settled, ..
                } => self.settled.push((ticket, settled)),
                BridgeEvent::Report { class, lines, .. } => {
                    for line in std::str::from_utf8(&lines).unwrap().lines() {
                        self.lines.push((class, line.to_string()));
                    }
                }
                BridgeEvent::Close { why } => self.closes.push(why),
                BridgeEvent::Up | BridgeEvent::Complaint { .. } => {}
            }
        }
    }

    fn broker_hears(&mut self, bytes: &[u8]) {
        let mut cursor = Cursor::new(bytes);
        let mut answers = Vec::new();
        while !cursor.remaining_slice().is_empty() {
            for event in self.broker.recv(&mut cursor) {
                match event {
                    Event::NotifyPacketReceived(packet) => {
                        answers.extend(self.answer(packet));
                    }
                    Event::RequestSendPacket { packet, .. } => {
                        answers.push(packet.to_continuous_buffer());
                    }
                    Event::NotifyError(error) => panic!("the broker hears nonsense: {error:?}"),
                    _ => {}
                }
            }
        }
        if self.answers {
            for bytes in answers {
                self.bridge.on_bytes(self.now, &bytes);
            }
            self.pump();
        }
    }

    fn answer(&mut self, packet: Packet) -> Vec<Vec<u8>> {
        let events = match packet {
            Packet::V5_0Connect(_) => self.broker.checked_send(
                v5_0::Connack::builder()
                    .session_present(self.session_present)
                    .reason_code(ConnectReasonCode::Success)
                    .props(vec![Property::ReceiveMaximum(
                        ReceiveMaximum::new(20).unwrap(),
                    )])
                    .build()
                    .unwrap(),
            ),
            Packet::V5_0Subscribe(packet) => {
                let entries = packet.entries();
                self.subscribed
                    .extend(entries.iter().map(|entry| entry.topic_filter().to_string()));
                self.broker.checked_send(
                    v5_0::Suback::builder()
                        .packet_id(packet.packet_id())
                        .reason_codes(vec![SubackReasonCode::GrantedQos2; entries.len()])
                        .build()
                        .unwrap(),
                )
            }
            Packet::V5_0Publish(packet) => {
                self.published.push(packet.clone());
                let code = if self.subscribers {
                    PubackReasonCode::Success
                } else {
                    PubackReasonCode::NoMatchingSubscribers
                };
                match packet.qos() {
                    packet::Qos::AtLeastOnce => self.broker.checked_send(
                        v5_0::Puback::builder()
                            .packet_id(packet.packet_id().unwrap())
                            .reason_code(code)
                            .build()
                            .unwrap(),
                    ),
                    packet::Qos::AtMostOnce | packet::Qos::ExactlyOnce => Vec::new(),
                }
            }
            Packet::V5_0Pingreq(_) if self.answers_pings => self
                .broker
                .checked_send(v5_0::Pingresp::builder().build().unwrap()),
            _ => Vec::new(),
        };
        let sent = |event| match event {
            Event::RequestSendPacket { packet, .. } => Some(packet.to_continuous_buffer()),
            _ => None,
        };
        events.into_iter().filter_map(sent).collect()
    }

    /// Topics of the commands that the broker was given.
    fn commands(&self) -> Vec<String> {
        let commands = self.published.iter();
        let commands = commands.filter(|publish| publish.topic_name().ends_with("/cmd"));
        commands
            .map(|publish| {
                let payload = std::str::from_utf8(publish.payload().as_slice()).unwrap();
                format!("{} {payload}", publish.topic_name())
            })
            .collect()
    }

    fn said(&self, part: &str) -> usize {
        self.lines
            .iter()
            .filter(|(_, line)| line.contains(part))
            .count()
    }
}

fn broker() -> Connection<role::Server> {
    Connection::new(mqtt_protocol_core::mqtt::Version::V5_0)
}

/// SAFE-120 SAFE-121
#[test]
fn a_command_is_published_with_its_deadline_not_retained_and_applied_once_the_broker_has_it() {
    let mut rig = Rig::up(&["valve-3"]);
    let ticket = rig.command("valve-3", 1_500);
    assert_eq!(rig.commands(), ["devices/valve-3/cmd open"]);
    let publish = &rig.published[0];
    assert!(!publish.retain());
    assert_eq!(publish.qos(), packet::Qos::AtLeastOnce);
    let message = Message::from_v5(publish);
    assert_eq!(message.expiry_s, Some(2), "rounded up");
    let property = |key: &str| {
        let mut pairs = message.properties.iter();
        pairs
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.clone())
    };
    assert_eq!(property("ttl-ms").as_deref(), Some("1500"));
    assert_eq!(
        property("deadline-unix-ms").as_deref(),
        Some("1700000001500")
    );
    assert_eq!(property("token").as_deref(), Some("7"));
    assert_eq!(rig.settled, [(ticket, Settled::Published)]);
}

/// SAFE-123
#[test]
fn a_command_to_a_device_that_is_offline_or_unknown_is_never_published() {
    let mut rig = Rig::up(&["valve-3"]);
    rig.device_says("devices/valve-3/online", b"0", Qos::AtLeastOnce, true);
    rig.wait(1_000);
    for device in ["valve-3", "valve-4"] {
        rig.command(device, 1_000);
    }
    rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, false);
    rig.wait(2_000);
    assert_eq!(rig.commands(), [""; 0]);
    let absent = || Settled::Refused(Refusal::Absent);
    assert_eq!(rig.settled, [(1, absent()), (2, absent())]);
}

/// SAFE-120
#[test]
fn what_is_no_command_or_would_lead_elsewhere_is_refused() {
    let mut rig = Rig::up(&["valve-3"]);
    for body in [
        &b"open"[..],
        br#"{"device":"valve-3"}"#,
        br#"{"device":"../x/cmd","payload":"a"}"#,
        br#"{"device":"+","payload":"a"}"#,
        br#"{"device":"a\u0000b","payload":"a"}"#,
    ] {
        rig.hand(body.to_vec(), 1_000);
    }
    assert!(
        rig.settled
            .iter()
            .all(|(_, settled)| *settled == Settled::Refused(Refusal::Malformed))
    );
    assert_eq!((rig.settled.len(), rig.commands().len()), (5, 0));
}

/// SAFE-121
#[test]
fn after_an_outage_only_commands_with_time_left_are_published_to_devices_that_are_there_again() {
    let mut rig = Rig::up(&["valve-3", "pump"]);
    rig.session_present = true;
    rig.disconnect();
    let stale = rig.command("valve-3", 1_000);
    let fresh = rig.command("valve-3", 90_000);
    let unsure = rig.command("pump", 70_000);
    rig.wait(60_000);
    rig.connect();
    assert_eq!(rig.commands(), [""; 0], "nobody has been heard of yet");
    rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, true);
    assert_eq!(rig.commands(), ["devices/valve-3/cmd open"]);
    rig.wait(20_000);
    rig.device_says("devices/pump/online", b"1", Qos::AtLeastOnce, true);
    assert_eq!(rig.commands().len(), 1);
    let expired = || Settled::Refused(Refusal::Expired);
    assert_eq!(
        rig.settled,
        [
            (stale, expired()),
            (fresh, Settled::Published),
            (unsure, expired())
        ]
    );
}

/// SAFE-121 SAFE-123
#[test]
fn what_the_broker_did_not_acknowledge_goes_again_to_a_device_that_is_there_with_the_time_that_is_left()
 {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut rig = Rig::new(DevicesConfig {
            qos: Some(qos),
            ..config()
        });
        rig.connect();
        rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, true);
        rig.answers = false;
        rig.session_present = true;
        let short = rig.command("valve-3", 1_000);
        rig.command("valve-3", 30_000);
        assert_eq!(rig.commands().len(), 2);
        rig.disconnect();
        rig.wait(10_000);
        rig.published.clear();
        rig.answers = true;
        rig.connect();
        rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, true);
        assert_eq!(rig.commands(), ["devices/valve-3/cmd open"]);
        let mut again = rig.published.iter();
        let again = again.find(|p| p.topic_name().ends_with("cmd")).unwrap();
        assert_eq!(Message::from_v5(again).expiry_s, Some(20));
        assert_eq!(rig.settled[0], (short, Settled::Unsaid));
    }
}

/// SAFE-123
#[test]
fn what_a_broker_kept_from_before_tells_nothing_of_who_is_there() {
    let mut rig = Rig::up(&["valve-3"]);
    rig.session_present = true;
    rig.disconnect();
    let waits = rig.command("valve-3", 30_000);
    rig.answers_pings = false;
    rig.connect();
    rig.device_says("devices/valve-3/state", b"old", Qos::AtLeastOnce, false);
    rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, false);
    assert_eq!(rig.commands(), [""; 0]);
    rig.answers_pings = true;
    rig.bridge.on_bytes(
        rig.now,
        &v5_0::Pingresp::builder()
            .build()
            .unwrap()
            .to_continuous_buffer(),
    );
    rig.device_says("devices/valve-3/state", b"new", Qos::AtLeastOnce, false);
    assert_eq!(rig.settled, [(waits, Settled::Published)]);
    rig.wait(100);
    assert_eq!(
        rig.said("\"payload\":\"old\""),
        1,
        "it is telemetry all the same"
    );
}

/// SAFE-124
#[test]
fn at_the_end_every_device_is_told_to_be_safe_however_few_the_broker_takes_at_once() {
    let names: Vec<String> = (0..60).map(|number| format!("valve-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rig = Rig::up(&names);
    rig.answers = false;
    rig.bridge.on_fail_safe(rig.now, VALVES, true);
    rig.bridge.on_end(rig.now);
    rig.pump();
    assert_eq!(rig.commands().len(), 60);
}

/// SAFE-123
#[test]
fn a_device_is_not_heard_by_its_own_commands() {
    let mut config = config();
    config.presence = None;
    config.silent_s = 10;
    config.telemetry = vec![Template::parse("devices/{device}/#").unwrap()];
    let mut rig = Rig::new(config);
    rig.connect();
    rig.device_says("devices/pump/state", b"1", Qos::AtMostOnce, false);
    rig.wait(6_000);
    rig.device_says("devices/pump/cmd", b"open", Qos::AtMostOnce, false);
    rig.wait(6_000);
    rig.command("pump", 1_000);
    assert_eq!(rig.settled, [(1, Settled::Refused(Refusal::Absent))]);
}

#[test]
fn no_more_go_at_once_than_the_broker_takes_also_over_a_lost_connection() {
    let mut rig = Rig::up(&["valve-3"]);
    rig.answers = false;
    rig.session_present = true;
    for _ in 0..50 {
        rig.command("valve-3", 30_000);
    }
    assert_eq!(rig.commands().len(), 20);
    rig.disconnect();
    rig.published.clear();
    rig.connect();
    assert_eq!(rig.commands().len(), 0, "the broker has not answered");
    rig.disconnect();
    rig.answers = true;
    rig.connect();
    rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, true);
    assert_eq!(rig.settled.len(), 50);
    assert!(
        rig.settled
            .iter()
            .all(|(_, settled)| *settled == Settled::Published)
    );
}

/// SAFE-122
#[test]
fn a_stop_or_the_end_of_the_lease_voids_what_waits_and_what_would_go_again() {
    let mut rig = Rig::up(&["valve-3"]);
    rig.answers = false;
    rig.session_present = true;
    let sent = rig.command("valve-3", 30_000);
    rig.disconnect();
    let waiting = rig.command("valve-3", 30_000);
    rig.voids.all();
    rig.bridge.on_timeout(rig.now);
    rig.pump();
    assert_eq!(rig.settled, [(waiting, Settled::Void)]);
    rig.published.clear();
    rig.answers = true;
    rig.connect();
    rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, true);
    assert_eq!(rig.commands(), [""; 0]);
    assert_eq!(rig.settled[1..], [(sent, Settled::Unsaid)]);
}

/// SAFE-122
#[test]
fn a_handed_over_lease_voids_what_came_under_the_token_before() {
    let mut rig = Rig::up(&["valve-3"]);
    rig.disconnect();
    let old = rig.command("valve-3", 30_000);
    rig.voids.before(FencingToken(8));
    rig.connect();
    rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, true);
    assert_eq!(rig.settled, [(old, Settled::Void)]);
    assert_eq!(rig.commands(), [""; 0]);
}

/// SAFE-124
#[test]
fn every_device_that_is_there_or_comes_is_told_to_be_safe_while_the_function_is() {
    let mut rig = Rig::up(&["valve-3", "pump"]);
    rig.bridge.on_fail_safe(rig.now, VALVES, true);
    rig.pump();
    assert_eq!(
        rig.commands(),
        ["devices/pump/cmd close", "devices/valve-3/cmd close"]
    );
    rig.device_says("devices/late/online", b"1", Qos::AtLeastOnce, false);
    assert_eq!(rig.commands()[2..], ["devices/late/cmd close"]);
    rig.disconnect();
    rig.connect();
    rig.device_says("devices/pump/online", b"1", Qos::AtLeastOnce, true);
    assert_eq!(
        rig.commands()[3..],
        ["devices/pump/cmd close"],
        "it may have missed it"
    );
    rig.bridge.on_fail_safe(rig.now, VALVES, false);
    rig.device_says("devices/other/online", b"1", Qos::AtLeastOnce, false);
    assert_eq!(rig.commands().len(), 4);
}

/// SAFE-125
#[test]
fn a_broker_that_hangs_gets_no_command_until_it_gives_a_sign_of_life() {
    let mut rig = Rig::up(&["valve-3"]);
    rig.wait(5_000);
    rig.answers = false;
    let stale = rig.command("valve-3", 800);
    assert_eq!(rig.commands(), [""; 0]);
    rig.wait(1_000);
    assert_eq!(rig.settled, [(stale, Settled::Refused(Refusal::Expired))]);
    rig.wait(4_500);
    assert_eq!(rig.closes, ["the broker does not answer"]);

    let mut rig = Rig::up(&["valve-3"]);
    rig.wait(5_000);
    rig.command("valve-3", 800);
    assert_eq!(rig.commands().len(), 1, "it answered the ping");
}

#[test]
fn nobody_who_listens_is_nobody_there() {
    let mut rig = Rig::up(&["valve-3"]);
    rig.subscribers = false;
    let ticket = rig.command("valve-3", 1_000);
    assert_eq!(rig.settled, [(ticket, Settled::Refused(Refusal::Absent))]);
}

#[test]
fn a_quiet_connection_is_kept_alive() {
    let mut rig = Rig::up(&[]);
    rig.wait(120_000);
    assert_eq!(rig.closes, [""; 0]);
    rig.answers = false;
    rig.wait(20_000);
    assert_eq!(
        rig.closes.first().map(String::as_str),
        Some("the broker does not answer")
    );
}

#[test]
fn what_devices_say_is_reported_with_their_coming_and_going() {
    let mut rig = Rig::up(&["valve-3"]);
    assert_eq!(rig.subscribed, ["devices/+/state", "devices/+/online"]);
    rig.device_says("devices/valve-3/state", b"open", Qos::AtMostOnce, false);
    rig.device_says("devices/valve-3/state", b"shut", Qos::ExactlyOnce, false);
    rig.device_says("devices/valve-3/online", b"0", Qos::AtLeastOnce, false);
    rig.device_says("elsewhere/valve-3/state", b"x", Qos::AtLeastOnce, false);
    rig.wait(2_000);
    let lines: Vec<_> = rig
        .lines
        .iter()
        .map(|(class, line)| (*class, line.as_str()))
        .collect();
    assert!(lines.contains(&(
        Class::Reliable,
        r#"{"device":"valve-3","online":true,"why":"said so"}"#
    )));
    assert!(lines.contains(&(
        Class::Reliable,
        r#"{"device":"valve-3","online":false,"why":"said so"}"#
    )));
    assert!(lines.contains(&(
        Class::Unordered,
        r#"{"device":"valve-3","topic":"devices/valve-3/state","qos":0,"payload":"open"}"#
    )));
    assert!(lines.contains(&(
        Class::Reliable,
        r#"{"device":"valve-3","topic":"devices/valve-3/state","qos":2,"payload":"shut"}"#
    )));
    assert_eq!(rig.said("elsewhere"), 0);
    assert_eq!(rig.said(r#""received":2"#), 1);
}

#[test]
fn a_duplicate_of_qos_1_is_dropped_and_counted() {
    let mut rig = Rig::up(&["valve-3"]);
    for payload in [&b"1"[..], b"1", b"2"] {
        rig.device_says("devices/valve-3/state", payload, Qos::AtLeastOnce, false);
    }
    rig.wait(30_000);
    let message = Message {
        topic: "devices/valve-3/state".to_string(),
        payload: b"2".to_vec(),
        ..Message::default()
    };
    rig.broker_says(&message, Qos::AtLeastOnce, true);
    rig.wait(2_000);
    assert_eq!(rig.said("\"qos\":1"), 2);
    assert_eq!(rig.said(r#""duplicates":2"#), 1);
}

#[test]
fn who_comes_to_watch_hears_of_every_device_and_what_the_broker_keeps() {
    let mut rig = Rig::up(&["valve-3", "pump"]);
    rig.device_says("devices/pump/state", b"42", Qos::AtLeastOnce, true);
    rig.device_says("devices/valve-3/state", b"live", Qos::AtLeastOnce, false);
    rig.wait(2_000);
    rig.is_watched();
    let lines: Vec<&str> = rig.lines.iter().map(|(_, line)| line.as_str()).collect();
    assert!(lines.contains(&r#"{"device":"pump","online":true,"why":"known"}"#));
    assert!(lines.contains(
        &r#"{"device":"pump","topic":"devices/pump/state","qos":1,"retained":true,"payload":"42"}"#
    ));
    assert_eq!(rig.said("live"), 0);
    // A kept message that is emptied is no attribute any more, and one that comes again is no news.
    rig.device_says("devices/pump/state", b"42", Qos::AtLeastOnce, true);
    rig.device_says("devices/pump/state", b"", Qos::AtLeastOnce, true);
    rig.wait(2_000);
    rig.is_watched();
    assert_eq!(rig.said("42"), 0);
}

#[test]
fn a_device_without_presence_is_there_while_it_speaks() {
    let mut config = config();
    config.presence = None;
    config.silent_s = 60;
    let mut rig = Rig::new(config);
    rig.connect();
    rig.device_says("devices/old/state", b"kept", Qos::AtLeastOnce, true);
    rig.command("old", 1_000);
    rig.device_says("devices/old/state", b"alive", Qos::AtMostOnce, false);
    rig.command("old", 1_000);
    rig.wait(60_000);
    rig.command("old", 1_000);
    let absent = || Settled::Refused(Refusal::Absent);
    assert_eq!(
        rig.settled,
        [(1, absent()), (2, Settled::Published), (3, absent())]
    );
    rig.wait(100);
    assert_eq!(rig.said(r#""why":"silent""#), 1);
}

#[test]
fn the_broker_hears_who_is_there_and_that_the_bridge_ends() {
    let mut rig = Rig::up(&[]);
    rig.bridge.on_end(rig.now);
    rig.pump();
    let last = rig.published.last().unwrap();
    assert_eq!(last.topic_name(), "longrein/truck");
    assert_eq!(last.payload().as_slice(), b"offline");
    assert!(last.retain());
}

#[test]
fn garbage_of_a_broker_ends_the_connection_and_nothing_else() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2_000 {
        let mut rig = Rig::new(config());
        rig.connect();
        let bytes: Vec<u8> = (0..64)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 32) as u8
            })
            .collect();
        rig.connected = false;
        rig.bridge.on_bytes(rig.now, &bytes);
        rig.pump();
    }
}

#[test]
fn half_a_packet_of_a_lost_connection_does_not_swallow_what_comes_first_on_the_next() {
    let mut rig = Rig::up(&[]);
    let message = Message {
        topic: "devices/valve-3/state".to_string(),
        payload: vec![b'x'; 20_000],
        ..Message::default()
    };
    let publish = message.v5(Qos::AtMostOnce, None).unwrap();
    let bytes = publish.to_continuous_buffer();
    rig.bridge.on_bytes(rig.now, &bytes[..10_000]);
    rig.disconnect();
    rig.connect();
    assert!(rig.bridge.is_up());
    assert_eq!(rig.closes, [""; 0]);
    // In pieces it is whole in the end.
    for piece in bytes.chunks(3_000) {
        rig.bridge.on_bytes(rig.now, piece);
    }
    rig.wait(100);
    assert_eq!(rig.said("devices/valve-3/state"), 1);
}

#[test]
fn what_speaks_no_mqtt_is_given_up_although_it_said_something() {
    let mut rig = Rig::new(config());
    rig.answers = false;
    rig.connect();
    // The beginning of a packet.
    rig.bridge.on_bytes(rig.now, b"\x30\x7f");
    rig.wait(5_000);
    assert_eq!(rig.closes, ["the broker does not answer"]);
}

#[test]
fn who_comes_to_watch_hears_the_newest_of_what_the_broker_keeps() {
    let mut rig = Rig::up(&[]);
    rig.device_says("devices/valve-3/state", b"closed", Qos::AtLeastOnce, true);
    rig.device_says("devices/valve-3/state", b"open", Qos::AtLeastOnce, false);
    rig.wait(100);
    rig.is_watched();
    let kept = |payload: &str| rig.said(&format!("\"payload\":\"{payload}\""));
    assert_eq!((kept("closed"), kept("open")), (0, 1));
    rig.device_says("devices/valve-3/state", b"", Qos::AtLeastOnce, false);
    rig.wait(100);
    rig.is_watched();
    assert_eq!(rig.said("devices/valve-3/state"), 0);
}

/// SAFE-123
#[test]
fn with_qos_2_a_command_that_nobody_subscribes_to_is_refused_and_released() {
    let mut rig = Rig::new(DevicesConfig {
        qos: Some(Qos::ExactlyOnce),
        ..config()
    });
    rig.connect();
    rig.device_says("devices/valve-3/online", b"1", Qos::AtLeastOnce, true);
    let ticket = rig.command("valve-3", 1_500);
    let id = rig.published.last().unwrap().packet_id().unwrap();
    let [high, low] = id.to_be_bytes();
    rig.bridge.on_bytes(rig.now, &[0x50, 3, high, low, 0x10]);
    assert_eq!(
        rig.bridge.poll_transmit(rig.now),
        Some(vec![0x62, 2, high, low]),
        "the release"
    );
    rig.pump();
    assert_eq!(rig.settled, [(ticket, Settled::Refused(Refusal::Absent))]);
    rig.bridge.on_bytes(rig.now, &[0x70, 2, high, low]);
    rig.pump();
    assert_eq!(rig.closes, [""; 0]);
}
