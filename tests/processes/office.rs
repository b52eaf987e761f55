//! A relay, and the fleet's authority behind it.

use std::path::{Path, PathBuf};

use super::papers::Papers;
use super::program::{Ended, Program};

/// A relay, and the authority that is reached through it.
pub struct Office {
    /// The fleet's papers.
    pub papers: Papers,
    /// The relay.
    pub relay: Program,
    /// Where it listens.
    pub address: String,
    /// The authority, while it serves.
    pub authority: Option<Program>,
    /// How long the certificates of machines are valid that it gives.
    pub life: &'static str,
}

impl Office {
    /// Starts both.
    pub fn new() -> Office {
        Office::of(Papers::new(), "365d")
    }

    /// Starts both with these papers, and certificates that are valid so long.
    pub fn of(papers: Papers, life: &'static str) -> Office {
        let mut relay = relay(&papers, "127.0.0.1:0");
        let ready = relay.says("relay ready");
        let (_, address) = ready.split_once("address=").unwrap();
        let address = address
            .split_whitespace()
            .next()
            .unwrap()
            .trim_matches('"')
            .to_string();
        let mut office = Office {
            papers,
            relay,
            address,
            authority: None,
            life,
        };
        office.open();
        office
    }

    /// Starts the authority.
    pub fn open(&mut self) {
        let (folder, relay) = (self.folder(), format!("relay-a={}", self.address));
        let served = ["authority", "serve", "--dir", &folder, "--relay", &relay];
        let arguments = served.into_iter().chain(["--machine-life", self.life]);
        let mut authority = Program::start("longrein", arguments);
        authority.says("relay is reached");
        self.authority = Some(authority);
    }

    /// The fleet's folder.
    pub fn folder(&self) -> String {
        self.papers.folder().join("fleet").display().to_string()
    }

    /// A place of the test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.papers.folder().join(name)
    }

    /// Makes tokens; gives the lines that are printed.
    pub fn tokens(&self, words: &str) -> Vec<String> {
        let folder = self.folder();
        let arguments = ["fleet", "token", "--dir", &folder];
        let ended =
            Program::start("longrein", arguments.into_iter().chain(words.split(' '))).ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// Makes one token.
    pub fn token(&self, words: &str) -> String {
        self.tokens(words).swap_remove(0)
    }

    /// Enrols, and waits for the end.
    pub fn enroll(&self, program: &str, identity: &Path, words: &[&str]) -> Ended {
        Program::start(program, self.arguments(program, identity, words)).ended()
    }

    /// The command line of an enrolment.
    pub fn arguments(&self, program: &str, identity: &Path, words: &[&str]) -> Vec<String> {
        let identity = identity.display().to_string();
        let mut arguments: Vec<&str> = match program {
            "longrein" => vec!["enroll", "--identity", &identity],
            _ => vec!["--identity", &identity, "enroll"],
        };
        arguments.extend(["--relay", &self.address, "--patience-s", "30"]);
        arguments.extend(words);
        arguments.iter().map(ToString::to_string).collect()
    }
}

/// Starts the relay of these papers.
pub fn relay(papers: &Papers, address: &str) -> Program {
    let identity = papers.of("relay/relay-a").display().to_string();
    let arguments = ["--identity", &identity, "--listen", address];
    Program::start("longrein-relay", arguments)
}

/// Fails unless a program ended well.
pub fn is_done(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
