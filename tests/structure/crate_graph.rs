//! Dependencies run `proto <- io <- {relay, agent, controller} <- {packages, tests}`; programs never depend on each other.

use std::fs;

use toml::{Table, Value};

use super::repository::{assert_none, root};

/// Each member of the workspace, its crate, and the crates of the workspace that it may use.
const GRAPH: [(&str, &str, &[&str]); 7] = [
    ("proto", "longrein-proto", &[]),
    ("io", "longrein-io", &["longrein-proto"]),
    (
        "relay",
        "longrein-relay",
        &["longrein-proto", "longrein-io"],
    ),
    (
        "agent",
        "longrein-agent",
        &["longrein-proto", "longrein-io"],
    ),
    ("controller", "longrein", &["longrein-proto", "longrein-io"]),
    (
        "packages",
        "longrein-packages",
        &["longrein-relay", "longrein-agent", "longrein"],
    ),
    (
        "tests",
        "longrein-tests",
        &[
            "longrein-proto",
            "longrein-io",
            "longrein-relay",
            "longrein-agent",
            "longrein",
        ],
    ),
];

#[test]
fn crates_depend_only_on_crates_before_them() {
    let workspace = manifest("Cargo.toml");
    let members: Vec<&str> = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("members"))
        .and_then(Value::as_array)
        .expect("the workspace has members")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(members, GRAPH.map(|(member, _, _)| member));

    let mut found = Vec::new();
    for (member, name, allowed) in GRAPH {
        let manifest = manifest(&format!("{member}/Cargo.toml"));
        found.extend(violations(&manifest, name, allowed));
    }
    assert_none(&found);
}

fn manifest(path: &str) -> Table {
    fs::read_to_string(root().join(path))
        .expect("the manifest is there")
        .parse()
        .expect("the manifest is TOML")
}

/// One line for each crate of the workspace that the manifest names beside the allowed ones.
fn violations(manifest: &Table, name: &str, allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let package = manifest.get("package").and_then(|p| p.get("name"));
    if package.and_then(Value::as_str) != Some(name) {
        found.push(format!("{name} has another name in its manifest"));
    }
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table)
        .chain([manifest]);
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(Value::as_table) else {
                continue;
            };
            for (key, value) in dependencies {
                let real = value.get("package").and_then(Value::as_str).unwrap_or(key);
                if real.starts_with("longrein") && !allowed.contains(&real) {
                    found.push(format!("{name} must not depend on {real} ({kind})"));
                }
            }
        }
    }
    found
}

fn found_in(manifest: &str) -> Vec<String> {
    let manifest = manifest.parse().expect("TOML");
    violations(&manifest, "longrein-relay", &["longrein-io"])
}

#[test]
fn an_allowed_and_a_foreign_crate_pass() {
    assert_none(&found_in(
        "package.name = 'longrein-relay'\n[dependencies]\nlongrein-io.workspace = true\ntokio = '1'",
    ));
}

#[test]
fn a_dependency_against_the_direction_is_found_in_every_table() {
    for table in [
        "[dependencies]\nlongrein-agent.workspace = true",
        "[dev-dependencies]\nlongrein-agent = { path = '../agent' }",
        "[dependencies]\nvehicle = { package = 'longrein-agent', path = '../agent' }",
        "[target.'cfg(unix)'.dependencies]\nlongrein-agent.workspace = true",
    ] {
        let manifest = format!("package.name = 'longrein-relay'\n{table}");
        assert_eq!(found_in(&manifest).len(), 1, "{table}");
    }
}
