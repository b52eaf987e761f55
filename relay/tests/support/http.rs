//! Asks a relay over HTTP: one request over one TCP connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last word of a problem's type; the answer is one.
    pub fn kind(&self) -> String {
        let is_problem = self.head.contains("content-type: application/problem+json");
        assert!(is_problem, "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        let kind = problem["type"].as_str().unwrap();
        kind.strip_prefix("urn:longrein:problem:")
            .unwrap()
            .to_string()
    }
}

/// Asks with further lines of the head, and a body of JSON.
pub fn ask(address: &str, method: &str, place: &str, lines: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {place} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{lines}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_string(),
    }
}

/// The line of the head that shows a token.
pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {}\r\n", token.trim_end())
}

/// For answers that come at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);
