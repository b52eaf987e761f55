//! One function of the agent that stands for devices behind a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{Channel, MonoTime};

use super::batch::Batch;
use super::config::{DEVICE, DevicesConfig, Qos, Version};
use super::devices::{Devices, Presence, PresenceChange};
use super::duplicates::Duplicates;
use super::message::Message;
use super::outbox::{DeviceCommand, Outbox, Settled, Voids};
use super::template::Template;
use super::word;

/// A function of the agent that stands for devices.
pub(crate) struct Group {
    pub(super) channel: Channel,
    pub(super) config: DevicesConfig,
    pub(super) qos: Qos,
    pub(super) devices: Devices,
    pub(super) outbox: Outbox,
    pub(super) voids: Arc<Voids>,
    /// Devices are to be in their safe state, and who was told so.
    pub(super) fail_safe: bool,
    pub(super) told: BTreeSet<String>,
    pub(super) duplicates: Duplicates,
    /// What the broker keeps of the devices, newest, as lines.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) attribute_bytes: usize,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) counts_told_at: MonoTime,
    pub(super) counts_changed: bool,
    /// For QoS 1 and 2 and for presence, and for QoS 0.
    pub(super) reliable: Batch,
    pub(super) unordered: Batch,
}

impl Group {
    /// A function and its devices, of which none is known.
    pub(crate) fn new(
        channel: Channel,
        config: DevicesConfig,
        version: Version,
        voids: Arc<Voids>,
    ) -> Group {
        let silent = Duration::from_secs(config.silent_s.into());
        let within = Duration::from_secs(config.duplicate_s.into());
        let qos = config.qos.unwrap_or(match version {
            Version::V5 => Qos::AtLeastOnce,
            Version::V311 => Qos::AtMostOnce,
        });
        Group {
            channel,
            qos,
            devices: Devices::new(config.devices_max, Some(silent).filter(|s| !s.is_zero())),
            config,
            outbox: Outbox::default(),
            voids,
            fail_safe: false,
            told: BTreeSet::new(),
            duplicates: Duplicates::new(within),
            attributes: BTreeMap::new(),
            attribute_bytes: 0,
            counts: BTreeMap::new(),
            counts_told_at: MonoTime::ZERO,
            counts_changed: false,
            reliable: Batch::default(),
            unordered: Batch::default(),
        }
    }

    pub(super) fn topics(&self) -> Vec<String> {
        let telemetry = self.config.telemetry.iter();
        let presence = self.config.presence.iter().map(|presence| &presence.topic);
        let topics = telemetry.chain(presence);
        topics.map(Template::filter).collect()
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
        self.counts_changed = true;
    }

    /// Refusals are counted where they are answered, with those of the gate.
    pub(super) fn count_settled(&mut self, settled: &Settled) {
        match settled {
            Settled::Published => self.count("published"),
            Settled::Unsaid => self.count("unknown"),
            Settled::Refused(_) | Settled::Void => {}
        }
    }

    /// What a message says of a device that is known to this group; none when it is not from one.
    pub(super) fn device_of<'a>(&self, message: &'a Message) -> Option<(&'a str, Option<bool>)> {
        // Its own commands come back where a wildcard covers them.
        if self
            .config
            .command
            .capture(&message.topic, [DEVICE])
            .is_some()
        {
            return None;
        }
        if let Some(presence) = &self.config.presence
            && let Some([device]) = presence.topic.capture(&message.topic, [DEVICE])
        {
            let says = |text: &str| message.payload == text.as_bytes();
            if says(&presence.online) {
                return Some((device, Some(true)));
            }
            if says(&presence.offline) || message.payload.is_empty() {
                return Some((device, Some(false)));
            }
        }
        let mut telemetry = self.config.telemetry.iter();
        telemetry.find_map(|topic| {
            let [device] = topic.capture(&message.topic, [DEVICE])?;
            Some((device, None))
        })
    }

    pub(super) fn on_change(&mut self, now: MonoTime, change: Option<PresenceChange>) {
        if let Some(change) = change {
            if !change.online {
                self.told.remove(&change.device);
            }
            self.reliable.push(now, &word::presence(&change));
        }
    }

    /// Keeps what the broker keeps of a device; whether it is news.
    pub(super) fn keep(&mut self, topic: &str, line: &str, empty: bool) -> bool {
        if self.attributes.get(topic).is_some_and(|kept| kept == line) {
            return false;
        }
        if let Some(old) = self.attributes.remove(topic) {
            self.attribute_bytes -= old.len() + topic.len();
        }
        let bytes = self.attribute_bytes + line.len() + topic.len();
        if !empty && self.attributes.len() < ATTRIBUTES_MAX && bytes <= ATTRIBUTE_BYTES_MAX {
            self.attributes.insert(topic.to_string(), line.to_string());
            self.attribute_bytes = bytes;
        }
        true
    }

    pub(super) fn sweep(&mut self, now: MonoTime) -> Vec<(u64, Settled)> {
        let devices = &self.devices;
        let over = self
            .outbox
            .sweep(now, &self.voids, |device| devices.presence(now, device));
        for (_, settled) in &over {
            self.count_settled(settled);
        }
        over
    }

    /// The next device that is to be told to be safe.
    pub(super) fn next_to_be_safe(&self) -> Option<String> {
        let payload = self.config.fail_safe.as_ref().filter(|_| self.fail_safe);
        payload?;
        let here = self.devices.all();
        let mut here = here.filter(|(_, presence)| *presence == Presence::Online);
        let next = here.find(|(device, _)| !self.told.contains(*device));
        next.map(|(device, _)| device.to_string())
    }

    pub(super) fn next_timeout(&self, now: MonoTime) -> Option<MonoTime> {
        let counts = self
            .counts_changed
            .then(|| self.counts_told_at + COUNTS_APART);
        [
            self.devices.next_timeout(now),
            self.outbox.next_timeout(),
            self.reliable.next_timeout(),
            self.unordered.next_timeout(),
            counts,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// A command as it is published: never retained, over with its time to live.
// [SAFE-120] [SAFE-121]
pub(super) fn message(
    config: &DevicesConfig,
    version: Version,
    (now, unix_ms): (MonoTime, u64),
    command: &DeviceCommand,
) -> Option<Message> {
    let topic = config.command.fill(&[(DEVICE, &command.device)])?;
    let mut message = Message {
        topic,
        payload: command.payload.clone(),
        ..Message::default()
    };
    if version == Version::V5 {
        let left = command.deadline.since(now);
        let left_ms = left.as_millis();
        message.expiry_s = u32::try_from(left_ms.div_ceil(1_000)).ok();
        let deadline = u128::from(unix_ms) + left_ms;
        message.properties = vec![
            ("deadline-unix-ms".to_string(), deadline.to_string()),
            ("ttl-ms".to_string(), left_ms.to_string()),
            ("token".to_string(), command.token.0.to_string()),
        ];
    }
    Some(message)
}

/// Topics of which the newest kept message is remembered: four of each of a thousand devices.
const ATTRIBUTES_MAX: usize = 4_096;
/// Bytes of all of them.
const ATTRIBUTE_BYTES_MAX: usize = 1024 * 1024;
/// Between reports of what was counted.
pub(super) const COUNTS_APART: Duration = Duration::from_secs(1);
