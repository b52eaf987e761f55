//! Which devices behind a broker are there.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::MonoTime;

/// The devices that one function stands for, and what is known of each.
///
/// What was known is not known any more while the broker is away: a device that went meanwhile would count as there. So after an
/// outage each has to be heard of anew. A broker that shuts down publishes the wills of all first, so what is said of a device that goes
/// is believed after a moment, if the broker is there then.
#[derive(Debug)]
pub(crate) struct Devices {
    known: BTreeMap<String, Device>,
    count_max: usize,
    silent: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Device {
    presence: Presence,
    heard_at: MonoTime,
    /// When it went, for a moment: the end of its broker may be the reason.
    left_at: Option<MonoTime>,
    /// What was told of it last.
    told_online: bool,
}

/// Whether a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It said so, or was heard.
    Online,
    /// It was there before the broker was lost, and nothing was heard of it since.
    Unsure,
    /// It said so, its will did, or it was silent for too long.
    Offline,
}

/// A device came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresenceChange {
    pub(crate) device: String,
    pub(crate) online: bool,
    /// Why it is not there any more, or how that it is was learnt.
    pub(crate) why: &'static str,
}

impl Devices {
    /// None is known; a device that says nothing for `silent` counts as away.
    pub(crate) fn new(count_max: usize, silent: Option<Duration>) -> Devices {
        Devices {
            known: BTreeMap::new(),
            count_max,
            silent,
        }
    }

    /// Whether a device is there; one that was never heard of is not.
    pub(crate) fn presence(&self, now: MonoTime, device: &str) -> Presence {
        let known = self.known.get(device);
        known.map_or(Presence::Offline, |device| device.presence(now))
    }

    /// A device sent something of its own accord.
    pub(crate) fn on_heard(&mut self, now: MonoTime, device: &str) -> Option<PresenceChange> {
        self.put(now, device, Presence::Online, "heard")
    }

    /// A device, or its will, says whether it is there. A message that the broker kept tells nothing of when.
    pub(crate) fn on_presence(
        &mut self,
        now: MonoTime,
        device: &str,
        online: bool,
    ) -> Option<PresenceChange> {
        let presence = if online {
            Presence::Online
        } else {
            Presence::Offline
        };
        self.put(now, device, presence, "said so")
    }

    /// The broker is lost: of those that were there nobody knows.
    pub(crate) fn on_broker_lost(&mut self, now: MonoTime) {
        for device in self.known.values_mut() {
            if device.presence(now) != Presence::Offline {
                device.presence = Presence::Unsure;
                device.left_at = None;
            }
        }
    }

    /// Who has been silent for too long.
    pub(crate) fn on_timeout(&mut self, now: MonoTime) -> Vec<PresenceChange> {
        let Some(silent) = self.silent else {
            return Vec::new();
        };
        let mut gone = Vec::new();
        for (name, device) in &mut self.known {
            if device.presence != Presence::Offline && now.since(device.heard_at) >= silent {
                device.presence = Presence::Offline;
                device.told_online = false;
                gone.push(PresenceChange {
                    device: name.clone(),
                    online: false,
                    why: "silent",
                });
            }
        }
        gone
    }

    /// When the next one has been silent for too long, or is believed to be gone.
    pub(crate) fn next_timeout(&self, now: MonoTime) -> Option<MonoTime> {
        let each = self.known.values().filter_map(|device| {
            let gone = device.left_at.map(|left_at| left_at + LEAVING);
            match device.presence {
                Presence::Offline => gone.filter(|gone| *gone > now),
                Presence::Online | Presence::Unsure => Some(device.heard_at + self.silent?),
            }
        });
        each.min()
    }

    /// Every device that is known, and whether it is there.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Presence)> {
        let known = self.known.iter();
        known.map(|(name, device)| (name.as_str(), device.presence))
    }

    fn put(
        &mut self,
        now: MonoTime,
        name: &str,
        presence: Presence,
        why: &'static str,
    ) -> Option<PresenceChange> {
        if let Some(device) = self.known.get_mut(name) {
            let before = std::mem::replace(&mut device.presence, presence);
            device.heard_at = now;
            let goes = presence == Presence::Offline;
            if !goes || before != Presence::Offline {
                device.left_at = goes.then_some(now);
            }
            // Who is confirmed after an outage was never said to be away, unless the broker's end said so.
            let was = std::mem::replace(&mut device.told_online, !goes);
            return (was == goes).then(|| PresenceChange {
                device: name.to_string(),
                online: !goes,
                why,
            });
        }
        if self.known.len() >= self.count_max && !self.forget_one() {
            return None;
        }
        let device = Device {
            presence,
            heard_at: now,
            left_at: None,
            told_online: presence == Presence::Online,
        };
        self.known.insert(name.to_string(), device);
        Some(PresenceChange {
            device: name.to_string(),
            online: presence == Presence::Online,
            why,
        })
    }

    /// Makes room for a device by forgetting the one that is away longest; false when all are there.
    fn forget_one(&mut self) -> bool {
        let away = self.known.iter();
        let away = away.filter(|(_, device)| device.presence == Presence::Offline);
        let longest = away.min_by_key(|(_, device)| device.heard_at);
        match longest.map(|(name, _)| name.clone()) {
            Some(name) => self.known.remove(&name).is_some(),
            None => false,
        }
    }
}

impl Device {
    fn presence(&self, now: MonoTime) -> Presence {
        let leaves = self.left_at.is_some_and(|at| now.since(at) < LEAVING);
        if self.presence == Presence::Offline && leaves {
            Presence::Unsure
        } else {
            self.presence
        }
    }
}

/// For this long it is not believed that a device is gone.
const LEAVING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn change(device: &str, online: bool, why: &'static str) -> Option<PresenceChange> {
        let device = device.to_string();
        Some(PresenceChange {
            device,
            online,
            why,
        })
    }

    #[test]
    fn a_device_is_away_until_it_is_heard_of_and_when_its_will_says_so() {
        let mut devices = Devices::new(10, None);
        assert_eq!(devices.presence(at(9_000), "pump"), Presence::Offline);
        assert_eq!(
            devices.on_presence(at(0), "pump", true),
            change("pump", true, "said so")
        );
        assert_eq!(devices.on_presence(at(1), "pump", true), None);
        assert_eq!(devices.presence(at(9_000), "pump"), Presence::Online);
        assert_eq!(
            devices.on_presence(at(2), "pump", false),
            change("pump", false, "said so")
        );
        assert_eq!(devices.presence(at(9_000), "pump"), Presence::Offline);
        assert_eq!(devices.next_timeout(at(9_000)), None);
    }

    #[test]
    fn a_silent_device_is_away() {
        let mut devices = Devices::new(10, Some(Duration::from_secs(1)));
        devices.on_heard(at(0), "pump");
        devices.on_heard(at(600), "valve");
        assert_eq!(devices.next_timeout(at(9_000)), Some(at(1_000)));
        assert_eq!(devices.on_timeout(at(999)), []);
        let gone = devices.on_timeout(at(1_000));
        assert_eq!(gone, [change("pump", false, "silent").unwrap()]);
        assert_eq!(devices.next_timeout(at(9_000)), Some(at(1_600)));
        assert_eq!(
            devices.on_heard(at(1_100), "pump"),
            change("pump", true, "heard")
        );
    }

    #[test]
    fn after_an_outage_a_device_has_to_be_heard_of_anew() {
        let mut devices = Devices::new(10, None);
        devices.on_presence(at(0), "pump", true);
        devices.on_presence(at(0), "valve", true);
        devices.on_broker_lost(at(0));
        assert_eq!(devices.presence(at(9_000), "pump"), Presence::Unsure);
        assert_eq!(devices.on_presence(at(1), "pump", true), None);
        assert_eq!(devices.presence(at(9_000), "pump"), Presence::Online);
        assert_eq!(
            devices.on_presence(at(1), "valve", false),
            change("valve", false, "said so")
        );
    }

    #[test]
    fn a_device_whose_broker_ends_a_moment_after_its_will_may_be_there() {
        let mut devices = Devices::new(10, None);
        for device in ["pump", "valve"] {
            devices.on_presence(at(0), device, true);
        }
        devices.on_presence(at(1_000), "pump", false);
        assert_eq!(devices.presence(at(1_999), "pump"), Presence::Unsure);
        assert_eq!(devices.next_timeout(at(1_500)), Some(at(2_000)));
        assert_eq!(devices.presence(at(2_000), "pump"), Presence::Offline);
        devices.on_presence(at(2_500), "valve", false);
        devices.on_broker_lost(at(3_000));
        assert_eq!(devices.presence(at(9_000), "pump"), Presence::Offline);
        assert_eq!(devices.presence(at(9_000), "valve"), Presence::Unsure);
        // Who was told that it is gone is told that it is back.
        let back = devices.on_presence(at(9_000), "valve", true);
        assert_eq!(back, change("valve", true, "said so"));
    }

    #[test]
    fn more_devices_than_the_bound_push_out_only_who_is_away() {
        let mut devices = Devices::new(2, None);
        devices.on_presence(at(0), "a", true);
        devices.on_presence(at(1), "b", false);
        assert!(devices.on_presence(at(2), "c", true).is_some());
        assert_eq!(devices.presence(at(9_000), "b"), Presence::Offline);
        assert_eq!(devices.on_presence(at(3), "d", true), None);
        assert_eq!(devices.presence(at(9_000), "d"), Presence::Offline);
        assert_eq!(devices.all().count(), 2);
    }
}
