//! Other programs of the machine are asked.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a program says in time, if it is there and ends well.
pub(super) fn asked(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PATIENCE => sleep(LOOK_EVERY),
            Ok(None) | Err(_) => {
                // Both fail only when it has ended just now.
                drop(child.kill());
                drop(child.wait());
                return None;
            }
        }
    };
    let mut said = String::new();
    let stdout = child.stdout.take()?;
    stdout.take(BYTES_MAX).read_to_string(&mut said).ok()?;
    status.success().then_some(said)
}

/// A system that takes longer to say how it is does not work.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What fits a pipe: nobody reads before the end.
const BYTES_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_or_fails_says_nothing() {
        assert_eq!(asked("echo", &["well"]).as_deref(), Some("well\n"));
        assert_eq!(asked("false", &[]), None);
        assert_eq!(asked("no-such-program", &[]), None);
    }
}
