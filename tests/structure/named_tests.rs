//! What documents say is shown by a test is shown by a test.

use std::collections::BTreeSet;

use super::repository::{TextFile, assert_none, text_files};

#[test]
fn each_test_that_a_document_names_exists() {
    let files = text_files();
    for path in ["docs/threat-model.md", "docs/compare.md"] {
        let document = files.iter().find(|file| file.path == path);
        let document = document.expect("the document is there");
        assert!(named(&document.text).count() > 20);
        assert_none(&violations(document, &files));
    }
}

/// One line for each test that there is not.
fn violations(document: &TextFile, files: &[TextFile]) -> Vec<String> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    let known: BTreeSet<&str> = sources
        .flat_map(|file| file.text.lines())
        .map(|line| line.trim_start().trim_start_matches("async "))
        .filter_map(|line| line.strip_prefix("fn "))
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name)
        .collect();
    named(&document.text)
        .filter(|name| !known.contains(name))
        .map(|name| format!("{}: there is no test {name}", document.path))
        .collect()
}

/// Words in code that read as a sentence.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|word| word.matches('_').count() >= 3 && !word.contains(['/', ' ', '\n']))
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let files = [TextFile::new(
        "io/src/x.rs",
        "    fn what_is_there_holds() {}\n",
    )];
    let model = TextFile::new(
        "docs/model.md",
        "see `what_is_there_holds` and `what_is_not_there`, `a_b` and `x/y_z_a_b`",
    );
    assert_eq!(
        violations(&model, &files),
        ["docs/model.md: there is no test what_is_not_there"]
    );
}
