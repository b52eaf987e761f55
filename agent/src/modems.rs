//! The signal of modems, for the log and the status. It is a reading and no more: how good a link is, its packets say sooner and better.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::pending;
use std::io;

use longrein_io::sections::LinkSection;
use longrein_proto::base::Name;
use tokio::sync::watch::Receiver;

/// How well a modem hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModemSignal {
    /// Its network interface.
    pub interface: String,
    /// Its quality, 0 to 100.
    pub percent: u8,
    /// Whether it was measured a moment ago.
    pub is_recent: bool,
}

/// The newest signals, and the links that they are of.
pub(crate) struct Modems {
    told: Receiver<Vec<ModemSignal>>,
    links: Vec<LinkSection>,
    logged: BTreeMap<String, u8>,
}

impl Modems {
    /// Nobody tells anything where the program is built without `modem-manager`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn watch(links: &[LinkSection]) -> io::Result<Modems> {
        #[cfg(feature = "modem-manager")]
        let told = crate::modem_manager::watch()?;
        #[cfg(not(feature = "modem-manager"))]
        let told = tokio::sync::watch::channel(Vec::new()).1;
        Ok(Modems::new(told, links))
    }

    fn new(told: Receiver<Vec<ModemSignal>>, links: &[LinkSection]) -> Modems {
        Modems {
            told,
            links: links.to_vec(),
            logged: BTreeMap::new(),
        }
    }

    fn link_on(&self, interface: &str) -> Option<Name> {
        self.links.iter().find_map(|link| link.link_on(interface))
    }

    /// Waits for news, and logs what is much better or worse than before.
    pub(crate) async fn news(&mut self) {
        if self.told.changed().await.is_err() {
            return pending().await;
        }
        let signals = self.told.borrow_and_update().clone();
        for signal in signals {
            let Some(link) = self.link_on(&signal.interface) else {
                continue;
            };
            let before = self.logged.get(&signal.interface);
            let percent = signal.percent;
            if before.is_none_or(|before| before.abs_diff(percent) >= LOGGED_POINTS) {
                tracing::info!(%link, signal_percent = percent, is_recent = signal.is_recent, "signal of a modem");
                self.logged.insert(signal.interface, percent);
            }
        }
    }

    /// For the status: `; modem-1 hears 43 %`.
    pub(crate) fn shown(&self) -> String {
        let mut shown = String::new();
        for signal in self.told.borrow().iter() {
            if let Some(link) = self.link_on(&signal.interface) {
                // A String takes everything.
                let _ = write!(shown, "; {link} hears {} %", signal.percent);
            }
        }
        shown
    }
}

/// Points of a hundred by which a signal changes before it is logged again: a vehicle that drives hears a little more or less all the
/// time.
const LOGGED_POINTS: u8 = 20;

#[cfg(test)]
mod tests {
    use tokio::sync::watch::channel;

    use super::*;

    #[test]
    fn a_signal_is_shown_with_its_link_and_that_of_another_modem_is_not() {
        let link = LinkSection {
            name: "modem-1".parse().unwrap(),
            interface: Some("wwan0".to_string()),
            count_max: None,
            address: None,
            budget_kbit_s: 1_000,
            daily_mb: None,
            daily_telemetry_percent: None,
            daily_warn_percent: None,
            relay_addresses: BTreeMap::new(),
        };
        let (tell, told) = channel(Vec::new());
        let pattern = LinkSection {
            name: "spare".parse().unwrap(),
            interface: Some("usb*".to_string()),
            ..link.clone()
        };
        let modems = Modems::new(told, &[link, pattern]);
        assert_eq!(modems.shown(), "");
        let signal = |interface: &str, percent| ModemSignal {
            interface: interface.to_string(),
            percent,
            is_recent: true,
        };
        tell.send_replace(vec![
            signal("wwan0", 43),
            signal("wwan1", 80),
            signal("usb7", 9),
        ]);
        assert_eq!(modems.shown(), "; modem-1 hears 43 %; spare-usb7 hears 9 %");
    }
}
