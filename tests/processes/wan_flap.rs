//! A link comes and goes while somebody drives.

use longrein_tests::wan::{FlappedDrive, Flaps, WanFleet};

use super::fleet::plan;
use super::network::network;
use super::rounds::rounds_or;

#[test]
fn a_link_that_flaps_costs_no_command_and_leaves_no_file_open() {
    let Some(wan) = network(&FlappedDrive::nodes()) else {
        return;
    };
    let (chance, flaps) = rounds_or(FLAPS);
    let fleet = WanFleet::start_with_links(wan, plan(), FlappedDrive::LINKS).unwrap();
    let flapping = Flaps {
        interface: "wwan0".into(),
        chance,
        count_max: flaps,
        long_stays: 0.1,
    };
    let driven = FlappedDrive::run(fleet, flapping, 4, |_, done| done < flaps).unwrap();
    let FlappedDrive {
        sent,
        files,
        resident_kib,
        ..
    } = driven;
    eprintln!("{flaps} flaps, {sent} commands, files {files:?}, resident {resident_kib:?} KiB");
    let over_the_modem = |link: &Option<String>| link.as_deref() == Some("modem-wwan0");
    assert!(
        driven
            .applied
            .iter()
            .any(|command| over_the_modem(&command.link))
    );
    assert_eq!(driven.lost(), 0);
    assert_eq!(files.1, files.0);
    let most = resident_kib.0 + RESIDENT_GROWTH_KIB_MAX;
    assert!(resident_kib.1 < most, "{resident_kib:?}");
}

/// `./dev soak` has 1,000 of them.
const FLAPS: u64 = 50;
/// What the allocator may take and keep; 1,000 connections that were not given back would be 30 MiB.
const RESIDENT_GROWTH_KIB_MAX: u64 = 4_096;
