//! Waits for facts.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Calls `look` until it finds something; fails when the fact does not come in [`PATIENCE`].
pub fn until<T>(fact: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {fact}");
        sleep(LOOK_EVERY);
    }
}

/// For facts that come within seconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
