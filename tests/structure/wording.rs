//! What no file says: paths of somebody's machine, and in Rust sources what is left undone.

use super::repository::{TextFile, assert_none, text_files};

/// Paths of the machines on which people build this. Cut in two, so that this file does not say them.
const MACHINE_PATHS: [&str; 3] = [
    concat!("/", "work/"),
    concat!("/", "farm/"),
    concat!("/tmp", "/lr"),
];

/// Marks of what is not done.
const UNDONE: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
];

#[test]
fn no_file_names_a_machine_path_or_leaves_a_mark_of_undone_work() {
    assert_none(&violations(&text_files()));
}

/// One line for each such word.
fn violations(files: &[TextFile]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let undone: &[&str] = match file.path.ends_with(".rs") {
            true => &UNDONE,
            false => &[],
        };
        for (line, text) in (1..).zip(file.text.lines()) {
            for word in MACHINE_PATHS.iter().chain(undone) {
                if text.contains(word) {
                    found.push(format!("{}:{line}: {word}", file.path));
                }
            }
        }
    }
    found
}

#[test]
fn each_such_word_is_found() {
    for word in MACHINE_PATHS.iter().chain(&UNDONE) {
        let text = format!("fine\n// {word}x\n");
        assert_eq!(
            violations(&[TextFile::new("io/src/lib.rs", &text)]),
            [format!("io/src/lib.rs:2: {word}")]
        );
    }
    let text = format!("{} later", UNDONE[0]);
    assert_none(&violations(&[TextFile::new("README.md", &text)]));
}
