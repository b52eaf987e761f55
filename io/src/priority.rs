//! Which thread runs when more want to than there are processors.

use rustix::process::setpriority_process;

/// Has the calling thread run before others, and those that it starts from now on, as far as the system allows: root may, and a unit with
/// `LimitNICE=`. The log says whether it does. A nice value counts within a control group; between groups `CPUWeight=` does.
pub fn go_first(thread: &'static str, nice: i32) {
    // On Linux a nice value belongs to the calling thread (setpriority(2), "C library/kernel differences").
    match setpriority_process(None, nice) {
        Ok(()) => tracing::info!(
            thread,
            nice,
            "thread runs before others of its control group"
        ),
        Err(why) => tracing::info!(thread, %why, "thread runs at normal priority"),
    }
}
