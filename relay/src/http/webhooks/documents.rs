//! Changes of the documents of all nodes that a webhook is about, and what vehicles report in them.

use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::{Entropy, Name, NodeName};
use longrein_proto::hub::LocalTell;
use longrein_proto::wire::hub::{Item, Owner, Section, Tell};
use tokio::time::sleep;

use super::backoff;
use super::section::{Event, WebhookSection};
use super::sources::{FAILURES_MAX, Source};
use crate::http::api::events::DocumentTold;
use crate::hub::{Desk, DeskError};

/// A change of a document.
struct Changed {
    node: NodeName,
    section: Section,
    /// The document's revision before, 0 when `set` is all of it.
    after: u64,
    revision: u64,
    set: Vec<Item>,
    removed: Vec<Name>,
}

/// Reads this section as long as the program runs and the webhook is on.
pub(super) async fn read(source: Source, desk: Desk, section: Section) {
    let mut failed = 0;
    loop {
        source.hook.until_on().await;
        let ended = tokio::select! {
            ended = watch(&source, &desk, section) => ended,
            () = source.hook.until_off() => Ok(()),
        };
        match ended {
            // It was told more than it took: it begins with how all stand.
            Ok(()) | Err(DeskError::Overrun) => failed = 0,
            Err(error) => source.tell_failure(failed, &error.to_string()),
        }
        failed = (failed + 1).min(FAILURES_MAX);
        sleep(backoff::wait(failed, SystemEntropy::new().next_u64())).await;
    }
}

async fn watch(source: &Source, desk: &Desk, section: Section) -> Result<(), DeskError> {
    let caller = source.hook.caller();
    // It is checked with the configuration.
    let of = source.hook.section.selector().unwrap_or_default();
    let mut client = desk.open_asker(caller.node, caller.rights).await?;
    client.watch_fleet_documents(section, of.clone()).await?;
    let mut after = None;
    loop {
        let (page, next) = client.fleet_documents(section, of.clone(), after).await?;
        for (node, document) in page {
            let changed = Changed {
                node,
                section,
                after: 0,
                revision: document.revision,
                set: document.items,
                removed: Vec::new(),
            };
            tell(source, changed).await?;
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    loop {
        if let LocalTell::Own(Tell::Document {
            owner: Owner::Node(node),
            section,
            after,
            revision,
            set,
            removed,
            ..
        }) = client.next().await?
        {
            let changed = Changed {
                node,
                section,
                after,
                revision,
                set,
                removed,
            };
            tell(source, changed).await?;
        }
    }
}

/// Tells what is new of a document to who has it up to its mark.
async fn tell(source: &Source, changed: Changed) -> Result<(), DeskError> {
    let (node, part) = (&changed.node, part(changed.section));
    let own = Source {
        name: format!("document/{node}/{part}").into(),
        ..source.clone()
    };
    let mark = own.seen.of(&own.name, || own.hook.outbox.mark(&own.name));
    if changed.revision <= mark {
        return Ok(());
    }
    let stands = (own.name.to_string(), changed.revision.to_string());
    let revision = changed.revision;
    let events = events(&own.hook.section, changed, mark);
    let last = events.len().saturating_sub(1);
    for (number, (kind, told)) in events.iter().enumerate() {
        // With the last of them the document is read up to here.
        let mark = (number == last).then(|| stands.clone());
        let sent = own.tell(kind, mark, None, told).await;
        sent.map_err(|_| DeskError::Overrun)?;
    }
    if !events.is_empty() {
        own.seen.set(&own.name, revision);
    }
    Ok(())
}

/// What is posted of a change to who has the document up to this revision.
fn events(
    section: &WebhookSection,
    changed: Changed,
    mark: u64,
) -> Vec<(&'static str, DocumentTold)> {
    let revisions = (changed.after, changed.revision);
    let owner = || Owner::Node(changed.node.clone());
    let mut events = Vec::new();
    for (event, key) in REPORTS {
        if changed.section != Section::Reported || !section.has(event) {
            continue;
        }
        let is_of = |name: &Name| {
            let rest = name.as_str().strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let set = changed.set.iter();
        let set = set.filter(|item| is_of(&item.key) && item.revision > mark);
        let set: Vec<Item> = set.cloned().collect();
        let removed = changed.removed.iter().filter(|name| is_of(name));
        let removed: Vec<Name> = removed.cloned().collect();
        if !set.is_empty() || !removed.is_empty() {
            let told = DocumentTold::of(owner(), changed.section, revisions, set, removed);
            events.push((key, told));
        }
    }
    if section.has(Event::Document) && section.has_part(changed.section) {
        let owner = owner();
        let told = DocumentTold::of(
            owner,
            changed.section,
            revisions,
            changed.set,
            changed.removed,
        );
        events.push(("document", told));
    }
    events
}

pub(super) const fn part(section: Section) -> &'static str {
    match section {
        Section::Attributes => "attributes",
        Section::Desired => "desired",
        Section::Reported => "reported",
    }
}

/// Items of what a vehicle reports that are kinds of events; what begins so and goes on behind a point too.
const REPORTS: [(Event, &str); 3] = [
    (Event::Stage, "stage"),
    (Event::Stop, "stop"),
    (Event::Leases, "leases"),
];

#[cfg(test)]
mod tests {
    use longrein_proto::wire::hub::Bytes;
    use serde_json::Value;

    use super::*;

    /// Kinds of events, and the items that they name.
    fn posted(events_of: &str, after: u64, mark: u64) -> Vec<(&'static str, Vec<String>)> {
        let text = format!(
            "name = \"erp\"\nurl = \"https://x/\"\nsecret_file = \"/x\"\nservice = \"erp\"\nevents = [{events_of}]"
        );
        let section: WebhookSection = toml::from_str(&text).unwrap();
        let items = [("leases", 4), ("speed", 4), ("stage", 2), ("stage.arm", 4)];
        let changed = Changed {
            node: "agent/truck-17".parse().unwrap(),
            section: Section::Reported,
            after,
            revision: 4,
            set: items
                .map(|(key, revision)| Item {
                    key: key.parse().unwrap(),
                    revision,
                    value: Bytes::from(b"1".as_slice()),
                    by: "agent/truck-17".parse().unwrap(),
                    at_ms: 0,
                })
                .into(),
            removed: Vec::new(),
        };
        let events = events(&section, changed, mark).into_iter();
        let shown = events.map(|(kind, told)| {
            let told = serde_json::to_value(&told).unwrap_or(Value::Null);
            let set = told["set"].as_object().unwrap();
            (kind, set.keys().cloned().collect())
        });
        shown.collect()
    }

    #[test]
    fn of_what_a_vehicle_reports_only_what_is_new_and_asked_for_is_posted() {
        let stage = |items: &[&str]| ("stage", items.iter().map(ToString::to_string).collect());
        assert_eq!(posted("\"stage\"", 0, 0), [stage(&["stage", "stage.arm"])]);
        assert_eq!(posted("\"stage\"", 3, 3), [stage(&["stage.arm"])]);
        assert!(posted("\"stop\"", 0, 0).is_empty());
        let kinds: Vec<_> = posted("\"leases\", \"document\"", 3, 3);
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["leases", "document"]);
    }
}
