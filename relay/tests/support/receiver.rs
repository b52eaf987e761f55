//! A receiver of webhooks: takes what is posted, checks who signed it, and answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Tells, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, verify};
use serde_json::Value;

/// A receiver that listens until the end of the program.
pub struct Receiver {
    pub address: String,
    requests: Tells<Received>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// An answer, and how often it is given; then 204.
    answer: (u16, usize),
    all: Vec<Received>,
}

/// What was posted.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: String,
    /// Whether it is signed with the secret.
    pub is_genuine: bool,
    pub answered: u16,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Receiver {
    pub fn start(secret: &'static str) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared {
            answer: (204, 0),
            ..Shared::default()
        }));
        let (tell, requests) = channel();
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(received) = serve(stream, secret, &own) else {
                    continue;
                };
                if tell.send(received).is_err() {
                    break;
                }
            }
        });
        Receiver {
            address,
            requests,
            shared,
        }
    }

    /// Answers so the next times.
    pub fn answer(&self, status: u16, times: usize) {
        self.shared.lock().unwrap().answer = (status, times);
    }

    /// The next request that was not looked at.
    pub fn next(&self) -> Received {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.shared.lock().unwrap().all.len()
    }

    /// All that were taken, in order.
    pub fn taken(&self) -> Vec<Received> {
        let shared = self.shared.lock().unwrap();
        let taken = shared
            .all
            .iter()
            .filter(|received| received.answered == 204);
        taken.cloned().collect()
    }
}

/// One request of one connection; none when it breaks off.
fn serve(stream: TcpStream, secret: &str, shared: &Mutex<Shared>) -> Option<Received> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut id, mut timestamp, mut signature, mut length) =
        (String::new(), String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some(("webhook-id", value)) => id = value.to_string(),
            Some(("webhook-timestamp", value)) => timestamp = value.to_string(),
            Some(("webhook-signature", value)) => signature = value.to_string(),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let key = Key::new(HMAC_SHA256, &key);
    let signed = format!("{id}.{timestamp}.{body}");
    let is_genuine = signature.split(' ').any(|one| {
        let tag = one
            .strip_prefix("v1,")
            .and_then(|tag| STANDARD.decode(tag).ok());
        tag.is_some_and(|tag| verify(&key, signed.as_bytes(), &tag).is_ok())
    });
    let answered = {
        let mut shared = shared.lock().unwrap();
        match shared.answer {
            (status, times) if times > 0 => {
                shared.answer.1 -= 1;
                status
            }
            _ => 204,
        }
    };
    let received = Received {
        id,
        timestamp,
        signature,
        body,
        is_genuine,
        answered,
    };
    // Before it is answered: what is answered is known to be here.
    shared.lock().unwrap().all.push(received.clone());
    let answer = format!("HTTP/1.1 {answered} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let mut stream = stream;
    // The relay may be killed meanwhile.
    let _ = stream.write_all(answer.as_bytes());
    Some(received)
}

const PATIENCE: Duration = Duration::from_secs(60);
