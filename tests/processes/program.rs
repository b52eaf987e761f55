//! A program that runs, and what it says.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use longrein::local_fleet::Plan;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::until::until;

/// A running program whose output is read line by line; killed and waited for when it is dropped.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Reader,
    stderr: Reader,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The lines of its standard output.
    pub stdout: Vec<String>,
    /// The lines of its standard error.
    pub stderr: Vec<String>,
}

/// Lines that a program wrote; clones are of the same ones.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

/// Lines, and the thread that reads more of them.
struct Reader {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts one of the workspace's programs.
    pub fn start<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(path(program));
        command.args(arguments);
        Program::run(program, command)
    }

    /// Starts any program, with no variable in its environment that would change what longrein does.
    pub fn run(name: &str, mut command: Command) -> Program {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for variable in [
            "JOURNAL_STREAM",
            "LONGREIN_LOG_LEVEL",
            "LONGREIN_IDENTITY_DIRECTORY",
        ] {
            command.env_remove(variable);
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}; run ./dev test"));
        Program {
            name: name.to_string(),
            stdin: child.stdin.take(),
            stdout: Reader::start(child.stdout.take().unwrap()),
            stderr: Reader::start(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Its standard input, once.
    pub fn stdin(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    /// What it prints, also later.
    pub fn stdout(&self) -> Lines {
        self.stdout.lines.clone()
    }

    /// What it said on standard error so far.
    pub fn said(&self) -> Vec<String> {
        self.stderr.lines.so_far()
    }

    /// What it printed on standard output so far.
    pub fn printed(&self) -> Vec<String> {
        self.stdout.lines.so_far()
    }

    /// The JSON objects that it printed so far.
    pub fn objects(&self) -> Vec<Value> {
        let lines = self.printed();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits for a line on standard error that contains this.
    pub fn says(&mut self, part: &str) -> String {
        self.waits(part, Program::said)
    }

    /// Waits for a line on standard output that contains this.
    pub fn prints(&mut self, part: &str) -> String {
        self.waits(part, Program::printed)
    }

    fn waits(&mut self, part: &str, lines: fn(&Program) -> Vec<String>) -> String {
        until(&format!("{} tells {part:?}", self.name), || {
            // Asked first: what it said before its end is then read.
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() {
                self.stdout.join();
                self.stderr.join();
            }
            let found = lines(self).into_iter().find(|line| line.contains(part));
            if let (Some(status), None) = (ended, &found) {
                let said = self.said().join("\n");
                panic!("{} ended without {part:?}: {status}\n{said}", self.name);
            }
            found
        })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        let status = until(&format!("{} ends", self.name), || {
            self.child.try_wait().unwrap()
        });
        self.stdout.join();
        self.stderr.join();
        Ended {
            code: status.code(),
            stdout: self.printed(),
            stderr: self.said(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{} said:\n{}\n", self.name, self.said().join("\n"));
        }
    }
}

impl Lines {
    /// All lines so far.
    pub fn so_far(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// What `look` finds in the newest line in which it finds something.
    pub fn find_last<T>(&self, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .rev()
            .find_map(|line| look(line))
    }
}

impl Reader {
    fn start(output: impl Read + Send + 'static) -> Reader {
        let lines = Lines::default();
        let all = lines.clone();
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                all.0.lock().unwrap().push(line);
            }
        });
        Reader {
            lines,
            thread: Some(thread),
        }
    }

    /// Waits until everything is read; only for a program that has ended.
    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A program of the workspace, which stands beside this test.
pub fn path(program: &str) -> PathBuf {
    let path = Plan::sibling_programs().unwrap().join(program);
    assert!(path.exists(), "no {}: run ./dev test", path.display());
    path
}
