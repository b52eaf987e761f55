//! The API does what its description says, and refuses everything else: schemathesis asks it from the description.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::web::fetch;
use super::scene::{ALL, Scene, expect_problem};

/// The program; none on a machine where nobody made the virtual environment.
fn schemathesis() -> PathBuf {
    let venv = std::env::var("LONGREIN_VENV").unwrap_or_else(|_| "target/venv".to_string());
    let path = Path::new(&venv).join("bin/schemathesis");
    assert!(path.exists(), "no {}: run ./dev test", path.display());
    path
}

#[test]
fn every_answer_is_as_described_and_what_is_wrong_is_refused() {
    // What waits is to be answered soon, and nobody is held back.
    let keys = "requests_per_s = 100000\nrequests_burst = 100000\nrequest_timeout_ms = 2000\n";
    let scene = Scene::with_keys(keys);
    let service = scene.service("tester", ALL);
    let seed = std::env::var("LONGREIN_SEED").unwrap_or_else(|_| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.subsec_nanos().to_string()
    });
    println!("again: LONGREIN_SEED={seed}");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("processes/api");
    let mut command = Command::new(schemathesis());
    command
        .arg("--config-file")
        .arg(own.join("schemathesis.toml"))
        .arg("run")
        .arg(format!("http://{}/v1/openapi.json", scene.address))
        .args(["--seed", &seed, "--max-time", "75"])
        .current_dir(scene.fleet.folder())
        .env("LONGREIN_TOKEN", &*service.token)
        .env("LONGREIN_HOOKS", own.join("schemathesis_hooks.py"))
        .env("NO_COLOR", "1");
    // It ends by itself when its time is over.
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "seed {seed}\n{said}");
    // It goes on to work.
    assert_eq!(service.get("/v1/rooms").status, 200);
}

#[test]
fn the_description_and_its_page_are_served_to_everybody_and_say_what_there_is() {
    let scene = Scene::without_hub();
    let description = fetch(&scene.address, "/v1/openapi.json");
    assert!(description.head.contains("content-type: application/json"));
    let description = description.json();
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    for (place, method) in [
        ("/messages", "post"),
        ("/rooms/{room}", "put"),
        ("/events", "get"),
        ("/quality/{kind}/{name}", "get"),
    ] {
        let operation = &description["paths"][place][method];
        assert!(operation["summary"].is_string(), "{method} {place}");
        assert!(operation["responses"]["401"].is_object(), "{operation}");
    }
    let page = fetch(&scene.address, "/v1/docs");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    assert!(page.body.contains("openapi.json"));
    // All else needs a token, also where there is nothing.
    for place in ["/v1/rooms", "/v1/nothing", "/v1/quality"] {
        expect_problem(&fetch(&scene.address, place), 401, "unauthorized");
    }
}
