//! What a broker's devices may be sent, and what becomes of what they say: the rules, on time that is passed in.

use std::collections::VecDeque;
use std::time::Duration;

use longrein_proto::base::{Channel, Class, FencingToken, MonoTime, Refusal};

use super::client::{Client, ClientEvent, PublishError};
use super::config::{DEVICE, Qos, Version};
use super::devices::{Presence, PresenceChange};
use super::group::{COUNTS_APART, Group, message};
use super::message::{Hello, Message};
use super::outbox::{Again, DeviceCommand, Settled};
use super::template::is_device;
use super::word::{self, CommandWord};

/// One broker, and the functions that stand for devices behind it.
pub(crate) struct Bridge {
    client: Client,
    hello: Hello,
    version: Version,
    keep_alive: Duration,
    groups: Vec<Group>,
    /// When the broker was heard last, and when a sign of life was asked for that has not come.
    heard_at: MonoTime,
    sent_at: MonoTime,
    asked_at: Option<MonoTime>,
    up: bool,
    /// Whether what arrives was said just now: a broker that kept the session first sends what it kept of the time between.
    is_current: bool,
    /// Milliseconds since 1970.
    wall: fn() -> u64,
    events: VecDeque<BridgeEvent>,
}

/// A command for a device, as it comes from the control thread.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    pub(crate) ticket: u64,
    pub(crate) token: FencingToken,
    pub(crate) voids: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) deadline: MonoTime,
}

/// What a bridge tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BridgeEvent {
    /// What became of a command.
    Settled {
        channel: Channel,
        ticket: u64,
        settled: Settled,
    },
    /// For whoever observes the function: lines of JSON.
    Report {
        channel: Channel,
        class: Class,
        lines: Vec<u8>,
    },
    /// The broker let it in.
    Up,
    /// The connection is to be closed.
    Close { why: String },
    /// The broker does not let it subscribe, or does not take a message.
    Complaint { why: String },
}

impl Bridge {
    /// A bridge to a broker that it was never connected to.
    pub(crate) fn new(
        version: Version,
        hello: Hello,
        groups: Vec<Group>,
        wall: fn() -> u64,
    ) -> Bridge {
        Bridge {
            client: Client::new(version),
            keep_alive: Duration::from_secs(hello.keep_alive_s.into()),
            hello,
            version,
            groups,
            heard_at: MonoTime::ZERO,
            sent_at: MonoTime::ZERO,
            asked_at: None,
            up: false,
            is_current: false,
            wall,
            events: VecDeque::new(),
        }
    }

    /// Whether the broker let it in.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// A connection to the broker stands.
    pub(crate) fn on_connected(&mut self, now: MonoTime) {
        self.heard_at = now;
        self.sent_at = now;
        // Its answer is a sign of life like any.
        self.asked_at = Some(now);
        if let Err(error) = self.client.on_connected(&self.hello) {
            let why = format!("client id, user or will are none for MQTT: {error:?}");
            self.events.push_back(BridgeEvent::Close { why });
        }
    }

    /// The connection is lost.
    pub(crate) fn on_closed(&mut self, now: MonoTime) {
        self.client.on_closed();
        self.up = false;
        self.asked_at = None;
        for group in &mut self.groups {
            group.devices.on_broker_lost(now);
            group.told.clear();
        }
    }

    /// Bytes of the broker.
    pub(crate) fn on_bytes(&mut self, now: MonoTime, bytes: &[u8]) {
        self.heard_at = now;
        // Before it lets us in only that is an answer.
        if self.up {
            self.asked_at = None;
        }
        self.client.on_bytes(bytes);
        self.take_events(now);
        self.work(now);
    }

    /// A command that passed the gate and the last checks.
    // [SAFE-120] [SAFE-123]
    pub(crate) fn on_command(&mut self, now: MonoTime, channel: Channel, handed: Handed) {
        let Some(group) = self.groups.iter_mut().find(|g| g.channel == channel) else {
            return;
        };
        let ticket = handed.ticket;
        let taken = match CommandWord::read(&handed.body) {
            Some((device, payload)) if is_device(&device) => {
                let presence = group.devices.presence(now, &device);
                let command = DeviceCommand {
                    ticket,
                    token: handed.token,
                    voids: handed.voids,
                    device,
                    payload,
                    deadline: handed.deadline,
                };
                group.outbox.push(command, presence)
            }
            Some(_) | None => Err(Refusal::Malformed),
        };
        if let Err(why) = taken {
            let settled = Settled::Refused(why);
            group.count_settled(&settled);
            self.events.push_back(BridgeEvent::Settled {
                channel,
                ticket,
                settled,
            });
        }
        self.work(now);
    }

    /// Whether the devices of a function are to be in their safe state.
    // [SAFE-124]
    pub(crate) fn on_fail_safe(&mut self, now: MonoTime, channel: Channel, fail_safe: bool) {
        let group = self.groups.iter_mut().find(|g| g.channel == channel);
        if let Some(group) = group.filter(|group| group.fail_safe != fail_safe) {
            group.fail_safe = fail_safe;
            group.told.clear();
        }
        self.work(now);
    }

    /// What a function was refused before it came here: it is counted with the rest.
    pub(crate) fn on_refused(&mut self, channel: Channel, why: &'static str) {
        if let Some(group) = self.groups.iter_mut().find(|g| g.channel == channel) {
            group.count(why);
        }
    }

    /// What was counted elsewhere, in all.
    pub(crate) fn on_counted(&mut self, channel: Channel, what: &'static str, count: u64) {
        if let Some(group) = self.groups.iter_mut().find(|g| g.channel == channel)
            && group.counts.insert(what, count) != Some(count)
        {
            group.counts_changed = true;
        }
    }

    /// Reports all that is known, for somebody who has come to watch.
    pub(crate) fn on_watcher(&mut self, now: MonoTime, channel: Channel) {
        for group in self.groups.iter_mut().filter(|g| g.channel == channel) {
            let here: Vec<String> = group
                .devices
                .all()
                .map(|(device, presence)| {
                    word::presence(&PresenceChange {
                        device: device.to_string(),
                        online: presence != Presence::Offline,
                        why: "known",
                    })
                })
                .collect();
            for line in here.iter().chain(group.attributes.values()) {
                group.reliable.push(now, line);
            }
            group.counts_changed = true;
        }
        self.work(now);
    }

    /// What is due.
    pub(crate) fn on_timeout(&mut self, now: MonoTime) {
        for group in &mut self.groups {
            for change in group.devices.on_timeout(now) {
                group.on_change(now, Some(change));
            }
        }
        let unanswered = self.asked_at.is_some_and(|at| now.since(at) >= ANSWER_MAX);
        if unanswered {
            self.asked_at = None;
            let why = "the broker does not answer".to_string();
            self.events.push_back(BridgeEvent::Close { why });
        }
        if self.up && now.since(self.quiet_since()) >= self.keep_alive {
            self.ask(now);
        }
        self.work(now);
    }

    /// Ends in good order: devices in their safe state, then the connection.
    pub(crate) fn on_end(&mut self, now: MonoTime) {
        self.work(now);
        // Nobody waits for acknowledgements any more.
        for index in 0..self.groups.len() {
            self.tell_safe(index, Some(Qos::AtMostOnce));
        }
        if let Some((topic, payload)) = self.hello.will.clone() {
            self.say_availability(topic, payload);
        }
        self.client.disconnect();
    }

    /// When [`Bridge::on_timeout`] is wanted.
    pub(crate) fn next_timeout(&self, now: MonoTime) -> Option<MonoTime> {
        let groups = self
            .groups
            .iter()
            .filter_map(|group| group.next_timeout(now))
            .min();
        let answer = self.asked_at.map(|at| at + ANSWER_MAX);
        let alive =
            (self.up && self.asked_at.is_none()).then(|| self.quiet_since() + self.keep_alive);
        [groups, answer, alive].into_iter().flatten().min()
    }

    /// The next bytes for the broker.
    pub(crate) fn poll_transmit(&mut self, now: MonoTime) -> Option<Vec<u8>> {
        let bytes = self.client.poll_transmit()?;
        self.sent_at = now;
        Some(bytes)
    }

    /// The next thing that happened.
    pub(crate) fn poll_event(&mut self) -> Option<BridgeEvent> {
        self.events.pop_front()
    }

    fn take_events(&mut self, now: MonoTime) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Up { session_present } => self.on_up(now, session_present),
                ClientEvent::Refused { why } => {
                    let why = format!("the broker refuses: {why}");
                    self.events.push_back(BridgeEvent::Close { why });
                }
                ClientEvent::Broken { why } => self.events.push_back(BridgeEvent::Close { why }),
                ClientEvent::NotSubscribed { why } => {
                    let why = format!("the broker does not let it subscribe: {why}");
                    self.events.push_back(BridgeEvent::Complaint { why });
                }
                ClientEvent::Message {
                    message,
                    qos,
                    again,
                    ..
                } => self.on_message(now, &message, qos, again),
                ClientEvent::Alive => self.is_current = true,
                ClientEvent::Again { packet_id } => self.on_again(now, packet_id),
                ClientEvent::Published { packet_id, heard } => {
                    let settled = if heard {
                        Settled::Published
                    } else {
                        Settled::Refused(Refusal::Absent)
                    };
                    self.on_acknowledged(packet_id, settled);
                }
                ClientEvent::NotPublished { packet_id, why } => {
                    let why = format!("the broker does not take a command: {why}");
                    self.events.push_back(BridgeEvent::Complaint { why });
                    let settled = Settled::Refused(Refusal::AdapterDown);
                    self.on_acknowledged(packet_id, settled);
                }
            }
        }
    }

    fn on_up(&mut self, now: MonoTime, session_present: bool) {
        self.up = true;
        self.asked_at = None;
        self.events.push_back(BridgeEvent::Up);
        for index in 0..self.groups.len() {
            let Some(group) = self.groups.get_mut(index) else {
                continue;
            };
            if !session_present {
                for (ticket, settled) in group.outbox.session_lost() {
                    group.count_settled(&settled);
                    self.events.push_back(BridgeEvent::Settled {
                        channel: group.channel,
                        ticket,
                        settled,
                    });
                }
            }
            let topics = group.topics();
            if let Err(error) = self.client.subscribe(&topics, false) {
                let why = format!("topics are none for the broker: {error:?}");
                self.events.push_back(BridgeEvent::Complaint { why });
            }
        }
        if let Some((topic, _)) = self.hello.will.clone() {
            self.say_availability(topic, AVAILABLE.to_string());
        }
        // Its answer comes behind all that the broker had kept.
        self.is_current = !session_present;
        self.ask(now);
        self.work(now);
    }

    fn say_availability(&mut self, topic: String, payload: String) {
        let message = Message {
            topic,
            payload: payload.into_bytes(),
            retained: true,
            ..Message::default()
        };
        // Without room the will and the next connection say it.
        let _ = self.client.publish(&message, Qos::AtMostOnce);
    }

    fn on_message(&mut self, now: MonoTime, message: &Message, qos: Qos, again: bool) {
        for index in 0..self.groups.len() {
            let Some(group) = self.groups.get_mut(index) else {
                continue;
            };
            let Some((device, says)) = group.device_of(message) else {
                continue;
            };
            if !is_device(device) {
                group.count("malformed");
                continue;
            }
            // [SAFE-123] What was said before the connection stood tells nothing of who is there now.
            let tells = message.retained || self.is_current;
            if let Some(online) = says {
                if tells || !online {
                    let change = group.devices.on_presence(now, device, online);
                    group.on_change(now, change);
                }
                continue;
            }
            if !message.retained && self.is_current {
                let change = group.devices.on_heard(now, device);
                group.on_change(now, change);
            }
            if qos != Qos::AtMostOnce
                && !message.retained
                && group.duplicates.is_duplicate(now, message, again)
            {
                group.count("duplicates");
                continue;
            }
            let line = word::telemetry(device, message, qos);
            if line.len() > LINE_BYTES_MAX {
                group.count("too_long");
                continue;
            }
            let empty = message.payload.is_empty();
            if message.retained && !group.keep(&message.topic, &line, empty) {
                continue;
            }
            if !message.retained && group.attributes.contains_key(&message.topic) {
                // Whether the broker keeps it too it does not say; it is newer than what is kept.
                let kept = Message {
                    retained: true,
                    ..message.clone()
                };
                group.keep(&kept.topic, &word::telemetry(device, &kept, qos), empty);
            }
            group.count("received");
            if qos == Qos::AtMostOnce {
                group.unordered.push(now, &line);
            } else {
                group.reliable.push(now, &line);
            }
        }
    }

    /// The broker may not have what was published under this id before the connection was lost. With QoS 1 it waits anew until its device
    /// is heard of; with QoS 2 it goes again under the same id, or could be twice.
    // [SAFE-121] [SAFE-122] [SAFE-123]
    fn on_again(&mut self, now: MonoTime, packet_id: u16) {
        for group in &mut self.groups {
            let devices = &group.devices;
            let presence = |device: &str| devices.presence(now, device);
            match group.outbox.again(now, packet_id, &group.voids, presence) {
                Again::Unknown => {}
                Again::Waits => return self.client.again(packet_id, None),
                Again::Goes(command) => {
                    let wall = (now, (self.wall)());
                    let message = message(&group.config, self.version, wall, command);
                    let message = message.as_ref().map(|message| (message, group.qos));
                    return self.client.again(packet_id, message);
                }
                Again::Over(ticket) => {
                    let settled = Settled::Unsaid;
                    group.count_settled(&settled);
                    self.events.push_back(BridgeEvent::Settled {
                        channel: group.channel,
                        ticket,
                        settled,
                    });
                    return self.client.again(packet_id, None);
                }
            }
        }
        self.client.again(packet_id, None);
    }

    fn on_acknowledged(&mut self, packet_id: u16, settled: Settled) {
        for group in &mut self.groups {
            if let Some(ticket) = group.outbox.acknowledged(packet_id) {
                group.count_settled(&settled);
                self.events.push_back(BridgeEvent::Settled {
                    channel: group.channel,
                    ticket,
                    settled,
                });
                return;
            }
        }
    }

    /// Publishes what can be, and reports what is due.
    fn work(&mut self, now: MonoTime) {
        for index in 0..self.groups.len() {
            self.tell_safe(index, None);
            self.publish(now, index);
        }
        for group in &mut self.groups {
            if group.counts_changed && now >= group.counts_told_at + COUNTS_APART {
                group.counts_changed = false;
                group.counts_told_at = now;
                let line = word::counters(&group.counts);
                group.reliable.push(now, &line);
            }
            for (batch, class) in [
                (&mut group.reliable, Class::Reliable),
                (&mut group.unordered, Class::Unordered),
            ] {
                while let Some(lines) = batch.pop(now) {
                    self.events.push_back(BridgeEvent::Report {
                        channel: group.channel,
                        class,
                        lines,
                    });
                }
            }
        }
    }

    // [SAFE-124]
    fn tell_safe(&mut self, index: usize, qos: Option<Qos>) {
        while self.up
            && let Some(group) = self.groups.get_mut(index)
            && let Some(device) = group.next_to_be_safe()
        {
            let topic = group.config.command.fill(&[(DEVICE, &device)]);
            let message = Message {
                topic: topic.unwrap_or_default(),
                payload: group.config.fail_safe.clone().unwrap_or_default().into(),
                ..Message::default()
            };
            let qos = qos.unwrap_or(group.qos);
            if self.client.publish(&message, qos) == Err(PublishError::Busy) {
                return;
            }
            group.told.insert(device);
        }
    }

    fn publish(&mut self, now: MonoTime, index: usize) {
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        let channel = group.channel;
        let settle = |(ticket, settled)| BridgeEvent::Settled {
            channel,
            ticket,
            settled,
        };
        self.events.extend(group.sweep(now).into_iter().map(settle));
        // [SAFE-125]
        if self.up && now.since(self.heard_at) >= SIGN_OF_LIFE_MAX {
            if group.outbox.next_timeout().is_some() {
                self.ask(now);
            }
            return;
        }
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        while self.up && (group.qos == Qos::AtMostOnce || self.client.has_room()) {
            let devices = &group.devices;
            let Some(command) = group.outbox.pop(|device| devices.presence(now, device)) else {
                return;
            };
            let message = message(&group.config, self.version, (now, (self.wall)()), &command);
            let published = match &message {
                Some(message) => self.client.publish(message, group.qos),
                None => Err(PublishError::Wrong),
            };
            let settled = match published {
                Ok(Some(packet_id)) => {
                    group.outbox.sent(packet_id, group.qos, command);
                    // Its acknowledgement is a sign of life like any.
                    self.asked_at.get_or_insert(now);
                    continue;
                }
                Ok(None) => {
                    if self.asked_at.is_none() {
                        self.asked_at = Some(now);
                        self.client.ping();
                    }
                    Settled::Published
                }
                Err(PublishError::Busy) => Settled::Refused(Refusal::TooOften),
                Err(PublishError::Wrong) => Settled::Refused(Refusal::Malformed),
            };
            group.count_settled(&settled);
            self.events.push_back(settle((command.ticket, settled)));
        }
    }

    /// Since when one of both ends said nothing.
    fn quiet_since(&self) -> MonoTime {
        self.heard_at.min(self.sent_at)
    }

    /// Asks for a sign of life, once.
    fn ask(&mut self, now: MonoTime) {
        if self.asked_at.is_none() {
            self.asked_at = Some(now);
            self.client.ping();
        }
    }
}

/// What a broker is told on the topic of its availability; its opposite is the will.
pub(crate) const AVAILABLE: &str = "online";
/// The will.
pub(crate) const UNAVAILABLE: &str = "offline";
/// A command goes to a broker that was heard within this time: one that hangs would deliver it later.
const SIGN_OF_LIFE_MAX: Duration = Duration::from_secs(1);
/// A broker that does not answer for this long is given up.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Bytes of a device's message with what is said of it; longer ones are counted and dropped.
const LINE_BYTES_MAX: usize = 60 * 1024;

#[cfg(test)]
mod tests;
