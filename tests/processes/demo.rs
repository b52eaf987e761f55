//! The demo, as its users run it.

use std::fs;
use std::process::Command;

use longrein::Exit;
use longrein::local_fleet::Folder;
use rustix::process::Signal;
use serde_json::Value;

use super::program::{Program, path};
use super::until::until;

#[test]
fn the_demo_loses_nothing_says_so_in_its_last_line_and_leaves_nothing_behind() {
    let folder = Folder::new().unwrap();
    let ended = start(&folder).ended();
    let last = ended.stdout.last().unwrap();
    let report: Value = serde_json::from_str(last).unwrap();
    let count = |name: &str| {
        report[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {last}"))
    };
    assert_eq!(count("sent"), 1_000);
    assert_eq!((count("lost"), count("twice")), (0, 0), "{last}");
    let sum = count("applied") + count("superseded") + count("lost") + count("late");
    assert_eq!(count("sent"), sum, "{last}");
    // A command may come late where the machine is busy, and the demo says so.
    let expected = if count("late") == 0 {
        Exit::Done
    } else {
        Exit::Failed
    };
    assert_eq!(ended.code, Some(expected.code().into()), "{last}");
    assert!(count("relay_killed_at_ms") >= 7_000, "{last}");
    assert!(count("link_cut_at_ms") >= 13_000, "{last}");
    assert!(report["longest_gap_ms"].is_number(), "{last}");
    for share in ["p50", "p99", "max"] {
        assert!(report["delay_ms"][share].is_number(), "{last}");
    }
    assert_eq!(report["stages"][0], "Nominal", "{last}");
    nothing_is_left(&folder);
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let folder = Folder::new().unwrap();
    let mut demo = start(&folder);
    demo.says("sent 50");
    assert_eq!(processes(&folder).len(), 3, "two relays and an agent");
    demo.signal(Signal::INT);
    let ended = demo.ended();
    assert_eq!(ended.code, Some(Exit::Failed.code().into()));
    assert!(ended.stderr.last().unwrap().contains("interrupted"));
    nothing_is_left(&folder);
}

fn start(folder: &Folder) -> Program {
    let mut command = Command::new(path("longrein"));
    command
        .args(["demo", "--json"])
        .env("TMPDIR", folder.path());
    Program::run("longrein demo", command)
}

fn nothing_is_left(folder: &Folder) {
    // A killed relay may still be on its way out of the process table.
    until("every process of the demo is gone", || {
        processes(folder).is_empty().then_some(())
    });
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");
}

/// Command lines of the processes that use files of this folder.
fn processes(folder: &Folder) -> Vec<String> {
    let folder = folder.path().display().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&folder)).collect()
}
