//! How a program says that something is wrong.

use super::program::{Ended, Program};

/// Fails unless the program ends with this code and one line that says all of this; returns the line.
pub fn expect(program: &str, arguments: &[String], code: i32, parts: &[&str]) -> String {
    let ended = Program::start(program, arguments).ended();
    only_line(program, arguments, &ended, code, parts)
}

/// The same for a program that has ended.
pub fn only_line(
    program: &str,
    arguments: &[String],
    ended: &Ended,
    code: i32,
    parts: &[&str],
) -> String {
    let what = format!("{program} {arguments:?}: {ended:?}");
    assert_eq!(ended.code, Some(code), "{what}");
    assert_eq!(ended.stdout.len(), 0, "{what}");
    let prefix = format!("{program}: ");
    let mut own = ended.stderr.iter().filter(|line| line.starts_with(&prefix));
    let line = own.next_back().unwrap_or_else(|| panic!("{what}"));
    assert_eq!(own.next(), None, "{what}");
    assert!(!ended.stderr.concat().contains("panicked"), "{what}");
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    line.clone()
}
