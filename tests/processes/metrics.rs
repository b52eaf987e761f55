//! What operators of relays see: health, metrics, the quality of links; and what stands in `monitoring/` for them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use longrein::Exit;
use longrein::local_fleet::{LocalFleet, Plan};
use rustix::process::Signal;
use serde_json::Value;

use super::api::Scene;
use super::fleet::{self, http_address};
use super::pilot::Pilot;
use super::program::Program;
use super::until::until;
use super::web::{ask, fetch};

/// A fleet whose relays serve everything.
fn scene() -> LocalFleet {
    fleet::start(Plan {
        relay_sections: "[http]\nlisten = \"127.0.0.1:0\"\n".to_string(),
        ..fleet::plan()
    })
}

/// A sample of a page of metrics; none when there is none with this name and these labels.
fn sample(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

fn monitoring(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("../monitoring").join(file)
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| {
        let bare = word
            .strip_prefix("longrein_relay_")
            .is_some_and(|rest| !rest.is_empty());
        bare || word.starts_with("process_")
    };
    words
        .filter(is_metric)
        .map(|word| word.trim_end_matches("_bucket").to_string())
        .collect()
}

/// What promtool says; none without it.
fn promtool(arguments: &[&str], input: &str) -> Option<Output> {
    let started = Command::new("promtool")
        .args(arguments)
        .current_dir(monitoring("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        eprintln!(
            "SKIPPED: there is no promtool on this machine, which Debian has in its package prometheus"
        );
        return None;
    };
    // It may read none.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Some(child.wait_with_output().unwrap())
}

fn passes(arguments: &[&str], input: &str) {
    if let Some(output) = promtool(arguments, input) {
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "promtool {arguments:?}: {said}");
        // What it does not like of metrics is said on stderr too.
        assert!(
            !arguments.contains(&"metrics") || said.is_empty(),
            "promtool {arguments:?}: {said}"
        );
    }
}

#[test]
fn a_relay_exports_what_the_dashboard_and_the_alerts_name_and_counts_what_it_forwards() {
    let fleet = scene();
    let address = http_address(&fleet, "relay-a");
    let before = fetch(&address, "/metrics");
    assert_eq!(before.status, 200, "{before:?}");
    assert!(
        before
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    let forwarded = "longrein_relay_forwarded_parcels_total";
    let at_first = sample(&before.body, forwarded).unwrap();

    let mut pilot = Pilot::start(&fleet, "desk");
    pilot.drive(500);
    let commands = "longrein_relay_parcel_delay_seconds_count{to=\"agents\",part=\"relay\"}";
    let page = until("commands are forwarded", || {
        let page = fetch(&address, "/metrics").body;
        let counts = sample(&page, forwarded)? > at_first + 20.0 && sample(&page, commands)? > 5.0;
        counts.then_some(page)
    });
    for (name, expected) in [
        ("longrein_relay_nodes{kind=\"agent\"}", 1.0),
        ("longrein_relay_nodes{kind=\"controller\"}", 1.0),
        (
            "longrein_relay_link_up{node=\"agent/truck-17\",link=\"lte\"}",
            1.0,
        ),
        ("longrein_relay_ready{check=\"certificate\"}", 1.0),
        ("longrein_relay_nodes_omitted", 0.0),
    ] {
        assert_eq!(sample(&page, name), Some(expected), "{name}\n{page}");
    }
    for part in ["sender", "uplink"] {
        let name = format!(
            "longrein_relay_parcel_delay_seconds_bucket{{to=\"agents\",part=\"{part}\",le=\"+Inf\"}}"
        );
        assert!(sample(&page, &name).unwrap() > 5.0, "{name}\n{page}");
    }
    pilot.end();

    let exported: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| Some(line.split(' ').next()?.to_string()))
        .collect();
    for file in [
        "prometheus/longrein.rules.yml",
        "prometheus/longrein.test.yml",
        "grafana/longrein-relay.json",
    ] {
        let text = std::fs::read_to_string(monitoring(file)).unwrap();
        let unknown: Vec<String> = named(&text).difference(&exported).cloned().collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    passes(&["check", "metrics"], &page);

    let open = ask(
        &address,
        "GET",
        "/metrics",
        "accept: application/openmetrics-text\r\n",
    );
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text")
    );
    assert!(open.body.ends_with("# EOF\n"));
    assert!(
        open.body
            .contains("# UNIT longrein_relay_parcel_delay_seconds seconds")
    );
}

#[test]
fn the_rules_are_sound_and_the_alerts_do_what_their_tests_say() {
    passes(&["check", "rules", "longrein.rules.yml"], "");
    passes(&["test", "rules", "longrein.test.yml"], "");
}

#[test]
fn health_and_quality_are_told_and_what_cannot_be_answered_is_a_problem() {
    // No relay is the hub: each tells the quality of links all the same.
    let scene = Scene::without_hub();
    let address = scene.address.clone();
    let service = scene.service("dashboard", "hub.read");
    let fetch = |address: &str, place: &str| match place.starts_with("/v1") {
        true => service.get(place),
        false => fetch(address, place),
    };
    assert_eq!(fetch(&address, "/healthz").status, 200);
    let ready = fetch(&address, "/readyz");
    assert_eq!(ready.json()["status"], "ready", "{ready:?}");

    let node = until("the agent's links are measured", || {
        let node = fetch(&address, "/v1/quality/agent/truck-17").json();
        let paths = node["paths"].as_array()?;
        let rates = |path: &Value| path["from_node"]["packets_per_s"].as_u64() > Some(0);
        let measured = |path: &Value| path["rtt_us"].as_u64() > Some(0) && rates(path);
        (paths.len() == 2 && paths.iter().all(measured)).then_some(node)
    });
    assert_eq!(node["node"], "agent/truck-17");
    assert_eq!(node["paths"][0]["health"], "live", "{node}");
    let all = fetch(&address, "/v1/quality?limit=1").json();
    assert_eq!(all["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(all["next"], "agent/truck-17");
    let rest = fetch(&address, "/v1/quality?after=agent/truck-17").json();
    assert_eq!(
        (&rest["nodes"], &rest["next"]),
        (&Value::Array(vec![]), &Value::Null)
    );

    for (method, place, status, kind) in [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/v1/quality/agent/nobody", 404, "not-found"),
        ("GET", "/v1/quality/plane/x", 400, "bad-request"),
        ("GET", "/v1/quality?limit=0", 400, "bad-request"),
        ("GET", "/v1/quality?colour=red", 400, "bad-request"),
        ("POST", "/metrics", 405, "method-not-allowed"),
        ("DELETE", "/v1/quality", 405, "method-not-allowed"),
    ] {
        let answer = service.ask(method, place, "", "");
        assert_eq!(answer.status, status, "{place}: {answer:?}");
        assert!(
            answer
                .head
                .contains("content-type: application/problem+json"),
            "{answer:?}"
        );
        let problem = answer.json();
        assert_eq!(problem["type"], format!("urn:longrein:problem:{kind}"));
        assert_eq!(problem["status"], status);
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
    }
}

#[test]
fn quality_shows_each_path_and_ends_well_by_a_signal() {
    let fleet = fleet::start(fleet::plan());
    let arguments = |words: &[&str]| {
        let verb = ["quality", "truck-17"].iter().chain(words);
        let mut arguments: Vec<String> = verb.map(ToString::to_string).collect();
        arguments.extend(fleet::connection(&fleet, "desk"));
        arguments
    };
    let ended = Program::start("longrein", arguments(&[])).ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rows = ended
        .stdout
        .iter()
        .filter(|line| line.starts_with("relay-"));
    assert_eq!(rows.count(), 2, "{ended:?}");
    assert!(
        ended
            .stdout
            .iter()
            .any(|line| line.starts_with("clock: known to")),
        "{ended:?}"
    );

    let mut watching = Program::start("longrein", arguments(&["--watch", "--json"]));
    watching.prints("\"blame\":");
    watching.signal(Signal::INT);
    let ended = watching.ended();
    assert_eq!(ended.code, Some(Exit::Done.code().into()), "{ended:?}");
    let object: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    assert_eq!(object["vehicle"], "truck-17");
    assert_eq!(object["paths"].as_array().unwrap().len(), 2);

    let mut lines = Program::start("longrein", arguments(&["--watch"]));
    assert!(lines.prints("truck-17: ").contains("relay-b/"));
}
