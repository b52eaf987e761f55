//! `longrein attr`: attributes and locks of nodes and rooms.

use clap::Subcommand;
use longrein_io::exit::Exit;
use longrein_proto::base::Name;
use serde_json::json;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::hub_words::{NodeWord, OwnerWord, SectionWord, duration, parse_item, payload};
use super::output::Reader;
use super::span::Span;
use super::{hub_report, output, run};
use crate::hub::{Document, Write};

/// What to do with attributes.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a comment here would replace the help text that stands at the arguments of each verb"
)]
pub enum AttrVerb {
    Get(GetArgs),
    Set(SetArgs),
    Unset(UnsetArgs),
    Watch(WatchArgs),
    Lock(LockArgs),
}

/// A document, and how to reach it.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// Whose: room/NAME, KIND/NAME, or the name of a vehicle's agent
    pub owner: OwnerWord,

    /// Which document
    #[arg(long, value_enum, default_value_t = SectionWord::Attributes)]
    pub section: SectionWord,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Print attributes of a node or a room: name, revision and value
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein attr get truck-17 --config alice.toml"))]
pub struct GetArgs {
    /// Which document.
    #[command(flatten)]
    pub target: Target,

    /// Only these, and only their values
    #[arg(value_name = "KEY")]
    pub keys: Vec<Name>,

    /// Print one JSON object with the document's revision
    #[arg(long)]
    pub json: bool,
}

/// Set attributes of a node or a room, all or none; prints the document's new revision
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein attr set truck-17 label.site=north plan=@plan.json --if-revision 4 --config alice.toml"))]
pub struct SetArgs {
    /// Which document.
    #[command(flatten)]
    pub target: Target,

    /// Name and value; the value is text, or @FILE
    #[arg(value_name = "KEY=TEXT|@FILE", required = true, value_parser = parse_item)]
    pub items: Vec<(Name, String)>,

    /// Only under this condition.
    #[command(flatten)]
    pub conditions: Conditions,
}

/// Remove attributes of a node or a room, all or none; prints the document's new revision
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein attr unset truck-17 plan --config alice.toml"))]
pub struct UnsetArgs {
    /// Which document.
    #[command(flatten)]
    pub target: Target,

    /// Their names
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<Name>,

    /// Only under this condition.
    #[command(flatten)]
    pub conditions: Conditions,
}

/// When a write is made.
#[derive(Debug, clap::Args)]
pub struct Conditions {
    /// Only if the document has this revision; 0: only if it was never written
    #[arg(long, value_name = "REVISION")]
    pub if_revision: Option<u64>,

    /// Only while you hold a lease of this vehicle
    #[arg(long, value_name = "VEHICLE")]
    pub lease: Option<NodeWord>,
}

/// Print a document as it is and each time that it changes, as one JSON object a line, until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein attr watch truck-17 --section reported --config alice.toml"))]
pub struct WatchArgs {
    /// Which document.
    #[command(flatten)]
    pub target: Target,
}

/// Take a lock of a node or a room, print its token, and keep it until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein attr lock room/yard gate --wait 30s --config alice.toml"))]
pub struct LockArgs {
    /// Whose: room/NAME, KIND/NAME, or the name of a vehicle's agent
    pub owner: OwnerWord,

    /// The lock
    pub name: Name,

    /// How long it stays when nothing is heard of this program any more
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    pub ttl: Span,

    /// Wait so long while somebody else has it, after those who waited before; 60s at most
    #[arg(long, value_name = "SPAN")]
    pub wait: Option<Span>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Does what the verb says.
///
/// # Errors
/// When no hub is reached, or it refuses.
pub fn run(verb: AttrVerb) -> Result<(), Failure> {
    match verb {
        AttrVerb::Get(args) => get(&args),
        AttrVerb::Set(args) => {
            let mut write = args.conditions.write(&args.target);
            for (key, value) in args.items {
                write = write.set(key, payload(&value)?);
            }
            set(&args.target, write)
        }
        AttrVerb::Unset(args) => {
            let write = args.conditions.write(&args.target);
            let write = args.keys.into_iter().fold(write, Write::unset);
            set(&args.target, write)
        }
        AttrVerb::Watch(args) => watch(&args),
        AttrVerb::Lock(args) => lock(&args),
    }
}

impl Conditions {
    fn write(&self, target: &Target) -> Write {
        let mut write = Write::new(target.owner.0.clone(), target.section.into());
        if let Some(revision) = self.if_revision {
            write = write.if_revision(revision);
        }
        if let Some(vehicle) = &self.lease {
            write = write.leased(vehicle.0.clone());
        }
        write
    }
}

fn set(target: &Target, write: Write) -> Result<(), Failure> {
    run::at_hub(&target.connection, async |hub| {
        let revision = hub.set(write).await?;
        output::print([revision.to_string()])?;
        Ok(())
    })
}

fn get(args: &GetArgs) -> Result<(), Failure> {
    run::at_hub(&args.target.connection, async |hub| {
        let section = args.target.section.into();
        let mut document = hub.document(&args.target.owner.0, section).await?;
        let missing = keep_only(&mut document, &args.keys);
        if args.json {
            output::print([hub_report::document_json(&document).to_string()])?;
        } else if args.keys.is_empty() {
            output::print(document.items.iter().map(hub_report::item_line))?;
            eprintln!("revision {}", document.revision);
        } else {
            let values = document.items.iter().map(|item| &item.value);
            output::print(values.map(hub_report::text))?;
        }
        match missing {
            Some(key) => Err(Failure::new(Exit::Failed, format!("there is no {key}"))),
            None => Ok(()),
        }
    })
}

/// Leaves these keys, in their order; one that is not there.
fn keep_only(document: &mut Document, keys: &[Name]) -> Option<Name> {
    if keys.is_empty() {
        return None;
    }
    let find = |key: &Name| document.items.iter().find(|item| item.key == *key);
    let missing = keys.iter().find(|key| find(key).is_none()).cloned();
    document.items = keys.iter().filter_map(find).cloned().collect();
    missing
}

fn watch(args: &WatchArgs) -> Result<(), Failure> {
    run::by_hub(&args.target.connection, async |hub, shutdown| {
        let owner = &args.target.owner.0;
        let asking = hub.watch_document(owner, args.target.section.into());
        let mut watch =
            run::or_signal(shutdown, run::patiently("asking the hub", asking)).await??;
        loop {
            tokio::select! {
                document = watch.next() => {
                    let document = document
                        .ok_or_else(|| Failure::new(Exit::Failed, "the document is not watched any more"))?;
                    let line = hub_report::document_json(&document).to_string();
                    if output::print([line])? == Reader::Gone {
                        return Ok(());
                    }
                }
                _ = shutdown.wait() => return Ok(()),
            }
        }
    })
}

fn lock(args: &LockArgs) -> Result<(), Failure> {
    run::by_hub(&args.connection, async |hub, shutdown| {
        let wait = args.wait.map(duration).unwrap_or_default();
        let locking = hub.lock(&args.owner.0, &args.name, duration(args.ttl), wait);
        let locking = run::patiently("waiting for the lock", locking);
        let guard = run::or_signal(shutdown, locking).await??;
        let token = guard.token();
        output::print([match args.json {
            true => json!({ "event": "locked", "token": token }).to_string(),
            false => token.to_string(),
        }])?;
        tokio::select! {
            loss = guard.lost() => Err(Failure::new(Exit::Failed, loss)),
            _ = shutdown.wait() => Ok(guard.unlock().await?),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Item;

    #[test]
    fn only_what_was_asked_for_is_left_and_what_is_missing_is_said() {
        let item = |key: &str| Item {
            key: key.parse().unwrap(),
            revision: 1,
            value: key.as_bytes().into(),
            by: "controller/bob".parse().unwrap(),
            at_ms: 0,
        };
        let document = || Document {
            revision: 2,
            items: vec![item("a"), item("b"), item("c")],
        };
        let keys =
            |keys: &[&str]| -> Vec<Name> { keys.iter().map(|k| k.parse().unwrap()).collect() };
        let mut all = document();
        assert_eq!(keep_only(&mut all, &[]), None);
        assert_eq!(all.items.len(), 3);
        let mut some = document();
        let missing = keep_only(&mut some, &keys(&["c", "x", "a"]));
        assert_eq!(missing, Some("x".parse().unwrap()));
        assert_eq!(some.items, [item("c"), item("a")]);
    }
}
