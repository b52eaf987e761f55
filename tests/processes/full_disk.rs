//! An agent whose disk is full goes on, and its record says what it lacks.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use longrein::NodeKind;

use super::fleet;
use super::pilot::Pilot;
use super::program::{self, Program};

/// A file system of its own for the agent's state, of 2 MB.
fn in_a_small_file_system(state: &Path, config: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=2m,mode=700 tmpfs \"$0\" && exec \"$1\" --config \"$2\"")
        .args([state, &program::path("longrein-agent"), config]);
    command
}

#[test]
fn a_full_disk_stops_no_drive_and_the_record_says_what_it_lacks() {
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: a file system of its own needs root");
        return;
    }
    let mut fleet = fleet::start(fleet::plan());
    fleet.kill_agent();
    let (state, config) = (
        fleet.folder().join("state"),
        fleet.folder().join("agent.toml"),
    );
    let mut agent = Program::run("longrein-agent", in_a_small_file_system(&state, &config));
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);

    // As the agent sees it.
    let inside = PathBuf::from(format!("/proc/{}/root", agent.id()));
    let inside = inside.join(state.strip_prefix("/").unwrap());
    let filler = inside.join("filler");
    fill(&filler);
    agent.says("record cannot be written");
    // Still driven.
    driver.drive(1_500);
    driver.drive(700);
    assert_eq!(driver.end().code, Some(0));

    fs::remove_file(filler).unwrap();
    agent.says("record can be written again");
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_200);
    assert_eq!(driver.end().code, Some(0));
    let kept = fleet.folder().join("kept");
    fs::create_dir(&kept).unwrap();
    for file in fs::read_dir(inside.join("record")).unwrap().flatten() {
        fs::copy(file.path(), kept.join(file.file_name())).unwrap();
    }
    drop(agent);

    let identity = fleet.identity(NodeKind::Agent, "truck-17").unwrap();
    let authority = identity.join("authority.pem");
    let mut arguments = vec!["record".into(), "verify".into(), "--authority".into()];
    arguments.extend([authority, kept]);
    let verified = Program::start("longrein", arguments).ended();
    assert_eq!(verified.code, Some(0), "{:?}", verified.stdout);
}

fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let error = loop {
        if let Err(error) = file.write_all(&[7; 512]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}
