//! The folders of the identity and of the state: whose they are, and what may be done in them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use longrein_io::keys::KEY_FILE;
use rustix::fs::{Access, AtFlags, CWD, accessat, major, minor, statvfs};
use rustix::process::geteuid;

use super::finding::Finding;
use crate::config::Config;

/// What is known of a folder that is there.
#[derive(Clone, Debug)]
struct Facts {
    is_folder: bool,
    mode: u32,
    owner: u32,
    /// Who looks.
    me: u32,
    may_write: bool,
    /// The process that has it locked.
    used_by: Option<u32>,
    free_mb: u64,
}

impl Facts {
    /// None when the folder is not there.
    fn look(folder: &Path) -> Result<Option<Facts>, String> {
        let metadata = match fs::metadata(folder) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let (device, inode) = (metadata.dev(), metadata.ino());
        let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
        let free = statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        Ok(Some(Facts {
            is_folder: metadata.is_dir(),
            mode: metadata.mode() & 0o777,
            owner: metadata.uid(),
            me: geteuid().as_raw(),
            may_write: accessat(CWD, folder, wanted, AtFlags::EACCESS).is_ok(),
            used_by: locked_by(&locks, &place),
            free_mb: free.unwrap_or(u64::MAX) >> 20,
        }))
    }
}

/// The folder of the identity. What is in it is read, and judged, with the identity.
pub(super) fn identity(folder: &Path) -> Vec<Finding> {
    let shown = folder.display().to_string();
    let check = "identity folder";
    let found = match Facts::look(folder) {
        Ok(Some(facts)) => identity_finding(&shown, &facts),
        Ok(None) => Finding::fail(
            check,
            format!("{shown} is not there"),
            "enrol this machine (`longrein-agent enroll`), or name the right folder (--identity, [identity] directory)",
        ),
        Err(why) => Finding::fail(
            check,
            format!("{shown}: {why}"),
            "run this as the agent's user, or root",
        ),
    };
    vec![found]
}

fn identity_finding(shown: &str, facts: &Facts) -> Finding {
    let check = "identity folder";
    let mode = facts.mode;
    if mode & 0o022 != 0 {
        let what = format!("others may replace the key in {shown} (mode {mode:03o})");
        return Finding::fail(check, what, format!("run `chmod 700 {shown}`"));
    }
    if facts.owner != 0 && facts.owner != facts.me && facts.me != 0 {
        let what = format!("{shown} is another user's ({})", facts.owner);
        return Finding::warn(
            check,
            what,
            "run this as the agent's user, or give it the folder (`chown`)",
        );
    }
    if mode & 0o055 != 0 {
        let what = format!(
            "others may look into {shown} (mode {mode:03o}); {KEY_FILE} is read by its owner only"
        );
        return Finding::warn(check, what, format!("run `chmod 700 {shown}`"));
    }
    Finding::ok(check, format!("{shown} is its owner's alone"))
}

/// The folder of what must be known after a restart.
pub(super) fn state(config: &Config) -> Vec<Finding> {
    let folder = &config.state_directory;
    let shown = folder.display().to_string();
    let check = "state folder";
    let found = match Facts::look(folder) {
        Ok(Some(facts)) => state_finding(&shown, &facts, config.record.max_mb),
        Ok(None) => Finding::ok(
            check,
            format!("{shown} is not there: the agent makes it at its first start"),
        ),
        Err(why) => Finding::fail(
            check,
            format!("{shown}: {why}"),
            "run this as the agent's user, or root",
        ),
    };
    vec![found]
}

fn state_finding(shown: &str, facts: &Facts, record_mb: u64) -> Finding {
    let check = "state folder";
    let mode = facts.mode;
    if !facts.is_folder {
        let what = format!("{shown} is no folder");
        return Finding::fail(
            check,
            what,
            "name another `state_directory`, or remove the file",
        );
    }
    if mode & 0o022 != 0 {
        let what = format!("others may change the fencing tokens in {shown} (mode {mode:03o})");
        return Finding::fail(check, what, format!("run `chmod 700 {shown}`"));
    }
    if !facts.may_write {
        let what = format!("{shown} cannot be written to by this user");
        let advice = format!(
            "run this as the agent's user; if it is that, `chown` {shown}, or mount its disk for writing"
        );
        return Finding::fail(check, what, advice);
    }
    let wanted_mb = record_mb.saturating_add(STATE_MB);
    if facts.free_mb < wanted_mb {
        let what = format!(
            "{} MB are free for {shown}, and the state and its record may need {wanted_mb}",
            facts.free_mb
        );
        let advice = "make room, or lower `max_mb` in [record]: without room no lease is granted";
        return Finding::warn(check, what, advice);
    }
    match facts.used_by {
        Some(pid) => Finding::ok(
            check,
            format!("{shown} is in use by process {pid}, an agent that runs"),
        ),
        None => Finding::ok(
            check,
            format!("{shown} can be written to, and no agent uses it now"),
        ),
    }
}

/// The process that has locked this place (device and inode), by `/proc/locks`: to look there disturbs nobody.
fn locked_by(locks: &str, place: &str) -> Option<u32> {
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, locked, ..] = words[..] else {
            return None;
        };
        (locked == place).then(|| pid.parse().ok())?
    };
    locks.lines().find_map(of_line)
}

/// For tokens, ids and revocations, each written beside the one before.
const STATE_MB: u64 = 8;

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const GOOD: Facts = Facts {
        is_folder: true,
        mode: 0o700,
        owner: 999,
        me: 999,
        may_write: true,
        used_by: None,
        free_mb: 10_000,
    };

    #[test]
    fn a_key_that_others_may_replace_fails_and_what_they_may_see_is_warned_of() {
        for (mode, level) in [
            (0o700, Level::Ok),
            (0o500, Level::Ok),
            (0o755, Level::Warn),
            (0o750, Level::Warn),
            (0o770, Level::Fail),
            (0o702, Level::Fail),
        ] {
            let found = identity_finding("/etc/longrein/agent", &Facts { mode, ..GOOD });
            assert_eq!(found.level, level, "{mode:o}");
        }
    }

    #[test]
    fn an_identity_of_another_user_is_warned_of_unless_it_is_roots_or_root_looks() {
        for (owner, me, level) in [
            (1_000, 999, Level::Warn),
            (0, 999, Level::Ok),
            (999, 0, Level::Ok),
        ] {
            let found = identity_finding("keys", &Facts { owner, me, ..GOOD });
            assert_eq!(found.level, level, "{owner} {me}");
        }
    }

    #[test]
    fn a_state_that_cannot_be_kept_fails_and_a_full_disk_is_warned_of() {
        let judged = |facts| state_finding("state", &facts, 64);
        for facts in [
            Facts {
                is_folder: false,
                ..GOOD
            },
            Facts {
                may_write: false,
                ..GOOD
            },
            Facts {
                mode: 0o777,
                ..GOOD
            },
        ] {
            assert_eq!(judged(facts).level, Level::Fail);
        }
        assert_eq!(
            judged(Facts {
                free_mb: 71,
                ..GOOD
            })
            .level,
            Level::Warn
        );
        assert_eq!(
            judged(Facts {
                free_mb: 72,
                ..GOOD
            })
            .level,
            Level::Ok
        );
        let used_by = Some(4_711);
        let used = judged(Facts { used_by, ..GOOD });
        assert!(used.what.contains("process 4711"), "{}", used.what);
        assert_eq!(used.level, Level::Ok);
    }

    #[test]
    fn a_lock_is_known_by_its_place() {
        let locks = "1: POSIX  ADVISORY  WRITE 12 fe:00:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 34 fe:00:770 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 36 fe:00:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 35 fe:00:77 0 EOF\n";
        assert_eq!(locked_by(locks, "fe:00:77"), Some(35));
        assert_eq!(locked_by(locks, "fe:00:7"), None);
        assert_eq!(locked_by("", "fe:00:77"), None);
    }

    #[test]
    fn the_lock_of_a_state_in_use_is_seen() {
        let folder = std::env::temp_dir().join(format!("longrein-doctor-{}", std::process::id()));
        let state = crate::state::State::open(&folder).unwrap();
        let used_by = Facts::look(&folder).unwrap().unwrap().used_by;
        assert_eq!(used_by, Some(std::process::id()));
        drop(state);
        assert_eq!(Facts::look(&folder).unwrap().unwrap().used_by, None);
        fs::remove_dir_all(&folder).unwrap();
        assert!(Facts::look(&folder).unwrap().is_none());
    }
}
