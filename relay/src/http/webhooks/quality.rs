//! What is to blame for a node's delay, whenever that is something else for a while.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use longrein_proto::base::NodeName;
use longrein_proto::path::{Blame, Fault, Part};
use longrein_proto::role::NodeQuality;
use tokio::time::{MissedTickBehavior, interval};

use super::sources::Source;
use crate::http::Access;
use crate::http::quality::{blame, node_json};

/// A verdict without its numbers, which always change.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    NoPath,
    One(Part, Discriminant<Fault>),
    Quiet,
}

/// How nodes stood.
#[derive(Default)]
struct Verdicts(BTreeMap<NodeName, Stood>);

struct Stood {
    told: Verdict,
    last: Verdict,
    /// Whether the node is among those that were looked at.
    is_here: bool,
}

/// Looks every few seconds as long as the program runs.
pub(super) async fn watch(source: Source, access: Access) {
    let nodes = source.hook.section.selector().unwrap_or_default().nodes;
    let mut verdicts = Verdicts::default();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        source.hook.until_on().await;
        let mut news = Vec::new();
        let looked = access.each_node(|quality| {
            let is_wanted = nodes.is_empty() || nodes.contains(&quality.node);
            if is_wanted && verdicts.is_news(&quality) {
                news.push(node_json(&quality));
            }
        });
        if looked.await.is_err() {
            // The network thread is behind, which others tell.
            continue;
        }
        verdicts.forget_absent();
        for node in news {
            if source.tell("quality", None, None, &node).await.is_err() {
                return;
            }
        }
    }
}

impl Verdicts {
    /// Whether a node stands otherwise than was told, for two looks.
    fn is_news(&mut self, quality: &NodeQuality) -> bool {
        self.on_look(&quality.node, Verdict::of(&blame(quality)))
    }

    fn on_look(&mut self, node: &NodeName, now: Verdict) -> bool {
        let stood = self.0.entry(node.clone()).or_insert_with(|| Stood {
            told: Verdict::Quiet,
            last: Verdict::Quiet,
            is_here: true,
        });
        stood.is_here = true;
        let is_news = now != stood.told && now == stood.last;
        if is_news {
            stood.told = now.clone();
        }
        stood.last = now;
        is_news
    }

    /// Whoever was not looked at is gone, and begins anew.
    fn forget_absent(&mut self) {
        self.0
            .retain(|_, stood| std::mem::replace(&mut stood.is_here, false));
    }
}

impl Verdict {
    fn of(blame: &Blame) -> Verdict {
        match blame {
            Blame::NoPath => Verdict::NoPath,
            Blame::One { part, fault } => Verdict::One(part.clone(), discriminant(fault)),
            Blame::Quiet => Verdict::Quiet,
        }
    }
}

/// Between two looks: what is told held for as long.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_news_once_it_holds_and_its_numbers_are_none() {
        let mut verdicts = Verdicts::default();
        let node = "agent/truck-17".parse().unwrap();
        let lossy = |share| {
            let (part, fault) = (Part::Link("lte".to_string()), Fault::Lost(share));
            Verdict::of(&Blame::One { part, fault })
        };
        let mut look = |verdict| verdicts.on_look(&node, verdict);
        assert!(!look(Verdict::Quiet));
        assert!(!look(lossy(0.2)));
        assert!(!look(Verdict::Quiet));
        assert!(!look(lossy(0.2)));
        assert!(look(lossy(0.3)));
        assert!(!look(lossy(0.4)));
        assert!(!look(Verdict::NoPath));
        assert!(look(Verdict::NoPath));
    }

    #[test]
    fn a_node_that_left_begins_anew() {
        let mut verdicts = Verdicts::default();
        let node = "agent/truck-17".parse().unwrap();
        verdicts.on_look(&node, Verdict::NoPath);
        verdicts.forget_absent();
        verdicts.forget_absent();
        assert!(verdicts.0.is_empty());
    }
}
