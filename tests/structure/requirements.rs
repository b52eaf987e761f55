//! Each numbered sentence of the norms is obeyed by some source and proved by some test, which name its id; each id that
//! code names is defined.

use std::collections::{BTreeMap, BTreeSet};

use super::repository::{TextFile, assert_none, text_files};

/// The norms and what their ids begin with.
const NORMS: [(&str, &str); 2] = [("docs/wire.md", "WIRE-"), ("docs/safety.md", "SAFE-")];

#[test]
fn requirement_ids_match_in_norms_sources_and_tests() {
    let mut files = text_files();
    // These files name ids that they make up.
    files.retain(|file| !file.path.starts_with("tests/structure/"));
    assert_none(&violations(&files));
}

/// One line for each id that is defined twice, not obeyed, not proved or not defined. A norm that does not exist defines
/// nothing.
fn violations(files: &[TextFile]) -> Vec<String> {
    let mut found = Vec::new();
    let mut defined: BTreeSet<&str> = BTreeSet::new();
    for (norm, prefix) in NORMS {
        let lines = files
            .iter()
            .filter(|file| file.path == norm)
            .flat_map(|file| file.text.lines());
        for id in lines.filter_map(|line| definition(line, prefix)) {
            if !defined.insert(id) {
                found.push(format!("{norm}: {id} is defined twice"));
            }
        }
    }
    let (mut sources, mut tests) = (BTreeMap::new(), BTreeMap::new());
    let modules = test_modules(files);
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        for (line, is_test) in file.text.lines().zip(test_lines(file, &modules)) {
            let places = if is_test { &mut tests } else { &mut sources };
            for id in ids(line) {
                places.entry(id).or_insert(file.path.as_str());
            }
        }
    }
    for id in &defined {
        if !sources.contains_key(id) {
            found.push(format!("{id}: no source obeys it by name"));
        }
        if !tests.contains_key(id) {
            found.push(format!("{id}: no test proves it by name"));
        }
    }
    for (id, path) in sources.iter().chain(&tests) {
        if !defined.contains(id) {
            found.push(format!("{path}: {id} is not defined"));
        }
    }
    found
}

/// The id that the line defines: `[WIRE-1] ...`, also as `- [WIRE-1] ...`, also in bold.
fn definition<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let line = line.strip_prefix("- ").unwrap_or(line);
    let line = line.strip_prefix("**").unwrap_or(line);
    let (id, _) = line.strip_prefix('[')?.split_once(']')?;
    (id.starts_with(prefix) && ids(id).next() == Some(id)).then_some(id)
}

/// The ids that the line names.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| {
            NORMS.iter().any(|(_, prefix)| {
                word.strip_prefix(prefix).is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
                })
            })
        })
}

/// The modules that are declared as `#[cfg(test)] mod name;`, as paths without `.rs`.
fn test_modules(files: &[TextFile]) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for file in files {
        let Some(path) = file.path.strip_suffix(".rs") else {
            continue;
        };
        let folder = ["/mod", "/lib", "/main"]
            .iter()
            .find_map(|root| path.strip_suffix(root))
            .unwrap_or(path);
        let mut lines = file.text.lines().map(str::trim);
        while lines.any(|line| line == "#[cfg(test)]") {
            let module = lines
                .next()
                .and_then(|line| line.strip_suffix(';')?.split_once("mod "));
            modules.extend(module.map(|(_, name)| format!("{folder}/{name}")));
        }
    }
    modules
}

/// For each line whether it is a test's: all lines of a file in a `tests` folder or in a module for tests, and those of
/// `mod tests` and of items under `#[cfg(test)]`, which end at the closing line of the same indentation.
fn test_lines(file: &TextFile, modules: &BTreeSet<String>) -> Vec<bool> {
    let whole = file.path.split('/').any(|part| part == "tests")
        || modules.iter().any(|module| {
            file.path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    let mut item: Option<usize> = None;
    file.text
        .lines()
        .map(|line| {
            let indentation = line.len() - line.trim_start().len();
            let code = line.split("//").next().unwrap_or_default().trim();
            if item.is_none() && (code.starts_with("#[cfg(test)]") || code.starts_with("mod tests"))
            {
                item = Some(indentation);
            }
            let is_test = whole || item.is_some();
            if item == Some(indentation) && (code.starts_with('}') || code.ends_with([';', '}'])) {
                item = None;
            }
            is_test
        })
        .collect()
}

const OBEYS: &str =
    "// [WIRE-1]\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    // [WIRE-1]\n    fn t() {}\n}\n";

fn found_in(norm: &str, source: &str) -> Vec<String> {
    violations(&[
        TextFile::new("docs/wire.md", norm),
        TextFile::new("proto/src/wire/packet.rs", source),
    ])
}

#[test]
fn an_id_that_is_defined_obeyed_and_proved_passes() {
    assert_none(&found_in("- [WIRE-1] A relay MUST.\n", OBEYS));
    assert_none(&violations(&[
        TextFile::new("docs/safety.md", "[SAFE-2] An agent MUST (see [SAFE-2])."),
        TextFile::new("agent/src/lib.rs", "/// [SAFE-2]"),
        TextFile::new("tests/tests/stop.rs", "/// [SAFE-2]"),
    ]));
    assert_none(&found_in("- **[WIRE-1]** A relay MUST.\n", OBEYS));
    assert_none(&found_in("", ""));
}

#[test]
fn an_id_without_source_or_test_is_found() {
    assert_eq!(
        found_in("[WIRE-1] MUST.", "// [WIRE-1]"),
        ["WIRE-1: no test proves it by name"]
    );
    assert_eq!(
        found_in(
            "[WIRE-1] MUST.",
            "#[cfg(test)]\nmod tests {\n// [WIRE-1]\n}"
        ),
        ["WIRE-1: no source obeys it by name"]
    );
    assert_eq!(found_in("[WIRE-1] MUST.\n[WIRE-2] MUST.", OBEYS).len(), 2);
}

#[test]
fn an_id_that_is_defined_twice_or_nowhere_is_found() {
    assert_eq!(
        found_in("[WIRE-1] MUST.\n- [WIRE-1] MAY.", OBEYS),
        ["docs/wire.md: WIRE-1 is defined twice"]
    );
    // In the middle of a line an id is a reference.
    assert_eq!(found_in("See [WIRE-1].", OBEYS).len(), 2);
    // An id of the other norm is no definition.
    assert_eq!(found_in("[SAFE-1] MUST.", "").len(), 0);
    assert_eq!(
        found_in("", "// [SAFE-7]"),
        ["proto/src/wire/packet.rs: SAFE-7 is not defined"]
    );
}

#[test]
fn code_after_a_test_item_is_source_again() {
    let source = "#[cfg(test)]\nuse x::y; // WIRE-1\n// WIRE-2\nfn f() {\n}\n";
    let file = TextFile::new("proto/src/wire/packet.rs", source);
    assert_eq!(
        test_lines(&file, &BTreeSet::new()),
        [true, true, false, false, false]
    );
}

#[test]
fn a_module_that_is_compiled_for_tests_only_is_a_test() {
    let text = "#[cfg(test)]\nmod overhead;\nmod packet;\n";
    let modules = test_modules(&[
        TextFile::new("proto/src/wire/mod.rs", text),
        TextFile::new(
            "proto/src/leg/plan.rs",
            "#[cfg(test)]\npub(crate) mod model;\n",
        ),
    ]);
    for (path, is_test) in [
        ("proto/src/wire/overhead.rs", true),
        ("proto/src/wire/overhead/typical.rs", true),
        ("proto/src/wire/packet.rs", false),
        ("proto/src/leg/plan/model.rs", true),
        ("proto/src/leg/model.rs", false),
    ] {
        let file = TextFile::new(path, "// WIRE-1");
        assert_eq!(test_lines(&file, &modules), [is_test], "{path}");
    }
}
