//! Both pipes of a child process: one line at a time out, answers in, never waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use longrein_proto::base::MonoTime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

use super::word::{Answer, LINE_BYTES_MAX};

/// A running child.
#[derive(Debug)]
pub struct Pipe {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    started: MonoTime,
    /// Bytes that the child's empty input takes at once.
    input_bytes: usize,
    outstanding: Option<Outstanding>,
    acknowledged_any: bool,
    inbox: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    seq: u64,
    since: MonoTime,
}

/// What the child's output holds next.
#[derive(Debug)]
pub enum Next {
    /// A line that is an answer.
    Answer(Answer),
    /// A line that is none, and why.
    Wrong(String),
    /// Nothing for now.
    Nothing,
    /// A line that is longer than any answer, or has no end.
    TooLong,
    /// The end: the child ended, or closed its output.
    End,
}

impl Pipe {
    /// Starts the child, in a process group of its own: Ctrl-C in a terminal is for the agent, which ends the child in order.
    ///
    /// # Errors
    /// As the system says; try again later.
    pub fn start(command: &[String], now: MonoTime) -> io::Result<Pipe> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let stdin = child.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        never_wait(&stdin)?;
        never_wait(&stdout)?;
        // Where the system gives no more, only the longest commands are refused.
        let _ = fcntl_setpipe_size(&stdin, INPUT_BYTES);
        let input_bytes = fcntl_getpipe_size(&stdin)?;
        Ok(Pipe {
            child,
            stdin: Some(stdin),
            stdout,
            started: now,
            input_bytes,
            outstanding: None,
            acknowledged_any: false,
            inbox: Vec::new(),
        })
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How long it has run.
    pub fn age(&self, now: MonoTime) -> Duration {
        now.since(self.started)
    }

    /// Whether a line may be written: none is outstanding (SAFE-63).
    pub fn is_free(&self) -> bool {
        self.outstanding.is_none()
    }

    /// Whether it has acknowledged something, and owes no acknowledgement for this long.
    pub fn answers_within(&self, now: MonoTime, limit: Duration) -> bool {
        self.acknowledged_any && self.owes_for(now) < limit
    }

    /// For how long it has owed an acknowledgement.
    pub fn owes_for(&self, now: MonoTime) -> Duration {
        self.outstanding
            .map_or(Duration::ZERO, |line| now.since(line.since))
    }

    /// Whether a line of so many bytes can be written at all.
    pub fn has_room(&self, line_bytes: usize) -> bool {
        line_bytes < self.input_bytes
    }

    /// Writes a line that there is room for, which is outstanding then. Call it only while [`Pipe::is_free`]: then the child's
    /// input is empty and takes all of the line at once. A child that does not take it does not read, or acknowledges what it
    /// has not read; end it.
    pub fn write(&mut self, now: MonoTime, seq: u64, line: String) -> bool {
        let Some(stdin) = &mut self.stdin else {
            return false;
        };
        let mut bytes = line.into_bytes();
        bytes.push(b'\n');
        self.outstanding = Some(Outstanding { seq, since: now });
        loop {
            match stdin.write(&bytes) {
                Ok(written) => return written == bytes.len(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// The next line of the child's output.
    pub fn read(&mut self) -> Next {
        // [SAFE-28] A child that writes without end is read in portions: the thread has other devices.
        for _ in 0..CHUNKS_PER_READ_MAX {
            if let Some(line) = self.take_line() {
                return match Answer::from_json(&line) {
                    Ok(answer) => {
                        self.note(&answer);
                        Next::Answer(answer)
                    }
                    Err(why) => Next::Wrong(why),
                };
            }
            if self.inbox.len() > LINE_BYTES_MAX {
                return Next::TooLong;
            }
            let mut chunk = [0; 4_096];
            match self.stdout.read(&mut chunk) {
                Ok(0) => return Next::End,
                Ok(length) => self
                    .inbox
                    .extend_from_slice(chunk.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Nothing,
                Err(_) => return Next::End,
            }
        }
        Next::Nothing
    }

    /// Adds what is to wake the reader.
    pub fn wake_on<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.push(PollFd::new(&self.stdout, PollFlags::IN));
    }

    /// Lets the child read end of file.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Kills the child, by its id; [`Pipe::is_gone`] says when it is over.
    pub fn kill(&mut self) {
        self.close();
        // Fails only when it has ended already.
        let _ = self.child.kill();
    }

    /// Whether the child has ended and is waited for.
    pub fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the child has closed its output, at most this long; then kills it. For the end of the agent only.
    pub fn finish(mut self, limit: Duration) {
        self.close();
        let begun = Instant::now();
        while !matches!(self.read(), Next::End | Next::TooLong) {
            let Some(left) = limit.checked_sub(begun.elapsed()) else {
                break;
            };
            let timeout = Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            });
            let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&timeout));
        }
        // A child that has closed its output ends by itself in a moment; one that has not is over its time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.inbox.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.inbox.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    fn note(&mut self, answer: &Answer) {
        if let Answer::Ack(seq) = answer
            && self.outstanding.is_some_and(|line| line.seq == *seq)
        {
            self.outstanding = None;
            self.acknowledged_any = true;
        }
    }
}

fn never_wait(fd: &impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(fd)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    Ok(())
}

/// Bytes of a child's input: the longest line, which is the largest message as hexadecimal text and its frame.
const INPUT_BYTES: usize = 256 * 1024;
/// Chunks of 4 KiB that one read takes at most: telemetry of a device is far below that.
const CHUNKS_PER_READ_MAX: usize = 16;
