//! The real program's HTTP server: its bounds, TLS, and its end.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::Folder;
use support::fleet::Fleet;
use support::program::{Program, field, run};

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

/// A relay with these keys of `[http]`, and where it serves.
fn start(folder: &Folder, keys: &str) -> (Program, String) {
    let identity = Fleet::new("harbour").issue(folder.path(), "relay/east");
    let text = format!(
        "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n{keys}"
    );
    let file = folder.file("relay.toml", &text);
    let mut relay = Program::start(RELAY, &["--config", &file.display().to_string()]);
    let line = relay.line("http is served");
    (relay, field(&line, "address").to_string())
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks, and reads to the end.
fn ask(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn who_sends_no_whole_head_in_time_is_cut_off() {
    let folder = Folder::new("http-head");
    let (_relay, address) = start(&folder, "head_timeout_ms = 100\n");
    assert_eq!(ask(connect(&address), "GET /healthz HTTP/1.1\r\nhost:"), "");
    let kept = ask(
        connect(&address),
        "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    assert!(kept.starts_with("HTTP/1.1 200 OK"), "{kept}");
}

#[test]
fn who_finds_all_places_taken_waits_for_one() {
    let folder = Folder::new("http-places");
    let (_relay, address) = start(&folder, "connections = 1\n");
    let mut first = connect(&address);
    first
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut begin = [0; 12];
    first.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    let mut second = connect(&address);
    second.write_all(CLOSING.as_bytes()).unwrap();
    drop(first);
    let mut text = String::new();
    second.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
}

#[test]
fn it_speaks_tls_with_the_certificate_that_it_is_given() {
    let folder = Folder::new("http-tls");
    let own = rcgen::generate_simple_self_signed(vec!["relay.example".to_string()]).unwrap();
    let certificate = folder.file("https.pem", &own.cert.pem());
    let key = folder.file("https.key", &own.signing_key.serialize_pem());
    let keys = format!("certificate = {certificate:?}\nkey = {key:?}\n");
    let (_relay, address) = start(&folder, &keys);

    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "relay.example".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let text = ask(StreamOwned::new(session, connect(&address)), CLOSING);
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(text.ends_with("{\"status\":\"alive\"}"), "{text}");
}

#[test]
fn a_connection_that_is_kept_does_not_hold_up_the_end() {
    let folder = Folder::new("http-end");
    let (mut relay, address) = start(&folder, "");
    let _idle = connect(&address);
    relay.line("relay ready");
    relay.signal(Signal::TERM);
    let (status, said) = relay.ended();
    assert!(status.success(), "{said}");
    assert!(said.contains("relay ended"), "{said}");
}

#[test]
fn what_cannot_be_served_is_one_plain_line() {
    let folder = Folder::new("http-errors");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let identity = Fleet::new("harbour").issue(folder.path(), "relay/east");
    let head = format!(
        "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n[http]\n"
    );
    let key = "[[http.token_key]]\nname = \"own\"\nfile = ";
    for (keys, code, expected) in [
        (
            "listen = \"0.0.0.0:0\"\napi = true".to_string(),
            2,
            "longrein-relay: [http]: tokens must not go over a network in the clear",
        ),
        (
            "listen = \"127.0.0.1:0\"\napi = true".to_string(),
            2,
            "longrein-relay: [http]: `api = true` needs a [[http.token_key]] or [http.oidc]",
        ),
        (
            format!("listen = \"127.0.0.1:0\"\napi = true\n{key}\"/nowhere.pub\""),
            1,
            "longrein-relay: [http]: /nowhere.pub: No such file",
        ),
        (
            format!(
                "listen = \"127.0.0.1:0\"\napi = true\n{key}{identity:?}",
                identity = identity.join("node.pem")
            ),
            1,
            "longrein-relay: [http]: ",
        ),
        (
            "listen = \"127.0.0.1:0\"\ncertificate = \"/nowhere.pem\"\nkey = \"/nowhere.key\""
                .to_string(),
            1,
            "longrein-relay: [http]: /nowhere.pem: ",
        ),
        (
            format!("listen = \"{taken}\""),
            1,
            "longrein-relay: [http]: 127.0.0.1:",
        ),
    ] {
        let file = folder.file("relay.toml", &format!("{head}{keys}\n"));
        let (got, _, said) = run(RELAY, &["--config", &file.display().to_string()]);
        let last = said.lines().last().unwrap();
        assert_eq!(got, Some(code), "{said}");
        assert!(last.starts_with(expected), "{said}");
    }
}

const CLOSING: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
/// For answers that come at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);
