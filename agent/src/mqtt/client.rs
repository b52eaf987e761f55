//! One client of a broker: what goes over its connection, for both versions of MQTT. No sockets, no clocks.
//!
//! The protocol itself is the crate `mqtt-protocol-core`'s, which has no sockets either; this puts the versions together and keeps
//! what is ours apart: it never asks for topic aliases, what is published again after a loss is asked for first, and how many messages
//! may be under way is counted here. The crate counts what went over the connection that stands, and panics when the broker
//! acknowledges what went over the one before.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the crate's packets and properties are those of the standard, and most are of no use to a client"
)]

use std::collections::VecDeque;

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{
    ConnectionOptions, Event, PacketBuildResult, PacketBuilder, RawPacket, TimerKind,
};
use mqtt_protocol_core::mqtt::packet::{
    GenericPacketTrait, Packet, Property, SubEntry, SubOpts, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode, MqttError};
use mqtt_protocol_core::mqtt::{Connection, packet, role};

use super::config::{Qos, Version};
use super::message::{Hello, Message};

/// A client of one broker, over one connection after the other.
pub(crate) struct Client {
    version: Version,
    connection: Connection<role::Client>,
    up: bool,
    /// Makes packets whole: the crate would end half a one of a lost connection with what comes first on the next.
    packets: PacketBuilder,
    /// The broker's answer has not come.
    is_first: bool,
    /// What was published under this id has no subscriber, as the answer says that is taken now.
    unheard: Option<u16>,
    /// Own publishes of QoS over 0 that are under way, and how many the broker takes.
    unacknowledged: usize,
    unacknowledged_max: usize,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<ClientEvent>,
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientEvent {
    /// The broker let it in; whether it still knows the session.
    Up { session_present: bool },
    /// The broker did not let it in.
    Refused { why: String },
    /// A message arrived.
    Message {
        message: Message,
        qos: Qos,
        /// It may have come before, on an earlier connection.
        again: bool,
        /// Of QoS over 0.
        packet_id: Option<u16>,
    },
    /// The broker has what was published under this id; whether anybody subscribed, as far as it says.
    Published { packet_id: u16, heard: bool },
    /// The broker does not take what was published under this id.
    NotPublished { packet_id: u16, why: String },
    /// What was published under this id may go again: answer with [`Client::again`].
    Again { packet_id: u16 },
    /// The broker does not let it subscribe to one of its topics.
    NotSubscribed { why: String },
    /// The broker gave the sign of life that it was asked for.
    Alive,
    /// The connection is of no use any more.
    Broken { why: String },
}

/// Why nothing was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// Not now: the broker takes no more, or there is none.
    Busy,
    /// Never: it is no message.
    Wrong,
}

impl Client {
    /// A client that was never connected.
    pub(crate) fn new(version: Version) -> Client {
        let options = ConnectionOptions::new().maximum_packet_size_recv(PACKET_BYTES_MAX);
        let number = match version {
            Version::V5 => mqtt_protocol_core::mqtt::Version::V5_0,
            Version::V311 => mqtt_protocol_core::mqtt::Version::V3_1_1,
        };
        let mut connection = Connection::with_options(number, options);
        connection.set_auto_pub_response(true);
        connection.set_pingresp_recv_timeout(PING_MAX_MS);
        Client {
            version,
            connection,
            up: false,
            packets: PacketBuilder::with_maximum_packet_size(PACKET_BYTES_MAX),
            is_first: true,
            unheard: None,
            unacknowledged: 0,
            unacknowledged_max: UNACKNOWLEDGED_MAX,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A connection stands; the first packet goes.
    ///
    /// # Errors
    /// When the client's name, password or will is none for MQTT.
    pub(crate) fn on_connected(&mut self, hello: &Hello) -> Result<(), MqttError> {
        self.transmits.clear();
        self.packets.reset();
        self.is_first = true;
        self.unacknowledged_max = UNACKNOWLEDGED_MAX;
        let events = match self.version {
            Version::V5 => self.connection.checked_send(hello.v5()?),
            Version::V311 => self.connection.checked_send(hello.v311()?),
        };
        self.take(events);
        Ok(())
    }

    /// The connection is lost.
    pub(crate) fn on_closed(&mut self) {
        self.up = false;
        self.transmits.clear();
        self.events.clear();
        // Everything that it tells is known: whoever published looks after it when the broker is back.
        self.connection.notify_closed();
    }

    /// Bytes arrived.
    pub(crate) fn on_bytes(&mut self, bytes: &[u8]) {
        let mut cursor = Cursor::new(bytes);
        while !cursor.remaining_slice().is_empty() {
            match self.packets.feed(&mut cursor) {
                PacketBuildResult::Complete(packet) if std::mem::take(&mut self.is_first) => {
                    self.on_first(&packet);
                }
                PacketBuildResult::Complete(packet) => {
                    let mut bytes = encoded(&packet);
                    self.note_unheard(&mut bytes);
                    self.on_whole(&bytes);
                }
                PacketBuildResult::Incomplete => {}
                PacketBuildResult::Error(error) => return self.broken(&error),
            }
        }
    }

    /// The crate takes every word of a PUBREC but success for the end; after this one the broker waits for the release all the
    /// same (MQTT 5.0 §4.3.3), so it is read as success.
    fn note_unheard(&mut self, packet: &mut [u8]) {
        self.unheard = None;
        if let [PUBREC, _, high, low, code, ..] = packet
            && self.version == Version::V5
            && *code == NO_SUBSCRIBERS
        {
            *code = 0;
            self.unheard = Some(u16::from_be_bytes([*high, *low]));
        }
    }

    fn on_whole(&mut self, packet: &[u8]) {
        let events = self.connection.recv(&mut Cursor::new(packet));
        self.take(events);
    }

    /// The broker's answer, without how many messages it takes, which is kept here.
    fn on_first(&mut self, packet: &RawPacket) {
        let whole = match self.version {
            Version::V5 => packet.parse_exact(v5_0::Connack::parse).and_then(|answer| {
                let mut properties = Vec::new();
                for property in answer.props() {
                    match property {
                        Property::ReceiveMaximum(max) => {
                            self.unacknowledged_max = UNACKNOWLEDGED_MAX.min(max.val().into());
                        }
                        other => properties.push(other.clone()),
                    }
                }
                let answer = v5_0::Connack::builder()
                    .session_present(answer.session_present())
                    .reason_code(answer.reason_code())
                    .props(properties)
                    .build()?;
                Ok(answer.to_continuous_buffer())
            }),
            Version::V311 => packet
                .parse_exact(v3_1_1::Connack::parse)
                .map(|answer| answer.to_continuous_buffer()),
        };
        match whole {
            Ok(bytes) => self.on_whole(&bytes),
            Err(error) => self.broken(&error),
        }
    }

    fn broken(&mut self, error: &MqttError) {
        let why = format!("{error:?}");
        self.events.push_back(ClientEvent::Broken { why });
    }

    /// Subscribes to topics, each up to QoS 2. What the broker has kept of them comes first, and is marked as retained; with version 5
    /// and `as_published` what is published to be retained is so from the start.
    ///
    /// # Errors
    /// When a topic is none.
    pub(crate) fn subscribe(
        &mut self,
        topics: &[String],
        as_published: bool,
    ) -> Result<(), MqttError> {
        let options = SubOpts::new()
            .set_qos(packet::Qos::ExactlyOnce)
            .set_rap(as_published && self.version == Version::V5);
        let entry = |topic: &String| SubEntry::new(topic.as_str(), options);
        let entries = topics.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Ok(());
        }
        let id = self.connection.acquire_packet_id()?;
        let events = match self.version {
            Version::V5 => self.connection.checked_send(
                v5_0::Subscribe::builder()
                    .packet_id(id)
                    .entries(entries)
                    .build()?,
            ),
            Version::V311 => self.connection.checked_send(
                v3_1_1::Subscribe::builder()
                    .packet_id(id)
                    .entries(entries)
                    .build()?,
            ),
        };
        self.take(events);
        Ok(())
    }

    /// Whether a message of QoS over 0 would go at once.
    pub(crate) fn has_room(&self) -> bool {
        self.up && self.unacknowledged < self.unacknowledged_max
    }

    /// Publishes; with QoS over 0 the packet id that its acknowledgement names.
    ///
    /// # Errors
    /// [`PublishError`]: nothing was published.
    pub(crate) fn publish(
        &mut self,
        message: &Message,
        qos: Qos,
    ) -> Result<Option<u16>, PublishError> {
        if !self.up || (qos > Qos::AtMostOnce && !self.has_room()) {
            return Err(PublishError::Busy);
        }
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce | Qos::ExactlyOnce => {
                let id = self.connection.acquire_packet_id();
                Some(id.map_err(|_| PublishError::Busy)?)
            }
        };
        let events = self.encode(message, qos, packet_id);
        let Ok(events) = events else {
            if let Some(id) = packet_id {
                self.connection.release_packet_id(id);
            }
            return Err(PublishError::Wrong);
        };
        self.unacknowledged += usize::from(packet_id.is_some());
        let sends = |event: &Event| matches!(event, Event::RequestSendPacket { .. });
        let sent = events.iter().any(sends);
        for event in events {
            match event {
                Event::RequestSendPacket { packet, .. } => {
                    self.transmits.push_back(packet.to_continuous_buffer());
                }
                // Longer than the broker takes: nothing went, and the connection stands.
                Event::NotifyError(_) => {}
                other => self.take(vec![other]),
            }
        }
        if sent {
            return Ok(packet_id);
        }
        self.unacknowledged -= usize::from(packet_id.is_some());
        if let Some(id) = packet_id {
            self.connection.release_packet_id(id);
        }
        Err(PublishError::Wrong)
    }

    /// Publishes once more what a lost connection may have swallowed, with what is left of its time; without a message it is given
    /// up.
    pub(crate) fn again(&mut self, packet_id: u16, message: Option<(&Message, Qos)>) {
        let encoded = message.and_then(|(message, qos)| match self.version {
            Version::V5 => {
                let publish = message.v5(qos, Some(packet_id)).ok()?;
                Some(publish.set_dup(true).to_continuous_buffer())
            }
            Version::V311 => {
                let publish = message.v311(qos, Some(packet_id)).ok()?;
                Some(publish.set_dup(true).to_continuous_buffer())
            }
        });
        match encoded {
            Some(bytes) => self.transmits.push_back(bytes),
            None => {
                let events = self.connection.erase_stored_publish(packet_id);
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                self.take(events);
            }
        }
    }

    /// Asks the broker for a sign of life.
    pub(crate) fn ping(&mut self) {
        let events = self.connection.notify_timer_fired(TimerKind::PingreqSend);
        self.take(events);
    }

    /// Ends the connection in good order: the broker drops the will.
    pub(crate) fn disconnect(&mut self) {
        let events = match self.version {
            Version::V5 => match v5_0::Disconnect::builder().build() {
                Ok(packet) => self.connection.checked_send(packet),
                Err(_) => return,
            },
            Version::V311 => match v3_1_1::Disconnect::builder().build() {
                Ok(packet) => self.connection.checked_send(packet),
                Err(_) => return,
            },
        };
        self.take(events);
    }

    /// The next bytes for the connection.
    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub(crate) fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    fn encode(
        &mut self,
        message: &Message,
        qos: Qos,
        packet_id: Option<u16>,
    ) -> Result<Vec<Event>, MqttError> {
        Ok(match self.version {
            Version::V5 => self.connection.checked_send(message.v5(qos, packet_id)?),
            Version::V311 => self.connection.checked_send(message.v311(qos, packet_id)?),
        })
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::RequestSendPacket { packet, .. } => self.on_transmit(packet),
                Event::NotifyPacketReceived(packet) => self.on_packet(packet),
                Event::NotifyError(error) => self.broken(&error),
                Event::RequestClose => self.events.push_back(ClientEvent::Broken {
                    why: "ended by the protocol".to_string(),
                }),
                // Pings go when a sign of life is wanted, and ids are counted where they are used.
                Event::NotifyPacketIdReleased(_)
                | Event::RequestTimerReset { .. }
                | Event::RequestTimerCancel(_) => {}
            }
        }
    }

    /// What the protocol would publish again is asked for first: it may be over.
    fn on_transmit(&mut self, packet: Packet) {
        let again = match &packet {
            Packet::V5_0Publish(publish) => publish.packet_id(),
            Packet::V3_1_1Publish(publish) => publish.packet_id(),
            _ => None,
        };
        match again {
            Some(packet_id) => self.events.push_back(ClientEvent::Again { packet_id }),
            None => self.transmits.push_back(packet.to_continuous_buffer()),
        }
    }

    fn on_packet(&mut self, packet: Packet) {
        // It answers a connection once.
        if self.up && matches!(packet, Packet::V5_0Connack(_) | Packet::V3_1_1Connack(_)) {
            return self.broken(&MqttError::ProtocolError);
        }
        let event = match packet {
            Packet::V5_0Connack(packet) => {
                let reason = packet.reason_code();
                let why = format!("{reason:?}");
                self.on_answer(
                    reason == ConnectReasonCode::Success,
                    packet.session_present(),
                    why,
                )
            }
            Packet::V3_1_1Connack(packet) => {
                let reason = packet.return_code();
                let why = format!("{reason:?}");
                self.on_answer(
                    reason == ConnectReturnCode::Accepted,
                    packet.session_present(),
                    why,
                )
            }
            Packet::V5_0Publish(packet) => ClientEvent::Message {
                qos: qos(packet.qos()),
                again: packet.dup(),
                packet_id: packet.packet_id(),
                message: Message::from_v5(&packet),
            },
            Packet::V3_1_1Publish(packet) => ClientEvent::Message {
                qos: qos(packet.qos()),
                again: packet.dup(),
                packet_id: packet.packet_id(),
                message: Message {
                    topic: packet.topic_name().to_string(),
                    payload: packet.payload().as_slice().to_vec(),
                    retained: packet.retain(),
                    ..Message::default()
                },
            },
            Packet::V5_0Puback(packet) => {
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                let code = packet.reason_code();
                on_acknowledged(
                    packet.packet_id(),
                    code.map(|c| (c as u8, format!("{c:?}"))),
                )
            }
            Packet::V5_0Pubrec(packet) => {
                let (packet_id, code) = (packet.packet_id(), packet.reason_code());
                // Refused, it ends here; else it ends with what the release is answered with.
                if code.is_some_and(|code| code as u8 >= REFUSED) {
                    self.unacknowledged = self.unacknowledged.saturating_sub(1);
                }
                if self.unheard.take() == Some(packet_id) {
                    let heard = false;
                    ClientEvent::Published { packet_id, heard }
                } else {
                    on_acknowledged(packet_id, code.map(|c| (c as u8, format!("{c:?}"))))
                }
            }
            Packet::V3_1_1Puback(packet) => {
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                on_acknowledged(packet.packet_id(), None)
            }
            Packet::V3_1_1Pubrec(packet) => on_acknowledged(packet.packet_id(), None),
            Packet::V5_0Pubcomp(_) | Packet::V3_1_1Pubcomp(_) => {
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                return;
            }
            Packet::V5_0Pingresp(_) | Packet::V3_1_1Pingresp(_) => ClientEvent::Alive,
            Packet::V5_0Suback(packet) => {
                let refused = packet
                    .reason_codes()
                    .into_iter()
                    .find(|c| *c as u8 >= REFUSED);
                match refused {
                    Some(code) => ClientEvent::NotSubscribed {
                        why: format!("{code:?}"),
                    },
                    None => return,
                }
            }
            Packet::V3_1_1Suback(packet) => {
                match packet
                    .return_codes()
                    .into_iter()
                    .find(|c| *c as u8 >= REFUSED)
                {
                    Some(code) => ClientEvent::NotSubscribed {
                        why: format!("{code:?}"),
                    },
                    None => return,
                }
            }
            Packet::V5_0Disconnect(packet) => ClientEvent::Broken {
                why: format!("{:?}", packet.reason_code()),
            },
            // Answers to pings, second halves of QoS 2, and what a broker does not send.
            _ => return,
        };
        self.events.push_back(event);
    }

    fn on_answer(&mut self, accepted: bool, session_present: bool, why: String) -> ClientEvent {
        if !accepted {
            return ClientEvent::Refused { why };
        }
        self.up = true;
        if !session_present {
            self.unacknowledged = 0;
        }
        ClientEvent::Up { session_present }
    }
}

/// A packet as it came.
fn encoded(packet: &RawPacket) -> Vec<u8> {
    let mut bytes = vec![packet.packet_type() << 4 | packet.flags()];
    let mut left = packet.remaining_length();
    loop {
        let digit = u8::try_from(left & 0x7f).expect("seven bits");
        left >>= 7;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    bytes.extend_from_slice(packet.data_as_slice());
    bytes
}

fn on_acknowledged(packet_id: u16, code: Option<(u8, String)>) -> ClientEvent {
    match code {
        Some((code, why)) if code >= REFUSED => ClientEvent::NotPublished { packet_id, why },
        Some((NO_SUBSCRIBERS, _)) => ClientEvent::Published {
            packet_id,
            heard: false,
        },
        Some(_) | None => ClientEvent::Published {
            packet_id,
            heard: true,
        },
    }
}

const fn qos(number: packet::Qos) -> Qos {
    match number {
        packet::Qos::AtMostOnce => Qos::AtMostOnce,
        packet::Qos::AtLeastOnce => Qos::AtLeastOnce,
        packet::Qos::ExactlyOnce => Qos::ExactlyOnce,
    }
}

/// Bytes of a packet that a broker may send: the longest message, and what is around it.
const PACKET_BYTES_MAX: u32 = 128 * 1024;
/// Own messages of QoS over 0 that may be under way, if the broker says no lower bound.
const UNACKNOWLEDGED_MAX: usize = 256;
/// MQTT 5.0 §2.4, 3.1.1 §3.9.3: reason codes from here on are refusals.
const REFUSED: u8 = 0x80;
/// The first byte of a PUBREC (MQTT 5.0 §3.5.1).
const PUBREC: u8 = 0x50;
/// MQTT 5.0 §3.4.2.1: nobody subscribes to the topic.
const NO_SUBSCRIBERS: u8 = 0x10;
/// After this long without an answer to a ping the connection is of no use, in ms.
const PING_MAX_MS: u64 = 0;
