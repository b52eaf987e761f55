//! Links with a budget for each day: what their sockets carry goes to the role, and what the role counted to the disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use longrein_io::dial::Route;
use longrein_io::drive::Driver;
use longrein_io::files::{FileError, write_atomic};
use longrein_io::sections::LinkSection;
use longrein_proto::base::{MonoTime, Name};
use longrein_proto::path::Reading;
use longrein_proto::role::{Agent, MeterView};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_blocking};

/// What links may carry in a day, and what was written of them last.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    links: Vec<LinkSection>,
    kept: BTreeMap<Name, Reading>,
}

/// The file in the state directory, and who writes it.
pub(crate) struct Metering {
    file: PathBuf,
    plans: Rc<RefCell<Plans>>,
    writing: Option<JoinHandle<Result<(), FileError>>>,
    /// Whether it was told that the disk takes nothing.
    is_told: bool,
}

/// One link's line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    link: String,
    /// Days since 1970.
    day: u64,
    used_bytes: u64,
    is_final: bool,
}

impl Plans {
    /// These are the sections of links now; those before.
    pub(crate) fn replace_links(&mut self, links: &[LinkSection]) -> Vec<LinkSection> {
        std::mem::replace(&mut self.links, links.to_vec())
    }

    /// Whether a link has a budget for each day.
    pub(crate) fn has_any(&self) -> bool {
        self.links.iter().any(|link| link.daily_mb.is_some())
    }

    /// Puts the plans of these links in force. Each interface that a pattern stands for has the whole of it: a modem has a contract of
    /// its own.
    pub(crate) fn apply(&self, now: MonoTime, agent: &mut Agent, routes: &[Route]) {
        for Route { link, bind, .. } in routes {
            let is_on = |section: &&LinkSection| {
                let on = bind.interface().and_then(|name| section.link_on(name));
                on.as_ref() == Some(link)
            };
            let named = self.links.iter().find(|section| section.name == *link);
            let section = named.or_else(|| self.links.iter().find(is_on));
            // It was checked as the configuration was.
            let plan = section.and_then(|section| section.daily_plan().ok().flatten());
            let kept = self.kept.get(link).copied();
            agent.set_link_plan(now, link.clone(), plan, kept);
        }
    }
}

impl Metering {
    /// Reads what was kept. What cannot be read is as if nothing had been used, with a warning.
    pub(crate) fn open(state_directory: &Path, links: &[LinkSection]) -> Metering {
        let file = state_directory.join(METERS_FILE);
        let kept = read(&file).unwrap_or_else(|why| {
            tracing::warn!(file = %file.display(), %why, "what links have used today is unknown, and counted from nothing");
            BTreeMap::new()
        });
        let links = links.to_vec();
        Metering {
            file,
            plans: Rc::new(RefCell::new(Plans { links, kept })),
            writing: None,
            is_told: false,
        }
    }

    /// What links may carry, for whoever changes them.
    pub(crate) fn plans(&self) -> Rc<RefCell<Plans>> {
        Rc::clone(&self.plans)
    }

    /// Tells the role what the sockets have counted, and writes when enough has changed.
    pub(crate) async fn work(&mut self, driver: &Driver<Agent>, wire_bytes: &[(Name, u64)]) {
        count(driver, wire_bytes);
        if self
            .writing
            .as_ref()
            .is_some_and(|writing| !writing.is_finished())
        {
            return;
        }
        if let Some(writing) = self.writing.take() {
            self.on_written(writing.await.unwrap_or(Ok(())));
        }
        if let Some(readings) = driver.with(|agent, _| agent.readings_due()) {
            let (file, text) = (self.file.clone(), self.text(readings));
            self.writing = Some(spawn_blocking(move || write_atomic(&file, text.as_bytes())));
        }
    }

    /// Writes what is to be known after a restart, at the end.
    pub(crate) async fn finish(mut self, driver: &Driver<Agent>, wire_bytes: &[(Name, u64)]) {
        count(driver, wire_bytes);
        if let Some(writing) = self.writing.take() {
            self.on_written(writing.await.unwrap_or(Ok(())));
        }
        let readings = driver.with(|agent, _| agent.last_readings());
        if !readings.is_empty() {
            let text = self.text(readings);
            let written = write_atomic(&self.file, text.as_bytes());
            self.on_written(written);
        }
    }

    fn on_written(&mut self, written: Result<(), FileError>) {
        match written {
            Err(why) if !self.is_told => {
                tracing::warn!(%why, "what links have used today is not kept over a restart");
                self.is_told = true;
            }
            Err(_) => {}
            Ok(()) => self.is_told = false,
        }
    }

    /// The file's text, with these readings and those of links that are not metered now.
    fn text(&mut self, readings: Vec<(Name, Reading)>) -> String {
        let kept = &mut self.plans.borrow_mut().kept;
        kept.extend(readings);
        while kept.len() > LINKS_KEPT_MAX {
            let oldest = kept.iter().min_by_key(|(_, reading)| reading.day);
            let Some(oldest) = oldest.map(|(link, _)| link.clone()) else {
                break;
            };
            kept.remove(&oldest);
        }
        let line = |(link, reading): (&Name, &Reading)| Kept {
            link: link.to_string(),
            day: reading.day,
            used_bytes: reading.used_bytes,
            is_final: reading.is_final,
        };
        let lines: Vec<Kept> = kept.iter().map(line).collect();
        serde_json::to_string_pretty(&lines).expect("names and numbers")
    }
}

/// Megabytes, for people.
pub(crate) fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// For the service manager: `modem-1: 410 of 500 MB today`.
pub(crate) fn shown(meter: &MeterView) -> String {
    format!(
        "{}: {} of {} MB today",
        meter.link,
        megabytes(meter.used_bytes),
        megabytes(meter.plan.bytes)
    )
}

fn count(driver: &Driver<Agent>, wire_bytes: &[(Name, u64)]) {
    driver.with(|agent, now| {
        for (link, total) in wire_bytes {
            agent.on_counted(now, link, *total);
        }
    });
}

fn read(file: &Path) -> Result<BTreeMap<Name, Reading>, String> {
    let text = match std::fs::metadata(file) {
        Ok(about) if about.len() > FILE_BYTES_MAX => return Err("it is too long".to_string()),
        Ok(_) => std::fs::read_to_string(file).map_err(|error| error.to_string())?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.to_string()),
    };
    let lines: Vec<Kept> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let parse = |kept: Kept| {
        let link: Name = kept
            .link
            .parse()
            .map_err(|_| "no name of a link".to_string())?;
        let reading = Reading {
            day: kept.day,
            used_bytes: kept.used_bytes,
            is_final: kept.is_final,
        };
        Ok((link, reading))
    };
    lines.into_iter().map(parse).collect()
}

/// How often the role hears what the sockets have counted: what goes within is estimated.
pub(crate) const COUNTED_EVERY: Duration = Duration::from_secs(1);
/// In the state directory.
const METERS_FILE: &str = "meters.json";
/// Links whose day is kept, also while they are not metered: those of a few configurations.
const LINKS_KEPT_MAX: usize = 64;
/// Bytes of the file: ten times what so many links take.
const FILE_BYTES_MAX: u64 = 128 * 1024;

#[cfg(test)]
mod tests {
    use longrein_proto::path::{Carries, DailyPlan};

    use super::*;

    fn folder(test: &str) -> PathBuf {
        let name = format!("longrein-meters-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn reading(day: u64) -> Reading {
        Reading {
            day,
            used_bytes: day * 7,
            is_final: day.is_multiple_of(2),
        }
    }

    #[test]
    fn a_metered_link_is_shown_in_megabytes() {
        let meter = MeterView {
            link: "modem-1".parse().unwrap(),
            plan: DailyPlan {
                bytes: 500_000_000,
                telemetry_percent: 80,
                warn_percent: 80,
            },
            used_bytes: 410_999_999,
            carries: Carries::Control,
        };
        assert_eq!(shown(&meter), "modem-1: 410 of 500 MB today");
    }

    // [SAFE-110]
    #[test]
    fn what_was_written_is_read_back_and_what_cannot_be_read_counts_as_nothing() {
        let folder = folder("kept");
        let open = || Metering::open(&folder, &[]);
        let kept = |metering: &Metering| metering.plans.borrow().kept.clone();
        let mut metering = open();
        assert!(kept(&metering).is_empty());
        let link = |number: u64| -> Name { format!("modem-{number}").parse().unwrap() };
        let readings = (0..100).map(|number| (link(number), reading(number)));
        let text = metering.text(readings.collect());
        write_atomic(&metering.file, text.as_bytes()).unwrap();

        let again = kept(&open());
        assert_eq!(again, kept(&metering));
        assert_eq!(again.len(), LINKS_KEPT_MAX, "the newest days");
        assert_eq!(again.get(&link(99)), Some(&reading(99)));
        assert_eq!(again.get(&link(35)), None);

        for wrong in [
            "",
            "[",
            "[{}]",
            "{\"link\": 1}",
            &text.replace("modem-99", "A B"),
        ] {
            std::fs::write(&metering.file, wrong).unwrap();
            assert!(read(&metering.file).is_err(), "{wrong}");
            assert!(kept(&open()).is_empty());
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
