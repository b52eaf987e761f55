//! The keys that mean something, and what happens to them.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Up, W.
    Forward,
    /// Down, S.
    Back,
    /// Left, A.
    Left,
    /// Right, D.
    Right,
    /// The space bar.
    DeadMan,
    /// R.
    Resume,
    /// Esc.
    Stop,
    /// Q, Ctrl-C, Ctrl-D.
    Quit,
}

/// What happened to the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFact {
    /// Went down. A terminal that does not tell repeats from presses says it again and again while the key is held.
    Pressed(Key),
    /// Went up.
    Released(Key),
    /// The terminal lost the keyboard: what is released from now on is not told.
    FocusLost,
}

impl KeyFact {
    /// What the terminal's event says about the keys; none for all other events.
    pub fn from_event(event: &Event) -> Option<KeyFact> {
        match event {
            Event::FocusLost => Some(KeyFact::FocusLost),
            Event::Key(key) => match key.kind {
                KeyEventKind::Press => Key::of(key).map(KeyFact::Pressed),
                // Whatever is held beside it: a key that goes up must never be overheard.
                KeyEventKind::Release => Key::of_code(key.code).map(KeyFact::Released),
                KeyEventKind::Repeat => None,
            },
            Event::FocusGained | Event::Mouse(_) | Event::Resize(_, _) => None,
        }
    }
}

impl Key {
    fn of(event: &KeyEvent) -> Option<Key> {
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            let ends = event.code.is_char('c') || event.code.is_char('d');
            return ends.then_some(Key::Quit);
        }
        Key::of_code(event.code)
    }

    fn of_code(code: KeyCode) -> Option<Key> {
        if let Some(letter) = code.as_char() {
            return match letter.to_ascii_lowercase() {
                'w' => Some(Key::Forward),
                's' => Some(Key::Back),
                'a' => Some(Key::Left),
                'd' => Some(Key::Right),
                ' ' => Some(Key::DeadMan),
                'r' => Some(Key::Resume),
                'q' => Some(Key::Quit),
                _ => None,
            };
        }
        [
            (KeyCode::Up, Key::Forward),
            (KeyCode::Down, Key::Back),
            (KeyCode::Left, Key::Left),
            (KeyCode::Right, Key::Right),
            (KeyCode::Esc, Key::Stop),
        ]
        .into_iter()
        .find_map(|(named, key)| (named == code).then_some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(code: KeyCode, modifiers: KeyModifiers, kind: KeyEventKind) -> Option<KeyFact> {
        KeyFact::from_event(&Event::Key(KeyEvent::new_with_kind(code, modifiers, kind)))
    }

    #[test]
    fn arrows_and_letters_mean_the_same_in_either_case() {
        let none = KeyModifiers::NONE;
        for code in [KeyCode::Up, KeyCode::Char('w'), KeyCode::Char('W')] {
            assert_eq!(
                fact(code, none, KeyEventKind::Press),
                Some(KeyFact::Pressed(Key::Forward))
            );
        }
        assert_eq!(
            fact(KeyCode::Char(' '), none, KeyEventKind::Release),
            Some(KeyFact::Released(Key::DeadMan))
        );
        assert_eq!(fact(KeyCode::Up, none, KeyEventKind::Repeat), None);
    }

    #[test]
    fn a_release_is_told_whatever_else_is_held() {
        for modifiers in [
            KeyModifiers::CONTROL,
            KeyModifiers::ALT,
            KeyModifiers::SHIFT,
        ] {
            assert_eq!(
                fact(KeyCode::Char(' '), modifiers, KeyEventKind::Release),
                Some(KeyFact::Released(Key::DeadMan))
            );
        }
    }

    #[test]
    fn control_c_quits_and_control_w_does_not_drive() {
        let control = KeyModifiers::CONTROL;
        assert_eq!(
            fact(KeyCode::Char('c'), control, KeyEventKind::Press),
            Some(KeyFact::Pressed(Key::Quit))
        );
        assert_eq!(fact(KeyCode::Char('w'), control, KeyEventKind::Press), None);
    }
}
