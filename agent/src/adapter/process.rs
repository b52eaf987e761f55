//! A child process as a device: JSON lines on its standard input and output.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use longrein_proto::base::{MonoTime, Refusal};
use longrein_proto::control::{Applied, Output};
use longrein_proto::wire::{Body, Telemetry};
use rustix::event::PollFd;
use tracing::{info, warn};

use super::config::ProcessConfig;
use super::pipe::{Next, Pipe};
use super::word::{Answer, Word};
use super::{Adapter, READS_PER_TURN_MAX, Taken};

/// Keeps a child running, tells it the newest stage and command, one line at a time, and hears its telemetry.
///
/// The child acknowledges each line, and must fail safe after 100 ms of silence, at end of file, and when a line's deadline is
/// over (SAFE-60, SAFE-61); `agent/examples/child_vehicle.py` does.
#[derive(Debug)]
pub struct ProcessAdapter {
    config: ProcessConfig,
    state: State,
    restart_delay: Duration,
    up: bool,
    seq: u64,
    /// The newest word, and whether it is still to be written.
    output: Option<Output>,
    unwritten: bool,
    reads: usize,
    /// Since the last line that could be read.
    wrong_lines: u32,
    /// Lines that could not be read since one was told, and when that was.
    unsaid: u64,
    said_at: Option<MonoTime>,
}

#[derive(Debug)]
enum State {
    /// No child until then.
    Waiting(MonoTime),
    Running(Pipe),
    /// Killed, not gone yet.
    Ending(Pipe),
}

impl ProcessAdapter {
    /// The child is started with the first [`Adapter::poll`].
    pub fn new(config: ProcessConfig, now: MonoTime) -> ProcessAdapter {
        ProcessAdapter {
            restart_delay: Duration::from_millis(config.restart_min_ms.into()),
            config,
            state: State::Waiting(now),
            up: false,
            seq: 0,
            output: None,
            unwritten: false,
            reads: 0,
            wrong_lines: 0,
            unsaid: 0,
            said_at: None,
        }
    }

    /// Process id of the running child.
    pub fn child_id(&self) -> Option<u32> {
        match &self.state {
            State::Running(pipe) => Some(pipe.id()),
            State::Waiting(_) | State::Ending(_) => None,
        }
    }

    fn tend(&mut self, now: MonoTime) {
        match &mut self.state {
            State::Waiting(until) if *until <= now => self.start(now),
            State::Waiting(_) => {}
            State::Running(pipe) => {
                let limit = Duration::from_millis(self.config.unresponsive_ms.into());
                if pipe.owes_for(now) >= limit {
                    warn!(
                        pid = pipe.id(),
                        "adapter process does not answer and is killed"
                    );
                    self.end();
                }
            }
            State::Ending(pipe) => {
                if pipe.is_gone() {
                    let lived_long = pipe.age(now) >= LONG_LIFE;
                    self.wait_before_restart(now, lived_long);
                }
            }
        }
        self.up = match &self.state {
            State::Running(pipe) => pipe.answers_within(now, ACK_MAX),
            State::Waiting(_) | State::Ending(_) => false,
        };
    }

    fn start(&mut self, now: MonoTime) {
        match Pipe::start(&self.config.command, now) {
            Ok(pipe) => {
                info!(pid = pipe.id(), "adapter process started");
                self.state = State::Running(pipe);
                self.write(now);
            }
            Err(error) => {
                let program = self.config.command.first().map_or("", String::as_str);
                warn!(program, %error, "adapter process cannot be started");
                self.wait_before_restart(now, false);
            }
        }
    }

    fn end(&mut self) {
        self.up = false;
        // Another child is not to be told what was meant for this one.
        self.output = None;
        self.wrong_lines = 0;
        self.state = match std::mem::replace(&mut self.state, State::Waiting(MonoTime::ZERO)) {
            State::Running(mut pipe) | State::Ending(mut pipe) => {
                pipe.kill();
                State::Ending(pipe)
            }
            waiting @ State::Waiting(_) => waiting,
        };
    }

    fn wait_before_restart(&mut self, now: MonoTime, lived_long: bool) {
        let min = Duration::from_millis(self.config.restart_min_ms.into());
        let max = Duration::from_millis(self.config.restart_max_ms.into());
        if lived_long {
            self.restart_delay = min;
        }
        let delay = self.restart_delay.mul_f64(jitter());
        self.restart_delay = (self.restart_delay * 2).min(max);
        self.state = State::Waiting(now + delay);
    }

    /// Writes the newest word when no line is outstanding (SAFE-63).
    fn write(&mut self, now: MonoTime) {
        // A word that is over while it waits is not written: the next one comes within the feed interval.
        let output = self.output.filter(|output| output.deadline > now);
        if let Some(output) = output.filter(|_| self.unwritten && self.is_free()) {
            let word = Word::new(Some(self.seq + 1), now, &output);
            self.write_line(now, word.to_json());
        }
    }

    /// Writes a line with the next number; false when the child does not take it, and is killed.
    fn write_line(&mut self, now: MonoTime, line: String) -> bool {
        let State::Running(pipe) = &mut self.state else {
            return false;
        };
        self.seq += 1;
        self.unwritten = false;
        let written = pipe.write(now, self.seq, line);
        if !written {
            warn!(
                pid = pipe.id(),
                "adapter process does not read and is killed"
            );
            self.end();
        }
        written
    }

    // [SAFE-69]
    fn note_wrong(&mut self, now: MonoTime, why: &str) {
        self.wrong_lines += 1;
        if self
            .said_at
            .is_none_or(|said_at| now >= said_at + SAY_EVERY)
        {
            let unsaid = self.unsaid;
            warn!(
                why,
                unsaid, "adapter process wrote a line that cannot be read"
            );
            self.said_at = Some(now);
            self.unsaid = 0;
        } else {
            self.unsaid += 1;
        }
        if self.wrong_lines >= WRONG_LINES_MAX {
            warn!(
                lines = self.wrong_lines,
                "adapter process writes rubbish and is killed"
            );
            self.end();
        }
    }
}

impl Adapter for ProcessAdapter {
    fn is_up(&self) -> bool {
        self.up
    }

    fn is_free(&self) -> bool {
        matches!(&self.state, State::Running(pipe) if pipe.is_free())
    }

    fn on_command(
        &mut self,
        now: MonoTime,
        applied: &Applied,
        output: &Output,
    ) -> Result<Taken, Refusal> {
        let Body::Opaque(payload) = applied.body() else {
            return Ok(Taken::Done);
        };
        let State::Running(pipe) = &self.state else {
            return Err(Refusal::AdapterDown);
        };
        if payload.is_empty() {
            return Ok(Taken::Done);
        }
        if !pipe.is_free() {
            return Err(Refusal::TooOften);
        }
        let word = Word::with_opaque(self.seq + 1, now, output, payload, applied.deadline());
        let line = word.to_json();
        if !pipe.has_room(line.len()) {
            return Err(Refusal::NoSuchFunction);
        }
        if self.write_line(now, line) {
            Ok(Taken::Done)
        } else {
            Err(Refusal::AdapterDown)
        }
    }

    fn on_output(&mut self, now: MonoTime, output: &Output) {
        self.output = Some(*output);
        self.unwritten = true;
        self.write(now);
    }

    fn poll(&mut self, now: MonoTime) -> Option<Telemetry> {
        while self.reads < READS_PER_TURN_MAX {
            self.reads += 1;
            let State::Running(pipe) = &mut self.state else {
                break;
            };
            match pipe.read() {
                Next::Answer(Answer::Telemetry(telemetry)) => {
                    self.wrong_lines = 0;
                    return Some(telemetry);
                }
                Next::Answer(Answer::Ack(_)) => self.wrong_lines = 0,
                Next::Wrong(why) => self.note_wrong(now, &why),
                Next::Nothing => break,
                // [SAFE-69]
                Next::TooLong => {
                    warn!(
                        pid = pipe.id(),
                        "adapter process wrote an endless line and is killed"
                    );
                    self.end();
                }
                Next::End => {
                    warn!(pid = pipe.id(), "adapter process ended");
                    self.end();
                }
            }
        }
        self.reads = 0;
        self.tend(now);
        self.write(now);
        None
    }

    fn wake_on<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if let State::Running(pipe) = &self.state {
            pipe.wake_on(fds);
        }
    }

    fn feed_interval(&self) -> Duration {
        Duration::from_millis(self.config.feed_ms.into())
    }

    fn close(&mut self) {
        self.output = None;
        if let State::Running(pipe) = &mut self.state {
            pipe.close();
        }
    }
}

impl Drop for ProcessAdapter {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Waiting(MonoTime::ZERO)) {
            State::Running(pipe) => {
                pipe.finish(Duration::from_millis(self.config.stop_ms.into()));
            }
            State::Ending(pipe) => pipe.finish(Duration::ZERO),
            State::Waiting(_) => {}
        }
    }
}

/// 0.5 to 1: children of many functions that die together do not come back together.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    let part = u32::try_from(random >> 32).unwrap_or(0);
    0.5 + 0.5 * f64::from(part) / f64::from(u32::MAX)
}

/// A child that owes an acknowledgement for this long is down (SAFE-64): the same time after which it must have failed safe.
const ACK_MAX: Duration = Output::SILENCE_MAX;
/// Lines in a row that cannot be read: a library's banner passes, a child that writes rubbish without end does not.
const WRONG_LINES_MAX: u32 = 64;
/// Between words in the log about such lines: a child can mix them with good ones without end.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// A child that ran this long was not one that cannot start: it is started again without the grown delay.
const LONG_LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
