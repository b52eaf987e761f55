//! The time that has passed for sure, on disk: a clock that begins in 1970 makes no certificate valid that is over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use longrein_proto::base::MonoTime;
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
    let mut keeper = Keeper::new(clock::now(), fleet.time(EPOCH));
    let mut kept_s = kept(&file).unwrap_or_default();
    let mut is_told = false;
    loop {
        let time = keeper.look(clock::now(), clock::unix_time());
        // A clock that runs ahead for once must not keep this node out for ever.
        if time <= identity.not_after() {
            fleet.note_time(time);
            if time.as_secs() >= kept_s.saturating_add(APART_S) {
                match write(&file, time).await {
                    Ok(()) => (kept_s, is_told) = (time.as_secs(), false),
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

/// Tells how late it is for sure. A clock is believed when it has run as the monotonic one for a while: one that starts wrong is
/// set right by then.
struct Keeper {
    known: UnixTime,
    known_at: MonoTime,
    /// Since when the wall clock runs evenly, and its lead over the monotonic one in seconds.
    even: Option<(MonoTime, i64)>,
}

impl Keeper {
    fn new(now: MonoTime, known: UnixTime) -> Keeper {
        Keeper {
            known,
            known_at: now,
            even: None,
        }
    }

    fn look(&mut self, now: MonoTime, wall: UnixTime) -> UnixTime {
        let seconds = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let lead_s = seconds(wall.as_secs()).saturating_sub(seconds(now.as_us() / 1_000_000));
        let is_even = match self.even {
            Some((since, before_s)) if lead_s.abs_diff(before_s) <= JUMP_S => {
                now.since(since) >= BELIEVED_AFTER
            }
            Some(_) | None => {
                self.even = Some((now, lead_s));
                false
            }
        };
        let passed_s = now.since(self.known_at).as_secs();
        let by_now = Duration::from_secs(self.known.as_secs().saturating_add(passed_s));
        let by_now = UnixTime::since_unix_epoch(by_now);
        if !is_even || wall <= by_now {
            return by_now;
        }
        (self.known, self.known_at) = (wall, now);
        wall
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

const EPOCH: UnixTime = UnixTime::since_unix_epoch(Duration::ZERO);
/// Between looks at the clock.
const EVERY: Duration = Duration::from_secs(60);
/// How long a clock runs evenly before it is believed: a machine that starts has asked for the time by then.
const BELIEVED_AFTER: Duration = Duration::from_secs(600);
/// Seconds by which an even clock may be off what passed since it was looked at first.
const JUMP_S: u64 = 5;
/// Seconds by which what is written is later than what was: it wears out no disk.
const APART_S: u64 = 3_600;

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
    fn a_clock_that_starts_ahead_and_is_set_right_is_never_believed() {
        let at = |seconds: u64| {
            (
                MonoTime::from_us(seconds * 1_000_000),
                UnixTime::since_unix_epoch(Duration::from_secs(1_000_000 + seconds)),
            )
        };
        let (begin, known) = at(0);
        let mut keeper = Keeper::new(begin, known);
        let year = Duration::from_secs(31_536_000);
        let ahead =
            |wall: UnixTime| UnixTime::since_unix_epoch(Duration::from_secs(wall.as_secs()) + year);
        for seconds in [0, 60, 540] {
            let (now, wall) = at(seconds);
            assert_eq!(keeper.look(now, ahead(wall)), wall, "only what passed");
        }
        // Set right, and ahead again for good.
        let (now, wall) = at(600);
        assert_eq!(keeper.look(now, wall), wall);
        for seconds in [660, 720, 1_200] {
            let (now, wall) = at(seconds);
            assert_eq!(keeper.look(now, ahead(wall)), wall);
        }
        let (now, wall) = at(1_260);
        assert_eq!(keeper.look(now, ahead(wall)), ahead(wall));
        // It does not go back.
        let (now, wall) = at(1_320);
        assert_eq!(keeper.look(now, wall), ahead(wall));
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
