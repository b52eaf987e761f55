//! Patterns for the names of interfaces.

/// Whether a name matches, in which `*` stands for any characters, also none, and `?` for one.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: that takes one character more.
    let mut again = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                again = Some((p, n));
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(plain) if name.get(n) == Some(plain) => (p, n) = (p + 1, n + 1),
            Some(_) | None => {
                let Some((after, from)) = again else {
                    return false;
                };
                (p, n) = (after, from + 1);
                again = Some((after, from + 1));
            }
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == b'*')
}

/// Whether it is a pattern, and not the name of one interface.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_characters_and_a_question_mark_is_one() {
        for (pattern, fits, does_not) in [
            (
                "wwan*",
                &["wwan", "wwan0", "wwan0_qmi"][..],
                &["wan0", "wlan0"][..],
            ),
            ("wwan?", &["wwan0", "wwan9"], &["wwan", "wwan10"]),
            ("*", &["x", ""], &[]),
            ("*s*0", &["enp0s20u1u0", "s0"], &["enp0s20u1", "0s"]),
            ("enx*?", &["enx0", "enx012"], &["enx"]),
            ("eth0", &["eth0"], &["eth", "eth00", "Eth0"]),
        ] {
            for name in fits {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in does_not {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }
}
