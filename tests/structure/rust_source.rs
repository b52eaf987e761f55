//! Rust source as words, without comments and literals.

/// A word (identifier, keyword, number) or one character of punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The word or character.
    pub text: &'a str,
    /// From 1.
    pub line: usize,
}

/// The tokens of a source text. Comments, strings, characters and lifetimes are left out.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = comment(rest)
            .or_else(|| literal(rest))
            .unwrap_or_else(|| word(rest).max(first.len_utf8()));
        let (token, after) = rest.split_at(length);
        let skipped = comment(rest).is_some() || literal(rest).is_some();
        if !skipped && !first.is_whitespace() {
            tokens.push(Token { text: token, line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Bytes of the word that the text begins with.
fn word(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// Bytes of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (1, 2);
    while depth > 0 && at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(at)
}

/// Bytes of the string, character or lifetime that the text begins with.
fn literal(text: &str) -> Option<usize> {
    for raw in ["r", "br", "cr"] {
        let Some(after) = text.strip_prefix(raw) else {
            continue;
        };
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let begin = raw.len() + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            let found = text[begin..].find(&end);
            return Some(found.map_or(text.len(), |at| begin + at + end.len()));
        }
    }
    let prefix = usize::from(text.starts_with("b\"") || text.starts_with("b'"));
    match text[prefix..].chars().next()? {
        '"' => Some(prefix + quoted(&text[prefix..], '"')),
        '\'' => {
            let mut inside = text[prefix + 1..].chars();
            let (first, second) = (inside.next()?, inside.next());
            if first == '\\' || second == Some('\'') {
                Some(prefix + quoted(&text[prefix..], '\''))
            } else {
                Some(prefix + 1 + word(&text[prefix + 1..]))
            }
        }
        _ => None,
    }
}

/// Bytes up to and with the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[test]
fn comments_strings_characters_and_lifetimes_are_no_tokens() {
    let text = r##"use a::b; // crate::x
/* crate::y /* nested */ */ fn f<'a>(c: char) -> &'a str {
    if c == '"' || c == '\'' || c == b'x' as char { "crate::\"z" } else { r#"crate::"w" "# }
}"##;
    let words: Vec<&str> = tokens(text)
        .iter()
        .map(|token| token.text)
        .filter(|text| word(text) > 0)
        .collect();
    assert_eq!(
        words,
        [
            "use", "a", "b", "fn", "f", "c", "char", "str", "if", "c", "c", "c", "as", "char",
            "else"
        ]
    );
    assert_eq!(tokens(text).last().map(|token| token.line), Some(4));
}
