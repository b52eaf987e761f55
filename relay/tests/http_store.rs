//! The HTTP API of a hub whose disk is full: what has to be stored is refused with 503, and all else goes on.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use support::Folder;
use support::fleet::Fleet;
use support::http::{Answer, ask, bearer};
use support::program::{Program, field, run};

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");
const TALK: &str = "/v1/rooms/yard/topics/talk/messages";

#[test]
fn a_full_disk_refuses_only_what_has_to_be_stored_until_there_is_room_again() {
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: a file system of its own needs root");
        return;
    }
    let folder = Folder::new("http-store");
    let text = |path: &Path| path.display().to_string();
    let key = folder.path().join("t.key");
    run(RELAY, &["token", "--new-key", &text(&key)]);
    let scope = "hub.read hub.join hub.send hub.write hub.manage";
    let words = [
        "token",
        "--key",
        &text(&key),
        "--name",
        "erp",
        "--scope",
        scope,
    ];
    let (_, token, _) = run(RELAY, &words);
    let identity = Fleet::new("harbour").issue(folder.path(), "relay/east");
    let (public, hub) = (folder.path().join("t.key.pub"), folder.path().join("hub"));
    std::fs::create_dir(&hub).unwrap();
    let config = format!(
        "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n\
         [hub]\nenabled = true\ndirectory = {hub:?}\n[http]\nlisten = \"127.0.0.1:0\"\napi = true\n\
         [[http.token_key]]\nname = \"own\"\nfile = {public:?}\n"
    );
    let config = text(&folder.file("relay.toml", &config));
    let mount = "mount -t tmpfs -o size=4m,mode=700 tmpfs \"$0\" && exec \"$1\" --config \"$2\"";
    let words = ["--mount", "sh", "-c", mount, &text(&hub), RELAY, &config];
    let mut relay = Program::start("unshare", &words);
    let address = field(&relay.line("http is served"), "address").to_string();
    relay.line("relay ready");
    let send = |method: &str, place: &str, body: &serde_json::Value| -> Answer {
        let lines = format!("{}if-match: *\r\n", bearer(&token));
        ask(&address, method, place, &lines, &body.to_string())
    };
    let get = |place: &str| ask(&address, "GET", place, &bearer(&token), "");
    let post = |payload: &str| send("POST", TALK, &json!({ "payload": payload }));
    assert_eq!(send("PUT", "/v1/rooms/yard", &json!({})).status, 200);
    assert_eq!(post("before").status, 201);

    // As the relay sees it.
    let inside = PathBuf::from(format!("/proc/{}/root", relay.id()));
    let filler = inside.join(hub.strip_prefix("/").unwrap()).join("filler");
    fill(&filler);
    // What the store's files have room for is used first.
    let long = "x".repeat(10_000);
    let full = (0..1_000)
        .map(|_| post(&long))
        .find(|answer| answer.status != 201);
    let full = full.unwrap();
    assert_eq!((full.status, full.kind().as_str()), (503, "degraded"));
    assert!(full.head.contains("retry-after: "), "{full:?}");
    relay.line("hub's store cannot be written");

    let to_erp = |keep: bool| json!({ "to": { "nodes": ["service/erp"] }, "flow": "x", "payload": 1, "keep": keep, "ttl_ms": 60_000 });
    // What is short may find room that is left.
    for (method, place, body) in [
        ("PUT", "/v1/rooms/gate", json!({})),
        (
            "PATCH",
            "/v1/nodes/agent/truck-17/documents/attributes",
            json!({ "set": { "load": long[..8_000] } }),
        ),
        ("POST", TALK, json!({ "payload": "short" })),
    ] {
        let named = |number: u32| place.replace("gate", &format!("gate-{number}"));
        let refused = (0..1_000)
            .map(|number| send(method, &named(number), &body))
            .find(|answer| !matches!(answer.status, 200 | 201));
        let refused = refused.unwrap();
        let told = (refused.status, refused.kind());
        assert_eq!(told, (503, "degraded".to_string()), "{place}");
    }
    // What needs no disk goes on.
    assert_eq!(get("/v1/rooms").status, 200);
    assert_eq!(get("/v1/nodes").status, 200);
    let past = get(&format!("{TALK}?direction=forwards&limit=1")).json();
    assert_eq!(past["messages"][0]["payload"], "before", "{past}");
    let live = send("POST", TALK, &json!({ "payload": 1, "class": "latest" }));
    assert_eq!(live.status, 201, "{live:?}");
    let sent = send("POST", "/v1/messages?wait_ms=5000", &to_erp(false));
    assert_eq!(sent.json()["results"][0]["outcome"], "offline", "{sent:?}");
    let lock = send(
        "POST",
        "/v1/rooms/yard/locks/gate",
        &json!({ "ttl_ms": 10_000 }),
    );
    assert_eq!(lock.status, 200, "{lock:?}");

    std::fs::remove_file(filler).unwrap();
    relay.line("hub's store can be written again");
    assert_eq!(post("after").status, 201);
    let kept = send("POST", "/v1/messages?wait_ms=5000", &to_erp(true));
    assert_eq!(kept.json()["results"][0]["outcome"], "kept", "{kept:?}");
}

fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let error = loop {
        if let Err(error) = file.write_all(&[7; 512]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}
