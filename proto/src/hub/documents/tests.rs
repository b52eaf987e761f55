//! Behaviours of documents.

mod undoing;

use super::*;
use crate::base::limits::HUB_MESSAGE_BYTES_MAX;
use crate::wire::hub::{Answer, Tell};

const ATTRIBUTES: Section = Section::Attributes;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn node(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn truck() -> Owner {
    Owner::Node(node("agent/truck-17"))
}

fn room(text: &str) -> Owner {
    Owner::Room(name(text))
}

fn change(key: &str, if_revision: Option<u64>, value: Option<&[u8]>) -> Change {
    Change {
        key: name(key),
        if_revision,
        value: value.map(Into::into),
    }
}

fn put(key: &str, value: &[u8]) -> Change {
    change(key, None, Some(value))
}

fn remove(key: &str) -> Change {
    change(key, None, None)
}

fn documents() -> Documents<u8> {
    Documents::new()
}

fn set(
    documents: &mut Documents<u8>,
    if_revision: Option<u64>,
    changes: &[Change],
) -> Result<Written, HubRefusal> {
    let by = node("service/office");
    documents.set(1_000, &by, &truck(), ATTRIBUTES, if_revision, changes)
}

fn items(documents: &Documents<u8>) -> Vec<(String, u64, Vec<u8>)> {
    let document = documents.get(&truck(), ATTRIBUTES);
    let items = document.items.into_iter();
    items
        .map(|item| (item.key.to_string(), item.revision, item.value.0.to_vec()))
        .collect()
}

fn conflict(revision: u64) -> Result<Written, HubRefusal> {
    Err(HubRefusal::Conflict { revision })
}

#[test]
fn a_document_that_was_never_written_is_empty() {
    assert_eq!(documents().get(&truck(), ATTRIBUTES), Document::default());
}

#[test]
fn a_write_makes_a_revision_and_says_what_to_store_and_to_tell() {
    let mut all = documents();
    set(&mut all, None, &[put("b", b"1"), put("a", b"2")]).unwrap();
    let changes = [put("b", b"3"), put("c", b""), remove("a"), remove("x")];
    let written = set(&mut all, None, &changes).unwrap();
    let document = all.get(&truck(), ATTRIBUTES);
    assert_eq!((written.revision, document.revision), (2, 2));
    let expected = [("b".into(), 2, b"3".to_vec()), ("c".into(), 2, vec![])];
    assert_eq!(items(&all), expected);
    assert_eq!(document.items[0].by, node("service/office"));
    assert_eq!(document.items[0].at_ms, 1_000);
    let told = Told {
        after: 1,
        revision: 2,
        set: document.items.clone(),
        removed: vec![name("a")],
    };
    assert_eq!(written.told, told);
    let op = StoreOp::Put {
        table: Table::Documents,
        key: "node/agent/truck-17/attributes".into(),
        revision: 2,
        value: encode(&document),
    };
    assert_eq!(written.op, op);
}

#[test]
fn an_item_keeps_its_revision_while_others_are_set() {
    let mut all = documents();
    set(&mut all, None, &[put("a", b"1")]).unwrap();
    set(&mut all, None, &[put("b", b"2")]).unwrap();
    let revisions: Vec<u64> = items(&all).iter().map(|item| item.1).collect();
    assert_eq!(revisions, [1, 2]);
}

#[test]
fn a_write_that_expects_another_revision_changes_nothing_and_hears_which_there_is() {
    let mut all = documents();
    assert_eq!(set(&mut all, Some(1), &[put("a", b"1")]), conflict(0));
    assert!(set(&mut all, Some(0), &[put("a", b"1")]).is_ok());
    assert_eq!(set(&mut all, Some(0), &[put("a", b"2")]), conflict(1));
    set(&mut all, Some(1), &[put("b", b"1")]).unwrap();
    let only_new = change("a", Some(0), Some(b"2"));
    let changes = [put("b", b"2"), only_new];
    assert_eq!(set(&mut all, None, &changes), conflict(1));
    let newer = change("b", Some(1), Some(b"2"));
    assert_eq!(set(&mut all, None, &[newer]), conflict(2));
    let gone = change("c", Some(2), None);
    assert_eq!(set(&mut all, None, &[gone]), conflict(0));
    let expected = [
        ("a".into(), 1, b"1".to_vec()),
        ("b".into(), 2, b"1".to_vec()),
    ];
    assert_eq!(items(&all), expected);
    let right = [change("a", Some(1), None), change("c", Some(0), None)];
    assert_eq!(set(&mut all, Some(2), &right).map(|w| w.revision), Ok(3));
}

#[test]
fn a_revision_goes_on_when_all_items_are_gone() {
    let mut all = documents();
    set(&mut all, None, &[put("a", b"1")]).unwrap();
    set(&mut all, None, &[remove("a")]).unwrap();
    let document = all.get(&truck(), ATTRIBUTES);
    assert_eq!((document.revision, document.items.len()), (2, 0));
    let again = set(&mut all, None, &[put("a", b"1")]).unwrap();
    assert_eq!((again.told.after, again.revision), (2, 3));
}

#[test]
fn nothing_at_all_and_one_item_twice_are_malformed() {
    let mut all = documents();
    let malformed = Err(HubRefusal::Malformed);
    assert_eq!(set(&mut all, None, &[]), malformed);
    let twice = [put("a", b"1"), put("b", b"1"), remove("a")];
    assert_eq!(set(&mut all, None, &twice), malformed);
    assert_eq!(all.documents.len(), 0);
}

#[test]
fn a_value_a_document_and_their_number_have_bounds() {
    let mut all = documents();
    let long = vec![0; DOCUMENT_VALUE_BYTES_MAX + 1];
    let too_large = Err(HubRefusal::TooLarge);
    assert_eq!(set(&mut all, None, &[put("a", &long)]), too_large);
    let longest = &long[1..];
    let large: Vec<Change> = (0..8).map(|n| put(&format!("k{n}"), longest)).collect();
    assert_eq!(set(&mut all, None, &large), too_large);
    assert!(set(&mut all, None, &large[1..]).is_ok());

    let mut all = documents();
    let many: Vec<Change> = (0..65).map(|n| put(&format!("k{n}"), b"")).collect();
    assert_eq!(set(&mut all, None, &many), Err(HubRefusal::Full));
    assert!(set(&mut all, None, &many[1..]).is_ok());
    assert_eq!(set(&mut all, None, &many[..1]), Err(HubRefusal::Full));
    let exchange = [many[0].clone(), remove("k1")];
    assert!(set(&mut all, None, &exchange).is_ok());
}

#[test]
fn the_largest_document_and_the_largest_change_fit_one_message() {
    let mut all = documents();
    let longest = |front: &str, n: u32| format!("{front}-{n:046}");
    let by = NodeName::new(crate::base::NodeKind::Controller, name(&"c".repeat(48)));
    let owner = Owner::Node(by.clone());
    let value = [0; 1024 - 48 - DOCUMENT_ITEM_BYTES];
    let fill = |front: &str| -> Vec<Change> {
        let n = 0..DOCUMENT_ITEMS_MAX as u32;
        n.map(|n| put(&longest(front, n), &value)).collect()
    };
    let mut write = |changes: &[Change]| {
        let written = all.set(u64::MAX, &by, &owner, ATTRIBUTES, None, changes);
        (written, all.get(&owner, ATTRIBUTES), all.bytes)
    };
    let (_, _, bytes) = write(&fill("a"));
    assert_eq!(bytes, DOCUMENT_BYTES_MAX);
    let mut changes = fill("b");
    changes.extend(fill("a").iter().map(|change| remove(change.key.as_str())));
    let (written, mut document, bytes) = write(&changes);
    assert_eq!(bytes, DOCUMENT_BYTES_MAX);
    let mut told = written.unwrap().told;
    assert_eq!((told.set.len(), told.removed.len()), (64, 64));
    // As large as numbers become.
    for item in document.items.iter_mut().chain(&mut told.set) {
        item.revision = u64::MAX;
    }
    document.revision = u64::MAX;
    let answer = Tell::Answer {
        ask: u32::MAX,
        answer: Answer::Document(document),
    };
    assert!(encode(&answer).len() <= HUB_MESSAGE_BYTES_MAX);
    let tell = Tell::Document {
        watch: u32::MAX,
        owner: owner.clone(),
        section: ATTRIBUTES,
        after: u64::MAX,
        revision: u64::MAX,
        set: told.set,
        removed: told.removed,
    };
    assert!(encode(&tell).len() <= HUB_MESSAGE_BYTES_MAX);
}

#[test]
fn there_are_so_many_documents_and_no_more() {
    let mut all = documents();
    let by = node("service/office");
    let mut write = |number: usize, changes: &[Change]| {
        let owner = room(&format!("room-{number}"));
        all.set(0, &by, &owner, ATTRIBUTES, None, changes)
            .map(|written| written.revision)
    };
    for number in 0..DOCUMENTS_MAX {
        assert_eq!(write(number, &[remove("a")]), Ok(1));
    }
    assert_eq!(
        write(DOCUMENTS_MAX, &[put("a", b"")]),
        Err(HubRefusal::Full)
    );
    assert_eq!(write(0, &[put("a", b"")]), Ok(2));
}

#[test]
fn all_documents_together_have_so_many_bytes_and_what_is_removed_makes_room() {
    let mut all = documents();
    let by = node("service/office");
    let value = [0; DOCUMENT_VALUE_BYTES_MAX];
    let changes: Vec<Change> = (0..7).map(|n| put(&format!("k{n}"), &value)).collect();
    let owners = (0..).map(|number| room(&format!("room-{number}")));
    let mut results = owners.map(|owner| all.set(0, &by, &owner, ATTRIBUTES, None, &changes));
    let refused = results.find_map(Result::err);
    assert_eq!(refused, Some(HubRefusal::Full));
    let bytes = all.bytes;
    assert!(DOCUMENTS_BYTES_MAX - bytes < DOCUMENT_BYTES_MAX);
    let mut other = |owner: &Owner, changes: &[Change]| {
        all.set(0, &by, owner, ATTRIBUTES, None, changes).is_ok()
    };
    assert!(!other(&room("more"), &changes));
    assert!(other(&room("room-0"), &[remove("k0")]));
    assert_eq!(all.remove_owner(&room("room-0")).len(), 1);
    assert_eq!(all.bytes, bytes - bytes / (all.documents.len() + 1));
    let written = all.set(0, &by, &room("more"), ATTRIBUTES, None, &changes);
    assert_eq!((written.is_ok(), all.bytes), (true, bytes));
}

#[test]
fn what_was_stored_is_loaded_and_what_cannot_be_read_is_counted_and_left_out() {
    let mut all = documents();
    set(&mut all, None, &[put("b", b"1"), put("a", b"2")]).unwrap();
    let written = set(&mut all, None, &[put("c", b"3")]).unwrap();
    let StoreOp::Put { key, value, .. } = written.op else {
        panic!("not stored");
    };
    let mut document = all.get(&truck(), ATTRIBUTES);
    document.items.reverse();
    let other = |key: &str, revision, value: &Arc<[u8]>| (key.to_string(), revision, value.clone());
    let records = [
        other("room/yard/attributes", 3, &value),
        other("room/yard/else", 2, &value),
        other("room/yard/attributes", 2, &vec![0xff].into()),
        other("room/yard/attributes", 2, &encode(&document)),
        other(&key, 2, &value),
        other("room/yard/attributes", 0, &encode(&Document::default())),
    ];
    let mut loaded = documents();
    assert_eq!(loaded.load(records), 5);
    assert_eq!(loaded.documents, all.documents);
    assert_eq!(loaded.bytes, all.bytes);
}

#[test]
fn a_room_that_closes_takes_all_its_documents_with_it_unless_that_is_undone() {
    let mut all = documents();
    let by = node("service/office");
    for section in key::SECTIONS {
        for owner in [room("yard"), room("yard-2"), truck()] {
            let written = all.set(0, &by, &owner, section, None, &[put("a", b"1")]);
            assert!(written.is_ok());
        }
    }
    let before = (all.documents.clone(), all.bytes);
    let (ops, undos): (Vec<_>, Vec<_>) = all.remove_owner(&room("yard")).into_iter().unzip();
    let keys = ["attributes", "desired", "reported"].map(|section| StoreOp::Remove {
        table: Table::Documents,
        key: format!("room/yard/{section}"),
    });
    assert_eq!(ops, keys);
    assert_eq!(all.documents.len(), 6);
    assert_eq!(all.get(&room("yard"), ATTRIBUTES), Document::default());
    for undo in undos.into_iter().rev() {
        all.undo(undo);
    }
    assert_eq!((all.documents.clone(), all.bytes), before);
}

#[test]
fn a_label_is_an_attribute_of_that_name() {
    let mut all = documents();
    let changes = [
        put("label.site", b"north"),
        put("label", b"x"),
        put("label.sit", b"y"),
        put("site", b"z"),
    ];
    set(&mut all, None, &changes).unwrap();
    let by = node("service/office");
    let desired = [put("label.shift", b"late")];
    all.set(0, &by, &truck(), Section::Desired, None, &desired)
        .unwrap();
    let label = |of: &str, key: &str| all.label(&node(of), &name(key));
    assert_eq!(label("agent/truck-17", "site"), Some(&b"north"[..]));
    assert_eq!(label("agent/truck-17", "sit"), Some(&b"y"[..]));
    assert_eq!(label("agent/truck-17", "shift"), None);
    assert_eq!(label("agent/truck-18", "site"), None);
    let longest = "a".repeat(Name::BYTES_MAX);
    assert_eq!(label("agent/truck-17", &longest), None);
}

#[test]
fn who_watches_one_document_hears_of_no_other() {
    let mut all = documents();
    assert_eq!(all.watch(1, 7, &truck(), ATTRIBUTES), Ok(()));
    assert_eq!(all.watch(1, 8, &truck(), Section::Desired), Ok(()));
    assert_eq!(all.watch(2, 7, &room("yard"), ATTRIBUTES), Ok(()));
    let of = |all: &Documents<u8>, owner, section| -> Vec<(u8, u32)> {
        all.watchers(&owner, section)
            .map(|(c, w)| (*c, w))
            .collect()
    };
    assert_eq!(of(&all, truck(), ATTRIBUTES), [(1, 7)]);
    assert!(all.unwatch(&1, 8));
    assert_eq!(of(&all, truck(), Section::Desired), []);
    all.on_client_gone(&1);
    assert_eq!(of(&all, truck(), ATTRIBUTES), []);
    assert_eq!(of(&all, room("yard"), ATTRIBUTES), [(2, 7)]);
}
