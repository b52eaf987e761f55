//! Relays that believe tokens, and tokens of every kind.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;

use crate::support::Folder;
use crate::support::fleet::Fleet;
use crate::support::http::{Answer, ask, bearer};
use crate::support::program::{Program, field};

/// A relay with these sections, and where it serves.
pub fn start(folder: &Folder, sections: &str) -> (Program, String) {
    let identity = Fleet::new("harbour").issue(folder.path(), "relay/east");
    let text = format!(
        "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\napi = true\n{sections}"
    );
    let file = folder.file("relay.toml", &text);
    let mut relay = Program::start(RELAY, &["--config", &file.display().to_string()]);
    let line = relay.line("http is served");
    (relay, field(&line, "address").to_string())
}

/// A token of these parts, signed by this.
pub fn token(head: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// The key in a file that `longrein-relay token` made.
pub fn pair(file: &Path) -> Ed25519KeyPair {
    let key = pem::parse(std::fs::read(file).unwrap()).unwrap();
    Ed25519KeyPair::from_pkcs8(key.contents()).unwrap()
}

/// What is answered to who asks what `hub.read` allows.
pub fn read(address: &str, token: &str) -> Answer {
    ask(address, "GET", "/v1/quality", &bearer(token), "")
}

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");
