//! Letters for the vehicle that its own program has not done with.

use std::collections::BTreeMap;

use longrein_proto::base::{Name, NodeName};
use longrein_proto::wire::hub::{Cursor, MessageId, Post, Want};

use crate::hub_json::{quoted, value};

/// Letters in the order in which they came. Those of the mailbox stay there until the program has done with them, whatever ends
/// meanwhile; the others are for a program that is here.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    all: BTreeMap<u64, Letter>,
    bytes: usize,
    last: u64,
    /// Of the store that numbered the mailbox.
    epoch: u64,
    /// The number of the newest letter of the mailbox.
    newest_kept: u64,
}

/// One letter.
#[derive(Debug)]
struct Letter {
    id: MessageId,
    from: NodeName,
    want: Want,
    /// Its number in the mailbox.
    kept: Option<u64>,
    bytes: usize,
    text: String,
    is_given: bool,
}

/// Whom to tell what became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) id: MessageId,
    pub(crate) from: NodeName,
    pub(crate) is_awaited: bool,
    /// Below this number the mailbox need not keep anything any more.
    pub(crate) taken_below: Option<u64>,
}

impl Letters {
    /// A letter came; false when as many wait as may.
    pub(crate) fn add(&mut self, post: &Post, room: Option<&Name>, cursor: Option<Cursor>) -> bool {
        if let Some(cursor) = cursor
            && cursor.epoch != self.epoch
        {
            // Their numbers mean nothing any more, and what is still there comes again.
            self.retain(|letter| letter.kept.is_none());
            (self.epoch, self.newest_kept) = (cursor.epoch, 0);
        }
        let bytes = post.payload.0.len();
        if self.all.len() >= LETTERS_MAX || self.bytes + bytes > LETTERS_BYTES_MAX {
            return false;
        }
        let kept = cursor.map(|cursor| cursor.number);
        self.newest_kept = self.newest_kept.max(kept.unwrap_or_default());
        self.last += 1;
        self.bytes += bytes;
        let letter = Letter {
            id: post.id,
            from: post.from.clone(),
            want: post.want,
            kept,
            bytes,
            text: text_of(self.last, post, room, kept.is_some()),
            is_given: false,
        };
        self.all.insert(self.last, letter);
        true
    }

    /// The next letter for the program, unless it has not done with as much as it may have.
    pub(crate) fn next(&mut self) -> Option<String> {
        let given = self.all.values().filter(|letter| letter.is_given);
        let (count, bytes) = given.fold((0, 0), |(count, bytes), letter| {
            (count + 1, bytes + letter.bytes)
        });
        let letter = self.all.values_mut().find(|letter| !letter.is_given)?;
        if count > 0 && (count >= GIVEN_MAX || bytes + letter.bytes > GIVEN_BYTES_MAX) {
            return None;
        }
        letter.is_given = true;
        Some(letter.text.clone())
    }

    /// The program has done with a letter; none when there is no such letter.
    pub(crate) fn settle(&mut self, number: u64) -> Option<Settled> {
        let is_given = self.all.get(&number).is_some_and(|letter| letter.is_given);
        let letter = is_given.then(|| self.all.remove(&number)).flatten()?;
        self.bytes -= letter.bytes;
        let oldest = self.all.values().filter_map(|letter| letter.kept).min();
        Some(Settled {
            id: letter.id,
            from: letter.from,
            is_awaited: letter.want == Want::Applied,
            taken_below: letter
                .kept
                .map(|_| oldest.unwrap_or(self.newest_kept.saturating_add(1))),
        })
    }

    /// The program has gone: another one gets the letters of the mailbox, and nobody the others.
    pub(crate) fn on_reader_gone(&mut self) -> Vec<Settled> {
        let live = self.all.values().filter(|letter| letter.kept.is_none());
        let lost = live.map(|letter| Settled {
            id: letter.id,
            from: letter.from.clone(),
            is_awaited: letter.want == Want::Applied,
            taken_below: None,
        });
        let lost = lost.collect();
        self.retain(|letter| letter.kept.is_some());
        for letter in self.all.values_mut() {
            letter.is_given = false;
        }
        lost
    }

    fn retain(&mut self, stays: impl Fn(&Letter) -> bool) {
        self.all.retain(|_, letter| stays(letter));
        self.bytes = self.all.values().map(|letter| letter.bytes).sum();
    }
}

fn text_of(number: u64, post: &Post, room: Option<&Name>, is_kept: bool) -> String {
    let want = match post.want {
        Want::Nothing => "nothing",
        Want::Delivered => "delivered",
        Want::Applied => "applied",
    };
    format!(
        r#"{{"letter":{{"letter":{number},"from":"{}","flow":{},"room":{},"kept":{is_kept},"want":"{want}","at_ms":{},"until_ms":{},{}}}}}"#,
        post.from,
        quoted(post.flow.as_ref()),
        quoted(room),
        post.at_ms,
        post.until_ms,
        value("payload", &post.payload),
    )
}

/// Letters that are kept here: as many as a mailbox holds, and some others.
const LETTERS_MAX: usize = 1_064;
/// Bytes of these.
const LETTERS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Letters that the program has and has not done with.
const GIVEN_MAX: usize = 16;
/// Bytes of these, but always one letter: as hexadecimal text twice as many, which a socket takes.
const GIVEN_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use longrein_proto::base::Class;
    use longrein_proto::wire::hub::Bytes;

    use super::*;

    fn post(payload: &[u8]) -> Post {
        Post {
            id: MessageId([1; 16]),
            from: "controller/alice".parse().unwrap(),
            class: Class::Reliable,
            flow: Some("plan".parse().unwrap()),
            at_ms: 5,
            until_ms: 6,
            want: Want::Applied,
            payload: Bytes::from(payload),
        }
    }

    fn kept(number: u64) -> Option<Cursor> {
        Some(Cursor { epoch: 1, number })
    }

    #[test]
    fn a_letter_is_text_for_the_program_and_what_is_no_json_is_hexadecimal() {
        let mut letters = Letters::default();
        assert!(letters.add(&post(b"{\"go\":1}"), None, kept(3)));
        assert!(letters.add(&post(&[0xfd, 0]), Some(&"yard".parse().unwrap()), None));
        let text = letters.next().unwrap();
        assert_eq!(
            text,
            r#"{"letter":{"letter":1,"from":"controller/alice","flow":"plan","room":null,"kept":true,"want":"applied","at_ms":5,"until_ms":6,"payload":{"go":1}}}"#
        );
        let text = letters.next().unwrap();
        assert!(text.contains(r#""room":"yard","kept":false"#), "{text}");
        assert!(text.contains(r#""payload_hex":"fd00""#), "{text}");
        assert_eq!(letters.next(), None);
    }

    #[test]
    fn the_mailbox_keeps_what_is_not_done_with_and_all_behind_it() {
        let mut letters = Letters::default();
        for number in 1..=3 {
            assert!(letters.add(&post(b"1"), None, kept(number)));
            letters.next().unwrap();
        }
        let below = |settled: Option<Settled>| settled.unwrap().taken_below;
        assert_eq!(below(letters.settle(2)), Some(1));
        assert_eq!(letters.settle(2), None);
        assert_eq!(below(letters.settle(1)), Some(3));
        assert_eq!(below(letters.settle(3)), Some(4));
    }

    #[test]
    fn another_program_gets_the_letters_of_the_mailbox_that_the_first_did_not_do() {
        let mut letters = Letters::default();
        letters.add(&post(b"1"), None, kept(1));
        letters.add(&post(b"2"), None, None);
        letters.next().unwrap();
        letters.next().unwrap();
        assert_eq!(letters.on_reader_gone().len(), 1);
        assert_eq!(letters.settle(1), None, "nobody has it");
        assert!(letters.next().unwrap().contains(r#""letter":1"#));
        assert_eq!(letters.next(), None);
    }

    #[test]
    fn a_store_that_begins_anew_gives_all_letters_again() {
        let mut letters = Letters::default();
        letters.add(&post(b"1"), None, kept(7));
        let other = Cursor {
            epoch: 2,
            number: 1,
        };
        letters.add(&post(b"1"), None, Some(other));
        let text = letters.next().unwrap();
        assert!(text.contains(r#""letter":2"#), "{text}");
        assert_eq!(letters.settle(2).unwrap().taken_below, Some(2));
    }

    #[test]
    fn what_waits_and_what_the_program_has_is_bounded() {
        let mut letters = Letters::default();
        let mut taken = 0;
        while letters.add(&post(b"1"), None, kept(taken + 1)) {
            taken += 1;
        }
        assert_eq!(taken, LETTERS_MAX as u64);
        let given = std::iter::from_fn(|| letters.next()).count();
        assert_eq!(given, GIVEN_MAX);
        let mut letters = Letters::default();
        for number in 1..=3 {
            letters.add(&post(&[0; 65_536]), None, kept(number));
        }
        assert!(letters.next().is_some());
        assert_eq!(letters.next(), None);
    }
}
