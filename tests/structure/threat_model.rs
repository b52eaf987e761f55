//! What the threat model says is shown by a test is shown by a test.

use std::collections::BTreeSet;

use super::repository::{TextFile, assert_none, text_files};

#[test]
fn each_test_that_the_threat_model_names_exists() {
    let files = text_files();
    let model = files
        .iter()
        .find(|file| file.path == "docs/threat-model.md");
    let model = model.expect("the threat model is there");
    assert!(named(&model.text).count() > 20);
    assert_none(&violations(&model.text, &files));
}

/// One line for each test that there is not.
fn violations(model: &str, files: &[TextFile]) -> Vec<String> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    let known: BTreeSet<&str> = sources
        .flat_map(|file| file.text.lines())
        .filter_map(|line| line.trim_start().strip_prefix("fn "))
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name)
        .collect();
    named(model)
        .filter(|name| !known.contains(name))
        .map(|name| format!("docs/threat-model.md: there is no test {name}"))
        .collect()
}

/// Words in code that read as a sentence.
fn named(model: &str) -> impl Iterator<Item = &str> {
    let code = model.split('`').skip(1).step_by(2);
    code.filter(|word| word.matches('_').count() >= 3 && !word.contains(['/', ' ', '\n']))
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let files = [TextFile::new(
        "io/src/x.rs",
        "    fn what_is_there_holds() {}\n",
    )];
    let model = "see `what_is_there_holds` and `what_is_not_there`, `a_b` and `x/y_z_a_b`";
    assert_eq!(
        violations(model, &files),
        ["docs/threat-model.md: there is no test what_is_not_there"]
    );
}
