//! What the hub says, as lines and as JSON.

use std::fmt::Write;

use longrein_io::date;
use longrein_proto::base::Class;
use serde_json::{Value, json};

use crate::hub::{
    Bytes, Cursor, CursorText, Document, Item, LeaveReason, MemberChange, MemberChanges, MessageId,
    NodePresence, Post, PresenceReason, RoomInfo, RoomMessage, RoomRole, TargetOutcome,
    TargetResult,
};

/// A payload as text, if it is some that a terminal takes; else in hexadecimal.
pub fn text(payload: &Bytes) -> String {
    match std::str::from_utf8(&payload.0) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_string(),
        Ok(_) | Err(_) => format!("hex:{}", hex(&payload.0)),
    }
}

/// In JSON, `payload` when it is text, `payload_hex` else.
fn put_payload(object: &mut Value, payload: &Bytes) {
    if let Some(object) = object.as_object_mut() {
        match std::str::from_utf8(&payload.0) {
            Ok(text) => object.insert("payload".into(), text.into()),
            Err(_) => object.insert("payload_hex".into(), hex(&payload.0).into()),
        };
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The name of a message.
pub fn id(id: &MessageId) -> String {
    hex(&id.0)
}

fn place(cursor: Option<Cursor>) -> Option<String> {
    cursor.map(|cursor| CursorText(cursor).to_string())
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Latest => "latest",
        Class::Unordered => "unordered",
        Class::Reliable => "reliable",
        Class::Stop => "stop",
    }
}

/// A message on a topic: its place, topic, sender and payload.
pub fn message_line(message: &RoomMessage) -> String {
    let cursor = place(message.cursor).unwrap_or_else(|| "-".to_string());
    let (topic, from) = (&message.topic, &message.from);
    format!("{cursor}\t{topic}\t{from}\t{}", text(&message.payload))
}

/// The same as JSON.
pub fn message_json(message: &RoomMessage) -> Value {
    let mut object = json!({
        "event": "message",
        "topic": message.topic.as_str(),
        "from": message.from.to_string(),
        "id": id(&message.id),
        "class": class(message.class),
        "cursor": place(message.cursor),
        "at_ms": message.at_ms,
    });
    put_payload(&mut object, &message.payload);
    object
}

/// A message of the past: its place, time, sender and payload.
pub fn entry_line(cursor: Cursor, post: &Post) -> String {
    let (at, from) = (date::utc_us(post.at_ms.saturating_mul(1_000)), &post.from);
    let cursor = CursorText(cursor);
    let flow = post.flow.as_ref().map(|flow| format!("{flow}\t"));
    let flow = flow.unwrap_or_default();
    format!("{cursor}\t{at}\t{from}\t{flow}{}", text(&post.payload))
}

/// The same as JSON.
pub fn entry_json(cursor: Cursor, post: &Post) -> Value {
    let mut object = json!({
        "cursor": place(Some(cursor)),
        "from": post.from.to_string(),
        "id": id(&post.id),
        "class": class(post.class),
        "flow": post.flow.as_ref().map(|flow| flow.as_str()),
        "at_ms": post.at_ms,
    });
    put_payload(&mut object, &post.payload);
    object
}

/// What happened to members, one line each.
pub fn member_lines(changes: &MemberChanges) -> Vec<String> {
    let mut lines: Vec<String> = changes
        .changes
        .iter()
        .map(|(node, change)| format!("{node} {}", change_words(*change)))
        .collect();
    if lines.is_empty() {
        lines.push(format!("members changed (revision {})", changes.revision));
    }
    lines
}

fn change_words(change: MemberChange) -> String {
    match change {
        MemberChange::Joined(role) => format!("joined as {}", role_word(role)),
        MemberChange::Left(why) => format!("left: {}", leave_word(why)),
        MemberChange::Role(as_what) => format!("is {} now", role_word(as_what)),
    }
}

/// The same as JSON.
pub fn members_json(changes: &MemberChanges) -> Value {
    let change = |(node, change): &(_, MemberChange)| {
        let node = ToString::to_string(node);
        match *change {
            MemberChange::Joined(role) => {
                json!({ "node": node, "change": "joined", "role": role_word(role) })
            }
            MemberChange::Left(why) => {
                json!({ "node": node, "change": "left", "why": leave_word(why) })
            }
            MemberChange::Role(role) => {
                json!({ "node": node, "change": "role", "role": role_word(role) })
            }
        }
    };
    let told: Vec<Value> = changes
        .changes
        .iter()
        .map(|(node, changed)| change(&(node, *changed)))
        .collect();
    json!({
        "event": "members",
        "after": changes.after,
        "revision": changes.revision,
        "changes": told,
    })
}

/// The word for a role.
pub const fn role_word(role: RoomRole) -> &'static str {
    match role {
        RoomRole::Observer => "observer",
        RoomRole::Driver => "driver",
        RoomRole::Dispatcher => "dispatcher",
    }
}

/// Why a member is one no more.
pub const fn leave_word(why: LeaveReason) -> &'static str {
    match why {
        LeaveReason::Left => "it left",
        LeaveReason::Ended => "its program ended",
        LeaveReason::Timeout => "it is not heard any more",
        LeaveReason::Kicked => "it was removed",
        LeaveReason::Closed => "the room was closed",
    }
}

/// A room: its name, members and topics.
pub fn room_line(room: &RoomInfo) -> String {
    let topics: Vec<&str> = room.topics.iter().map(|topic| topic.as_str()).collect();
    let (name, members) = (&room.room, room.members);
    format!(
        "{name}\t{members}/{}\t{}",
        room.settings.members_max,
        topics.join(" ")
    )
}

/// The same as JSON, with what it is set to.
pub fn room_json(room: &RoomInfo) -> Value {
    let topics: Vec<&str> = room.topics.iter().map(|topic| topic.as_str()).collect();
    json!({
        "room": room.room.as_str(),
        "revision": room.revision,
        "members": room.members,
        "topics": topics,
        "members_max": room.settings.members_max,
        "keep_count": room.settings.retention.count_max,
        "keep_bytes": room.settings.retention.bytes_max,
        "keep_s": room.settings.retention.age_max_s,
        "transient": room.settings.is_transient,
        "role_max": role_word(room.settings.role_max),
    })
}

const fn reason_word(reason: PresenceReason) -> &'static str {
    match reason {
        PresenceReason::Came => "came",
        PresenceReason::Returned => "returned",
        PresenceReason::Ended => "ended",
        PresenceReason::Silent => "silent",
        PresenceReason::Flapping => "flapping",
        PresenceReason::Unknown => "unknown",
    }
}

/// How a node stands: its name, whether it is here, why, since when, and its links.
pub fn presence_line(node: &NodePresence) -> String {
    let is_here = if node.present { "here" } else { "away" };
    let since = match node.since_ms {
        0 => "-".to_string(),
        since_ms => date::utc_us(since_ms.saturating_mul(1_000)),
    };
    let links: Vec<String> = node
        .links
        .iter()
        .map(|link| match link.present {
            true => link.link.to_string(),
            false => format!("{}({})", link.link, reason_word(link.reason)),
        })
        .collect();
    let (name, why) = (&node.node, reason_word(node.reason));
    format!("{name}\t{is_here}\t{why}\t{since}\t{}", links.join(" "))
}

/// The same as JSON.
pub fn presence_json(node: &NodePresence) -> Value {
    let links: Vec<Value> = node
        .links
        .iter()
        .map(|link| {
            json!({
                "link": link.link.as_str(),
                "present": link.present,
                "reason": reason_word(link.reason),
            })
        })
        .collect();
    json!({
        "node": node.node.to_string(),
        "present": node.present,
        "reason": reason_word(node.reason),
        "since_ms": node.since_ms,
        "revision": node.revision,
        "links": links,
    })
}

/// An item: its name, revision and value.
pub fn item_line(item: &Item) -> String {
    format!("{}\t{}\t{}", item.key, item.revision, text(&item.value))
}

fn item_json(item: &Item) -> Value {
    let mut object = json!({
        "key": item.key.as_str(),
        "revision": item.revision,
        "by": item.by.to_string(),
        "at_ms": item.at_ms,
    });
    if let Some(map) = object.as_object_mut() {
        match std::str::from_utf8(&item.value.0) {
            Ok(text) => map.insert("value".into(), text.into()),
            Err(_) => map.insert("value_hex".into(), hex(&item.value.0).into()),
        };
    }
    object
}

/// A document as JSON.
pub fn document_json(document: &Document) -> Value {
    let items: Vec<Value> = document.items.iter().map(item_json).collect();
    json!({ "revision": document.revision, "items": items })
}

/// What became of a message at a target: one word, and why.
pub fn outcome_words(outcome: &TargetOutcome) -> (&'static str, Option<String>) {
    match outcome {
        TargetOutcome::Delivered => ("delivered", None),
        TargetOutcome::Applied => ("applied", None),
        TargetOutcome::Declined(why) => ("declined", Some(why.to_string())),
        TargetOutcome::Expired => ("expired", None),
        TargetOutcome::Offline => ("offline", None),
        TargetOutcome::Kept => ("kept", None),
        TargetOutcome::Refused(why) => ("refused", Some(why.to_string())),
        TargetOutcome::Unknown => ("unknown", None),
    }
}

/// A result: the node, and what became of it there.
pub fn result_line(result: &TargetResult) -> String {
    match outcome_words(&result.outcome) {
        (word, Some(why)) => format!("{}\t{word}: {why}", result.node),
        (word, None) => format!("{}\t{word}", result.node),
    }
}

/// The same as JSON.
pub fn result_json(result: &TargetResult) -> Value {
    let (word, why) = outcome_words(&result.outcome);
    json!({ "node": result.node.to_string(), "outcome": word, "why": why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{HubRefusal, LinkPresence};

    #[test]
    fn what_a_terminal_does_not_take_is_printed_in_hexadecimal() {
        assert_eq!(text(&b"good morning".as_slice().into()), "good morning");
        assert_eq!(text(&b"a\x1b[2J".as_slice().into()), "hex:611b5b324a");
        assert_eq!(text(&[0xff].as_slice().into()), "hex:ff");
    }

    #[test]
    fn a_message_is_printed_with_its_place_and_without_one() {
        let mut message = RoomMessage {
            topic: "talk".parse().unwrap(),
            from: "controller/bob".parse().unwrap(),
            id: MessageId([1; 16]),
            class: Class::Reliable,
            cursor: Some(Cursor {
                epoch: 7,
                number: 12,
            }),
            at_ms: 5,
            until_ms: 6,
            payload: b"hi".as_slice().into(),
        };
        assert_eq!(message_line(&message), "7:12\ttalk\tcontroller/bob\thi");
        message.cursor = None;
        assert_eq!(message_line(&message), "-\ttalk\tcontroller/bob\thi");
        message.payload = [0xfe].as_slice().into();
        let object = message_json(&message);
        assert_eq!(object["payload_hex"], "fe");
        assert_eq!(object["cursor"], Value::Null);
        assert_eq!(object["id"], "01".repeat(16));
    }

    #[test]
    fn who_is_here_is_printed_with_reason_and_links() {
        let node = NodePresence {
            node: "agent/truck-17".parse().unwrap(),
            present: true,
            reason: PresenceReason::Came,
            since_ms: 0,
            revision: 4,
            links: vec![
                LinkPresence {
                    link: "lte".parse().unwrap(),
                    present: true,
                    reason: PresenceReason::Came,
                },
                LinkPresence {
                    link: "wifi".parse().unwrap(),
                    present: false,
                    reason: PresenceReason::Silent,
                },
            ],
        };
        assert_eq!(
            presence_line(&node),
            "agent/truck-17\there\tcame\t-\tlte wifi(silent)"
        );
        assert_eq!(presence_json(&node)["links"][1]["reason"], "silent");
    }

    #[test]
    fn a_result_says_why() {
        let result = TargetResult {
            node: "agent/truck-17".parse().unwrap(),
            outcome: TargetOutcome::Refused(HubRefusal::Full),
        };
        assert_eq!(result_line(&result), "agent/truck-17\trefused: full");
        assert_eq!(result_json(&result)["why"], "full");
    }

    #[test]
    fn members_that_changed_are_printed_each_on_its_line() {
        let mut changes = MemberChanges {
            room: "yard".parse().unwrap(),
            after: 1,
            revision: 3,
            changes: vec![
                (
                    "controller/bob".parse().unwrap(),
                    MemberChange::Joined(RoomRole::Driver),
                ),
                (
                    "controller/eve".parse().unwrap(),
                    MemberChange::Left(LeaveReason::Kicked),
                ),
            ],
        };
        assert_eq!(
            member_lines(&changes),
            [
                "controller/bob joined as driver",
                "controller/eve left: it was removed"
            ]
        );
        changes.changes.clear();
        assert_eq!(member_lines(&changes), ["members changed (revision 3)"]);
        assert_eq!(members_json(&changes)["revision"], 3);
    }
}
