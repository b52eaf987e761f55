//! Journals against a plain model.

use std::collections::BTreeMap;

use longrein_proto::hub::{Entry, Page, Query, ReadFrom};
use proptest::prelude::*;

use super::super::testing::{Folder, entry};
use super::*;

/// Journals as plain as can be.
#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<Arc<str>, ModelJournal>);

#[derive(Clone, Debug, Default)]
struct ModelJournal {
    /// With the time that counts for reading.
    entries: Vec<(u64, Entry)>,
    next: u64,
    time_ms: u64,
}

impl Model {
    fn apply(&mut self, op: &StoreOp) {
        match op {
            StoreOp::Append { journal, entry } => {
                let journal = self.0.entry(Arc::clone(journal)).or_default();
                journal.time_ms = journal.time_ms.max(entry.at_ms);
                journal.next = entry.number + 1;
                journal.entries.push((journal.time_ms, entry.clone()));
            }
            StoreOp::Retain {
                journal,
                count_max,
                bytes_max,
                not_before_ms,
            } => {
                let Some(journal) = self.0.get_mut(journal) else {
                    return;
                };
                while journal.entries.first().is_some_and(|(_, oldest)| {
                    let bytes = journal.bytes();
                    journal.entries.len() as u64 > *count_max
                        || bytes > *bytes_max
                        || oldest.at_ms < *not_before_ms
                }) {
                    journal.entries.remove(0);
                }
            }
            StoreOp::Discard { journal, below } => {
                if let Some(journal) = self.0.get_mut(journal) {
                    journal.entries.retain(|(_, entry)| entry.number >= *below);
                }
            }
            StoreOp::Drop { journal } => drop(self.0.remove(journal)),
            StoreOp::Put { .. } | StoreOp::Remove { .. } => unreachable!("journals only"),
        }
    }

    fn heads(&self) -> Vec<(Arc<str>, JournalHead)> {
        self.0
            .iter()
            .map(|(name, journal)| {
                let first = journal.entries.first();
                let head = JournalHead {
                    first: first.map_or(journal.next, |(_, entry)| entry.number),
                    next: journal.next,
                    count: journal.entries.len() as u64,
                    bytes: journal.bytes(),
                };
                (Arc::clone(name), head)
            })
            .collect()
    }

    fn read(&self, query: &Query) -> Page {
        let mut entries = self
            .0
            .get(&query.journal)
            .map_or(vec![], |journal| journal.entries.clone());
        if query.backwards {
            entries.reverse();
        }
        let is_in = |time_ms: u64, number: u64| match (query.from, query.backwards) {
            (ReadFrom::Number(from), false) => number >= from,
            (ReadFrom::Number(from), true) => number <= from,
            (ReadFrom::Time(from), false) => time_ms >= from,
            (ReadFrom::Time(from), true) => time_ms <= from,
        };
        entries.retain(|(time_ms, entry)| is_in(*time_ms, entry.number));
        let mut page = Page::default();
        let mut bytes = 0;
        for (_, entry) in entries {
            bytes += entry.bytes.len();
            let is_full = page.entries.len() == query.count_max || bytes > query.bytes_max;
            if is_full && !page.entries.is_empty() {
                page.more = true;
                break;
            }
            page.entries.push(entry);
        }
        page
    }
}

impl ModelJournal {
    fn bytes(&self) -> u64 {
        self.entries
            .iter()
            .map(|(_, entry)| entry.bytes.len() as u64)
            .sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Journal, step of the number, step of the clock, length.
    Append(usize, u64, i64, usize),
    Retain(usize, u64, u64, u64),
    Discard(usize, u64),
    Drop(usize),
    Read(Query),
    Reopen,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..NAMES.len();
    let query = (
        name.clone(),
        any::<bool>(),
        any::<bool>(),
        0_u64..1_200,
        1_usize..6,
        0_usize..120,
    )
        .prop_map(
            |(name, backwards, by_time, at, count_max, bytes_max)| Query {
                journal: NAMES[name].into(),
                from: match by_time {
                    true => ReadFrom::Time(at),
                    false => ReadFrom::Number(at / 8),
                },
                backwards,
                count_max,
                bytes_max,
            },
        );
    let step = prop_oneof![
        12 => (name.clone(), 1_u64..5, -30_i64..60, 0_usize..40)
            .prop_map(|(name, number, ms, bytes)| Step::Append(name, number, ms, bytes)),
        2 => (name.clone(), 0_u64..12, 0_u64..200, 0_u64..1_200)
            .prop_map(|(name, count, bytes, ms)| Step::Retain(name, count, bytes, ms)),
        2 => (name.clone(), 0_u64..120).prop_map(|(name, below)| Step::Discard(name, below)),
        1 => name.prop_map(Step::Drop),
        8 => query.prop_map(Step::Read),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn journals_are_as_in_a_plain_model(steps in steps()) {
        let folder = Folder::new();
        let mut store = folder.open();
        let mut reader = store.reader().unwrap();
        let mut model = Model::default();
        let (mut number, mut now_ms) = (0, 500_i64);
        for step in steps {
            let op = match step {
                Step::Append(name, numbers, ms, bytes) => {
                    number += numbers;
                    now_ms = (now_ms + ms).max(0);
                    let entry = entry(number, now_ms.unsigned_abs(), bytes);
                    StoreOp::Append { journal: NAMES[name].into(), entry }
                }
                Step::Retain(name, count_max, bytes_max, not_before_ms) => {
                    StoreOp::Retain { journal: NAMES[name].into(), count_max, bytes_max, not_before_ms }
                }
                Step::Discard(name, below) => StoreOp::Discard { journal: NAMES[name].into(), below },
                Step::Drop(name) => StoreOp::Drop { journal: NAMES[name].into() },
                Step::Read(query) => {
                    prop_assert_eq!(reader.read(&query).unwrap(), model.read(&query));
                    continue;
                }
                Step::Reopen => {
                    drop(reader);
                    drop(store);
                    store = folder.open();
                    reader = store.reader().unwrap();
                    prop_assert_eq!(store.load().unwrap().journals, model.heads());
                    continue;
                }
            };
            let before = model.heads();
            model.apply(&op);
            let committed = store.commit(&[vec![op.clone()]]).unwrap().remove(0);
            let is_cut = matches!(op, StoreOp::Retain { .. } | StoreOp::Discard { .. });
            let mut expected = model.heads();
            expected.retain(|head| is_cut && !before.contains(head));
            prop_assert_eq!(committed.shortened, expected);
        }
        prop_assert_eq!(store.load().unwrap().journals, model.heads());
    }
}
