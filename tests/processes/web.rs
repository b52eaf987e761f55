//! Asks a relay over HTTP as simply as can be: one request over one TCP connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// All of the head, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks for a place.
pub fn fetch(address: &str, place: &str) -> Answer {
    ask(address, "GET", place, "")
}

/// Asks with another method, and further lines of the head.
pub fn ask(address: &str, method: &str, place: &str, lines: &str) -> Answer {
    tell(address, method, place, lines, "")
}

/// The same with a body.
pub fn tell(address: &str, method: &str, place: &str, lines: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {place} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_lowercase(),
        body: body.to_string(),
    }
}

/// A stream of server-sent events.
pub struct Events(BufReader<TcpStream>);

/// One of them.
#[derive(Debug)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Where the stream is then.
    pub id: Option<String>,
    /// What it says.
    pub data: Value,
}

impl Events {
    /// Opens one; the head says 200.
    pub fn open(address: &str, place: &str, lines: &str) -> Events {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        // To HTTP/1.0 a body of no known length comes as it is, not in chunks.
        let request = format!("GET {place} HTTP/1.0\r\nhost: relay\r\n{lines}\r\n");
        reader.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        let is_stream = head
            .to_lowercase()
            .contains("content-type: text/event-stream");
        assert!(head.contains(" 200 ") && is_stream, "{head}");
        Events(reader)
    }

    /// The next event; comments are passed over.
    pub fn next(&mut self) -> Event {
        let (mut name, mut id, mut data) = (None, None, None);
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ended");
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("event", text)) => name = Some(text.to_string()),
                Some(("id", text)) => id = Some(text.to_string()),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                _ => {}
            }
            if let (Some(name), Some(data), true) = (&name, &data, line == "\n") {
                let (name, data) = (name.clone(), Value::clone(data));
                return Event { name, id, data };
            }
        }
    }

    /// The next event of this name.
    pub fn next_of(&mut self, name: &str) -> Event {
        loop {
            let event = self.next();
            if event.name == name {
                return event;
            }
        }
    }
}

/// For answers that come at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);
