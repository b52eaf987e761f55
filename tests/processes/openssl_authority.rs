//! A fleet whose authority and papers an existing PKI made: here openssl, as docs/authority.md has it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use longrein::local_fleet::Folder;

use super::complaint::expect;
use super::program::Program;

/// Runs the commands of a block of docs/authority.md in a folder; false when there is no openssl.
fn run_block(folder: &Path, name: &str) -> bool {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/authority.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```sh {name}\n")).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    match Command::new("openssl").arg("version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "SKIPPED: there is no openssl on this machine: install it to test docs/authority.md"
            );
            return false;
        }
        version => assert!(version.unwrap().status.success()),
    }
    let script = format!("set -eu\n{block}");
    let done = Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    true
}

fn identity(folder: &Path, name: &str) -> PathBuf {
    let identity = folder.join(name);
    let mode = fs::metadata(identity.join("node.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
    identity
}

#[test]
fn nodes_that_openssl_certified_drive_and_a_wrong_name_is_refused() {
    let folder = Folder::new().unwrap();
    if !run_block(folder.path(), "openssl") {
        return;
    }
    let of = |name: &str| identity(folder.path(), name).display().to_string();
    let relay = ["--identity", &of("relay-east"), "--listen", "127.0.0.1:0"];
    let mut relay = Program::start("longrein-relay", relay);
    let ready = relay.says("relay ready");
    let (_, address) = ready.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap().trim_matches('"');
    let config = folder.path().join("truck-17.toml");
    let text = format!(
        "state_directory = {:?}\nidentity = {{ directory = {:?} }}\nrelay = [{{ name = \"east\", address = \"{address}\" }}]\n\
         function = [{{ name = \"drive\", adapter = {{ kind = \"sim\" }} }}]\n\
         allow = [{{ who = [\"group/yard\"], may = [\"observe\"] }}]\n",
        folder.path().join("state"),
        of("agent-truck-17"),
    );
    fs::write(&config, text).unwrap();
    let _agent = Program::start(
        "longrein-agent",
        ["--config", &config.display().to_string()],
    );
    relay.says("node is here node=agent/truck-17");
    let relay_of = |name: &str| format!("{name}={address}");
    let alice = of("controller-alice");
    let east = relay_of("east");
    let watch = ["watch", "truck-17", "--identity", &alice, "--relay", &east];
    Program::start("longrein", watch).prints("drive");

    // The relay's certificate names it: under another name it is not the one that is wanted.
    let west = relay_of("west");
    let arguments = ["vehicles", "--identity", &alice, "--relay", &west].map(String::from);
    expect("longrein", &arguments, 3, &["it names another node"]);
}
