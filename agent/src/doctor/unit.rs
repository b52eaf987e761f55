//! The agent's unit of systemd.

use std::collections::BTreeMap;

use super::asked::asked;
use super::finding::Finding;
use super::kernel::nice_of;

/// What systemd says of the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    active: String,
    result: String,
    file: String,
    restarts: u64,
    status: String,
    /// The nice value that its threads may go down to.
    pub(super) nice_min: i32,
}

impl Unit {
    /// None without systemd, and when it has no such unit.
    pub(super) fn look() -> Option<Unit> {
        let properties =
            "LoadState,ActiveState,Result,UnitFileState,NRestarts,StatusText,LimitNICE";
        Unit::read(&asked("systemctl", &["show", UNIT, "-p", properties])?)
    }

    fn read(said: &str) -> Option<Unit> {
        let facts: BTreeMap<&str, &str> = said
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let text = |key: &str| facts.get(key).map(ToString::to_string).unwrap_or_default();
        (text("LoadState") == "loaded").then(|| Unit {
            active: text("ActiveState"),
            result: text("Result"),
            file: text("UnitFileState"),
            restarts: text("NRestarts").parse().unwrap_or_default(),
            status: text("StatusText"),
            nice_min: nice_of(text("LimitNICE").parse().unwrap_or(u64::MAX)),
        })
    }
}

pub(super) fn findings(unit: Option<&Unit>) -> Vec<Finding> {
    vec![match unit {
        Some(unit) => finding(unit),
        None => Finding::ok("unit", format!("there is no {UNIT} here")),
    }]
}

fn finding(unit: &Unit) -> Finding {
    let check = "unit";
    let Unit {
        active,
        result,
        file,
        restarts,
        status,
        ..
    } = unit;
    match active.as_str() {
        "active" if *restarts > 0 => Finding::warn(
            check,
            format!("{UNIT} is active, and was started again {restarts} times: {status}"),
            format!("`journalctl -u {UNIT} -p warning` says why"),
        ),
        "active" if file == "disabled" => Finding::warn(
            check,
            format!("{UNIT} is active, and not started with the machine"),
            format!("run `systemctl enable {UNIT}`"),
        ),
        "active" => Finding::ok(check, format!("{UNIT} is active: {status}")),
        "failed" => Finding::fail(
            check,
            format!("{UNIT} has failed ({result})"),
            format!(
                "mend what fails here and in `journalctl -u {UNIT}`, then `systemctl start {UNIT}`"
            ),
        ),
        "activating" | "reloading" | "deactivating" => Finding::warn(
            check,
            format!("{UNIT} is {active}"),
            format!("look again; `journalctl -u {UNIT}` says what it waits for"),
        ),
        _ => Finding::warn(
            check,
            format!("{UNIT} is {active}"),
            format!("run `systemctl enable --now {UNIT}`"),
        ),
    }
}

const UNIT: &str = "longrein-agent.service";

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn said(active: &str, file: &str, restarts: u64) -> String {
        format!(
            "LoadState=loaded\nActiveState={active}\nResult=exit-code\nUnitFileState={file}\nNRestarts={restarts}\n\
             StatusText=drive: Nominal, held by controller/alice; 4 of 4 paths live\nLimitNICE=35\n"
        )
    }

    fn level(active: &str, file: &str, restarts: u64) -> Level {
        finding(&Unit::read(&said(active, file, restarts)).unwrap()).level
    }

    #[test]
    fn a_unit_that_failed_fails_and_one_that_starts_again_and_again_is_warned_of() {
        assert_eq!(level("active", "enabled", 0), Level::Ok);
        assert_eq!(level("active", "enabled", 3), Level::Warn);
        assert_eq!(level("active", "disabled", 0), Level::Warn);
        assert_eq!(level("inactive", "enabled", 0), Level::Warn);
        assert_eq!(level("activating", "enabled", 0), Level::Warn);
        assert_eq!(level("failed", "enabled", 5), Level::Fail);
    }

    #[test]
    fn what_systemd_says_is_read_whole() {
        let unit = Unit::read(&said("active", "enabled", 7)).unwrap();
        assert_eq!((unit.restarts, unit.nice_min), (7, -15));
        assert!(unit.status.ends_with("4 of 4 paths live"));
        assert_eq!(Unit::read("LoadState=not-found\n"), None);
        assert_eq!(Unit::read(""), None);
    }
}
