//! One precise wake-up.

use longrein_proto::base::MonoTime;
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::cell::Cell;
use std::io;
use tokio::io::unix::AsyncFd;

/// A timer on the same clock as [`crate::clock::now`]. The kernel wakes to some tens of microseconds; the runtime's own
/// timers tick at 1 ms, which is a whole step of a leg's spacing.
pub(crate) struct Timer {
    descriptor: AsyncFd<OwnedFd>,
    armed: Cell<Option<MonoTime>>,
}

impl Timer {
    /// A timer that is not armed.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub(crate) fn new() -> io::Result<Timer> {
        let descriptor = timerfd_create(
            TimerfdClockId::Boottime,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that do not keep their descriptor; `OwnedFd` keeps it"
        )]
        let descriptor = AsyncFd::new(descriptor)?;
        Ok(Timer {
            descriptor,
            armed: Cell::new(None),
        })
    }

    /// Wakes at `deadline` at the latest. An earlier wake-up that was asked for before stays: the role then says what is
    /// really due, and most deadlines only move later, so that most packets cost no system call here.
    pub(crate) fn arm(&self, deadline: Option<MonoTime>) {
        let Some(deadline) = deadline else { return };
        if self.armed.get().is_some_and(|armed| armed <= deadline) {
            return;
        }
        if timerfd_settime(
            self.descriptor.get_ref(),
            TimerfdTimerFlags::ABSTIME,
            &at(deadline),
        )
        .is_ok()
        {
            self.armed.set(Some(deadline));
        }
    }

    /// Waits until the armed point is reached.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub(crate) async fn expired(&self) -> io::Result<()> {
        loop {
            let mut ready = self.descriptor.readable().await?;
            let mut count = [0; 8];
            let read = rustix::io::read(self.descriptor.get_ref(), &mut count);
            // It is empty now either way: nobody has to ask the kernel a second time.
            ready.clear_ready();
            if read.is_ok() {
                self.armed.set(None);
                return Ok(());
            }
        }
    }
}

fn at(deadline: MonoTime) -> Itimerspec {
    // Zero would disarm the timer.
    let us = deadline.as_us().max(1);
    let seconds = i64::try_from(us / 1_000_000).unwrap_or(i64::MAX);
    let nanos = i64::try_from((us % 1_000_000) * 1_000).unwrap_or(0);
    Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: seconds,
            tv_nsec: nanos,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, runtime};
    use std::time::Duration;

    #[test]
    fn it_wakes_after_its_deadline_and_only_then() {
        runtime::run(async || {
            let timer = Timer::new().unwrap();
            let deadline = clock::now() + Duration::from_millis(5);
            timer.arm(Some(deadline + Duration::from_secs(3_600)));
            timer.arm(Some(deadline));
            timer.expired().await.unwrap();
            assert!(clock::now() >= deadline);
        })
        .unwrap();
    }

    #[test]
    fn a_deadline_in_the_past_wakes_at_once() {
        runtime::run(async || {
            let timer = Timer::new().unwrap();
            timer.arm(Some(MonoTime::ZERO));
            timer.expired().await.unwrap();
        })
        .unwrap();
    }
}
