//! What is undone was never done.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Set(usize, Option<u64>, Vec<Change>),
    RemoveOwner(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let revision = || option::weighted(0.2, 0..4_u64);
    let value = option::weighted(0.7, vec(any::<u8>(), 0..4));
    let change = (0..4_u8, revision(), value);
    let change = change.prop_map(|(key, if_revision, value)| Change {
        key: name(&format!("k{key}")),
        if_revision,
        value: value.map(Into::into),
    });
    prop_oneof![
        9 => (0..3_usize, revision(), vec(change, 0..4))
            .prop_map(|(place, if_revision, changes)| Step::Set(place, if_revision, changes)),
        1 => (0..3_usize).prop_map(Step::RemoveOwner),
    ]
}

proptest! {
    #[test]
    fn what_is_undone_in_reverse_order_was_never_done_and_revisions_only_grow(
        kept in vec(step(), 0..20),
        undone in vec(step(), 0..20),
    ) {
        let by = node("service/office");
        let places = [
            (room("yard"), ATTRIBUTES),
            (room("yard"), Section::Desired),
            (truck(), ATTRIBUTES),
        ];
        let mut all = documents();
        let go = |steps: Vec<Step>, all: &mut Documents<u8>| {
            let mut undos = Vec::new();
            for step in steps {
                match step {
                    Step::Set(place, if_revision, changes) => {
                        let (owner, section) = &places[place];
                        let before = all.get(owner, *section);
                        let written = all.set(1, &by, owner, *section, if_revision, &changes);
                        let after = all.get(owner, *section);
                        match written {
                            Ok(written) => {
                                prop_assert_eq!(written.revision, before.revision + 1);
                                prop_assert_eq!(written.revision, after.revision);
                                prop_assert_eq!(told(before, &written.told), after);
                                undos.push(written.undo);
                            }
                            Err(_) => prop_assert_eq!(after, before),
                        }
                    }
                    Step::RemoveOwner(place) => {
                        let removed = all.remove_owner(&places[place].0);
                        undos.extend(removed.into_iter().map(|(_, undo)| undo));
                    }
                }
                let bytes = all.documents.values().map(|d| counted(d)).sum::<usize>();
                prop_assert_eq!(all.bytes, bytes);
            }
            Ok(undos)
        };
        go(kept, &mut all)?;
        let before = (all.documents.clone(), all.bytes);
        for undo in go(undone, &mut all)?.into_iter().rev() {
            all.undo(undo);
        }
        prop_assert_eq!((all.documents, all.bytes), before);
    }
}

/// What who watched knows after it was told.
fn told(mut known: Document, told: &Told) -> Document {
    assert_eq!(known.revision, told.after);
    known.revision = told.revision;
    let is_told = |key: &Name| told.set.iter().any(|item| item.key == *key);
    known
        .items
        .retain(|item| !told.removed.contains(&item.key) && !is_told(&item.key));
    known.items.extend(told.set.iter().cloned());
    known.items.sort_by(|a, b| a.key.cmp(&b.key));
    known
}
