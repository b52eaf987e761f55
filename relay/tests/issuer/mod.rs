//! An issuer of OpenID Connect, as far as a relay asks it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// Serves its configuration and one key, named `one`, until the test ends.
pub struct Issuer {
    pub url: String,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    pub fn start(public_key: &[u8]) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/fleet", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let keys = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": URL_SAFE_NO_PAD.encode(public_key) },
        ] });
        let configuration =
            json!({ "issuer": url, "jwks_uri": format!("{url}/keys"), "more": true });
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let mut rest = String::new();
                while !rest.ends_with("\r\n\r\n") && rest != "\r\n" {
                    stream.read_line(&mut rest).unwrap();
                }
                let body = match line.split(' ').nth(1).unwrap() {
                    "/fleet/.well-known/openid-configuration" => configuration.to_string(),
                    "/fleet/keys" => keys.to_string(),
                    other => panic!("asked for {other}"),
                };
                counted.fetch_add(1, Ordering::SeqCst);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
                );
                stream
                    .get_mut()
                    .write_all((head + &body).as_bytes())
                    .unwrap();
            }
        });
        Issuer { url, asked }
    }

    /// How many requests it answered.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
