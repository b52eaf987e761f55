//! The time that has passed for sure, on disk: a clock that begins in 1970 makes no certificate valid that is over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::UnixTime;
use tokio::time::sleep;

use crate::clock;
use crate::date;
use crate::files::{self, FileError, write_atomic};
use crate::keys::Identity;

/// In the folder of an identity: seconds since 1970, as text.
pub const TIME_FILE: &str = "time";

/// How late it is at least: the time that was kept last in this folder, or that of this build if it is later.
// [WIRE-149]
pub fn read(directory: &Path) -> UnixTime {
    let file = directory.join(TIME_FILE);
    let kept_s = match kept(&file) {
        Ok(kept_s) => kept_s,
        Err(why) => {
            tracing::warn!(file = %file.display(), %why, "the time that was kept last is unknown");
            0
        }
    };
    built().max(UnixTime::since_unix_epoch(Duration::from_secs(kept_s)))
}

/// How late it is at least where nothing was kept.
pub(crate) fn built() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(clock::BUILT_S))
}

/// Keeps the time for certificates of a running program in this folder, and has it go on while the clock is behind.
// [WIRE-149]
pub async fn keep(identity: Identity, directory: PathBuf) {
    let fleet = identity.fleet();
    let file = directory.join(TIME_FILE);
    let mut known = fleet.time(clock::unix_time());
    let mut known_at = clock::now();
    let mut kept_s = kept(&file).unwrap_or_default();
    let mut is_told = false;
    loop {
        let passed = clock::now().since(known_at).as_secs();
        let by_now = Duration::from_secs(known.as_secs().saturating_add(passed));
        let now = fleet
            .time(clock::unix_time())
            .max(UnixTime::since_unix_epoch(by_now));
        // A clock that runs ahead for once must not keep this node out for ever.
        if now <= identity.not_after() {
            (known, known_at) = (now, clock::now());
            fleet.note_time(now);
            if now.as_secs() >= kept_s.saturating_add(APART_S) {
                match write(&file, now).await {
                    Ok(()) => (kept_s, is_told) = (now.as_secs(), false),
                    Err(why) if !is_told => {
                        is_told = true;
                        tracing::warn!(%why, "the time is not kept: after a restart the clock has to be right");
                    }
                    Err(_) => {}
                }
            }
        }
        sleep(EVERY).await;
    }
}

/// A remark for messages about validity where not the clock says how late it is, else nothing.
pub(crate) fn remark(clock: UnixTime, now: UnixTime) -> String {
    if clock < now {
        let clock = date::utc(clock);
        format!(" by what this machine has seen before, and its clock is behind ({clock})")
    } else {
        String::new()
    }
}

async fn write(file: &Path, now: UnixTime) -> Result<(), FileError> {
    let file = file.to_path_buf();
    let text = format!("{}\n", now.as_secs());
    let written = tokio::task::spawn_blocking(move || write_atomic(&file, text.as_bytes()));
    // It ends early with its runtime only.
    written.await.unwrap_or(Ok(()))
}

/// 0 where nothing was kept.
fn kept(file: &Path) -> Result<u64, String> {
    match files::read(file) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            text.trim()
                .parse()
                .map_err(|_| "no time is in it".to_string())
        }
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.to_string()),
    }
}

/// Between looks at the clock.
const EVERY: Duration = Duration::from_secs(3_600);
/// Seconds by which what is written is later than what was: a program that is started again and again wears out no disk.
const APART_S: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(test: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("longrein-time-{test}-{}", std::process::id()));
        files::make_private_directory(&path).unwrap();
        path
    }

    // [WIRE-149]
    #[test]
    fn it_is_as_late_as_was_kept_and_never_earlier_than_the_build() {
        let folder = folder("read");
        assert_eq!(read(&folder), built());
        for (text, expected_s) in [
            ("7\n", clock::BUILT_S),
            ("4000000000\n", 4_000_000_000),
            ("4000000000", 4_000_000_000),
            ("", clock::BUILT_S),
            ("soon\n", clock::BUILT_S),
            ("99999999999999999999999\n", clock::BUILT_S),
        ] {
            fs::write(folder.join(TIME_FILE), text).unwrap();
            assert_eq!(read(&folder).as_secs(), expected_s, "{text:?}");
        }
        fs::write(folder.join(TIME_FILE), [0xff; 9]).unwrap();
        assert_eq!(read(&folder), built());
        fs::remove_dir_all(folder).unwrap();
    }
}
