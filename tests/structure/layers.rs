//! Inside `proto`, a folder is a layer and names only itself and the layers before it.

use super::repository::{TextFile, assert_none, text_files};
use super::rust_source::{Token, tokens};

/// The layers of `proto`, lowest first.
const LAYERS: [&str; 9] = [
    "base", "wire", "path", "leg", "crypto", "session", "control", "hub", "role",
];

#[test]
fn layers_of_proto_name_only_layers_before_them() {
    let files = text_files();
    assert!(files.iter().any(|file| file.path == "proto/src/lib.rs"));
    assert_none(&violations(&files));
}

/// One line for each path that leads to a later layer, and for each source that is in no layer.
fn violations(files: &[TextFile]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let Some(module) = file
            .path
            .strip_prefix("proto/src/")
            .and_then(|path| path.strip_suffix(".rs"))
            .filter(|module| *module != "lib")
        else {
            continue;
        };
        let mut modules: Vec<&str> = module.split('/').collect();
        modules.pop_if(|last| *last == "mod");
        let own = modules.first().copied().unwrap_or_default();
        let Some(layer) = position(own) else {
            found.push(format!("{}: {own} is no layer", file.path));
            continue;
        };
        for (name, line) in names_at_root(&tokens(&file.text), modules.len()) {
            let place = format!("{}:{line}", file.path);
            match position(name) {
                Some(other) if other > layer => {
                    found.push(format!("{place}: {own} comes before {name}"));
                }
                Some(_) => {}
                None => found.push(format!("{place}: {name} is no layer")),
            }
        }
    }
    found
}

fn position(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == name)
}

/// The names directly below the crate's root that the source names by `crate::` or by enough `super::`. `depth` is how
/// many modules deep the file is.
fn names_at_root<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<(&'a str, usize)> {
    let mut names = Vec::new();
    // For each open brace, whether it is an inline module's.
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text {
            "{" => braces.push(at >= 3 && tokens[at - 3].text == "mod"),
            "}" => {
                braces.pop();
            }
            "crate" if follows(tokens, at, "::") => {
                names.extend(first_names(&tokens[at + 2..]));
            }
            "super" => {
                let mut climbed = 1;
                while follows(tokens, at, "::") && is(tokens, at + 2, "super") {
                    (climbed, at) = (climbed + 1, at + 3);
                }
                let here = depth + braces.iter().filter(|module| **module).count();
                if climbed >= here && follows(tokens, at, "::") {
                    names.extend(first_names(&tokens[at + 2..]));
                }
            }
            _ => {}
        }
    }
    names
}

/// The name that follows, or each first name of the group in braces that follows.
fn first_names<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize)> {
    let mut names = Vec::new();
    let (mut depth, mut begins) = (0, true);
    for token in tokens {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => begins = depth == 1,
            name => {
                if begins {
                    names.push((name, token.line));
                }
                begins = false;
            }
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Whether the punctuation stands at this place.
fn follows(tokens: &[Token<'_>], at: usize, punctuation: &str) -> bool {
    punctuation
        .char_indices()
        .all(|(i, _)| is(tokens, at + i, &punctuation[i..=i]))
}

fn is(tokens: &[Token<'_>], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

fn found_in(path: &str, text: &str) -> Vec<String> {
    violations(&[TextFile::new(path, text)])
}

#[test]
fn a_layer_may_name_itself_and_layers_before_it() {
    let text = "use crate::base::Name;\nuse crate::{base::Flow, wire::{Packet, leb}};\n\
                // crate::role is the last\nuse super::Chunk;\nmod tests { use super::super::x; }";
    assert_none(&found_in("proto/src/wire/packet.rs", text));
    assert_none(&found_in(
        "proto/src/wire/mod.rs",
        "mod tests { use super::*; }",
    ));
}

#[test]
fn a_layer_that_names_a_later_one_is_found() {
    for text in [
        "use crate::leg::Leg;",
        "use crate::{base::Name, leg::Leg};",
        "use crate::{base::{Flow, Name}, leg};",
        "fn f() { crate::leg::plan() }",
        "use super::super::leg::Leg;",
        "mod tests { use super::super::super::leg::Leg; }",
    ] {
        assert_eq!(
            found_in("proto/src/wire/packet.rs", text),
            ["proto/src/wire/packet.rs:1: wire comes before leg"],
            "{text}"
        );
    }
    assert_eq!(
        found_in("proto/src/wire/mod.rs", "\nuse super::leg::Leg;"),
        ["proto/src/wire/mod.rs:2: wire comes before leg"]
    );
}

#[test]
fn a_source_outside_the_layers_is_found() {
    assert_eq!(found_in("proto/src/utils.rs", "").len(), 1);
    assert_eq!(found_in("proto/src/shared/mod.rs", "").len(), 1);
    assert_eq!(
        found_in("proto/src/wire/mod.rs", "use crate::Everything;").len(),
        1
    );
}
