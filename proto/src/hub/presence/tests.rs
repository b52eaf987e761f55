use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::limits::{FLAP_CHANGES, FLAP_SETTLED, FLAP_SPAN, PRESENCE_LINKS_APART};

fn at(ms: u64) -> MonoTime {
    MonoTime::ZERO + Duration::from_millis(ms)
}

fn truck(number: usize) -> NodeName {
    format!("agent/truck-{number}").parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

const UNIX_MS: u64 = 1_700_000_000_000;

/// One node and its presence.
struct Scene(Presence);

impl Scene {
    fn new() -> Scene {
        Scene(Presence::new(0))
    }

    fn links(&mut self, ms: u64, links: &[(&str, LinkState)]) -> String {
        let links: Vec<_> = links.iter().map(|(link, so)| (name(link), *so)).collect();
        let groups = [name("north")];
        self.0
            .on_here(at(ms), UNIX_MS + ms, &truck(1), &groups, &links);
        self.shown()
    }

    fn come(&mut self, ms: u64) -> String {
        self.links(ms, &[("lte", LinkState::Heard)])
    }

    fn leave(&mut self, ms: u64, reason: PresenceReason) -> String {
        self.0.on_away(at(ms), UNIX_MS + ms, &truck(1), reason);
        self.shown()
    }

    fn wait(&mut self, ms: u64) -> String {
        while let Some(due) = self.0.next_timeout().filter(|due| *due <= at(ms)) {
            self.0.on_timeout(due);
        }
        self.shown()
    }

    fn shown(&self) -> String {
        let so = self.0.of(&truck(1));
        let since = so.since_ms.saturating_sub(UNIX_MS);
        format!("{} {:?} {since}", so.present, so.reason)
    }
}

use PresenceReason::{Ended, Silent};

#[test]
fn who_was_never_here_is_unknown() {
    let mut scene = Scene::new();
    assert_eq!(scene.shown(), "false Unknown 0");
    scene.leave(5, Silent);
    assert_eq!(scene.shown(), "false Unknown 0");
    assert_eq!(scene.0.poll_change(), None);
    assert_eq!(scene.0.groups(&truck(1)), []);
}

#[test]
fn coming_leaving_and_returning_are_told_at_once_with_the_reason_and_since_when() {
    let mut scene = Scene::new();
    assert_eq!(scene.come(5), "true Came 5");
    assert_eq!(scene.0.groups(&truck(1)), [name("north")]);
    assert_eq!(scene.come(1_000), "true Came 5");
    assert_eq!(scene.leave(20_000, Silent), "false Silent 20000");
    // Its connection ends: it is away for another reason already.
    assert_eq!(scene.leave(21_000, Ended), "false Silent 20000");
    assert_eq!(scene.come(40_000), "true Returned 40000");
    assert_eq!(scene.leave(60_000, Ended), "false Ended 60000");
    assert_eq!(scene.come(80_000), "true Came 80000");
    assert_eq!(scene.0.next_timeout(), None);
}

#[test]
fn a_node_that_comes_and_goes_is_away_until_it_stays() {
    let mut scene = Scene::new();
    scene.come(0);
    scene.wait(30_000);
    assert_eq!(scene.leave(40_000, Silent), "false Silent 40000");
    assert_eq!(scene.come(41_000), "true Returned 41000");
    assert_eq!(scene.leave(42_000, Silent), "false Silent 42000");
    // The fourth change.
    assert_eq!(scene.come(43_000), "false Flapping 42000");
    assert_eq!(scene.leave(43_500, Silent), "false Flapping 42000");
    assert_eq!(scene.come(44_000), "false Flapping 42000");
    assert_eq!(scene.wait(45_999), "false Flapping 42000");
    assert!(scene.0.here().next().is_none());
    assert_eq!(scene.wait(46_000), "true Returned 44000");
    // It goes on: away at once, and back only when it stays.
    assert_eq!(scene.leave(47_000, Silent), "false Silent 47000");
    assert_eq!(scene.come(47_500), "false Flapping 47000");
    assert_eq!(scene.wait(49_500), "true Returned 47500");
    // Long ago.
    assert_eq!(scene.leave(70_000, Silent), "false Silent 70000");
    assert_eq!(scene.come(71_000), "true Returned 71000");
}

#[test]
fn a_node_that_flapped_and_stays_away_is_away_for_its_true_reason() {
    let mut scene = Scene::new();
    for ms in [0, 200, 400] {
        scene.come(ms);
        scene.leave(ms + 100, Silent);
    }
    assert_eq!(scene.come(600), "false Flapping 300");
    assert_eq!(scene.leave(700, Ended), "false Flapping 300");
    assert_eq!(scene.wait(2_699), "false Flapping 300");
    assert_eq!(scene.wait(2_700), "false Ended 300");
}

#[test]
fn links_are_told_while_the_node_is_here_and_gathered_for_a_moment() {
    use LinkState::{Heard, Silent};
    let mut scene = Scene::new();
    let shown = |scene: &Scene| {
        let links = scene.0.of(&truck(1)).links.into_iter();
        let each = links.map(|link| format!("{} {:?}", link.link, link.reason));
        each.collect::<Vec<_>>()
    };
    scene.links(0, &[("lte", Heard)]);
    assert_eq!(shown(&scene), ["lte Came"]);
    // Within the moment after the last telling.
    scene.links(30, &[("lte", Heard), ("wifi", Heard)]);
    scene.links(60, &[("lte", Heard), ("wifi", Silent)]);
    assert_eq!(shown(&scene), ["lte Came"]);
    assert_eq!(scene.0.next_timeout(), Some(at(0) + PRESENCE_LINKS_APART));
    scene.wait(100);
    assert_eq!(shown(&scene), ["lte Came", "wifi Silent"]);
    // Long after it.
    scene.links(500, &[("lte", Heard)]);
    scene.links(900, &[("lte", Heard), ("wifi", Heard)]);
    assert_eq!(shown(&scene), ["lte Came", "wifi Returned"]);
    // A change and back is none.
    scene.links(950, &[("lte", Silent), ("wifi", Heard)]);
    scene.links(960, &[("lte", Heard), ("wifi", Heard)]);
    scene.wait(1_000);
    assert_eq!(shown(&scene), ["lte Returned", "wifi Returned"]);
    scene.leave(2_000, PresenceReason::Silent);
    assert_eq!(shown(&scene), [""; 0]);
    scene.links(2_500, &[("lte", Heard)]);
    assert_eq!(shown(&scene), ["lte Returned", "wifi Silent"]);
    assert_eq!(scene.0.next_timeout(), None);
}

#[test]
fn a_revision_grows_with_each_telling_and_stands_above_what_was_before() {
    let mut scene = Scene(Presence::new(1 << 40));
    let mut before = 1 << 40;
    for round in 0..3 {
        scene.come(round * 20_000);
        scene.come(round * 20_000 + 1);
        let here = scene.0.of(&truck(1)).revision;
        assert!(here > before);
        scene.leave(round * 20_000 + 10_000, Ended);
        before = scene.0.of(&truck(1)).revision;
        assert!(before > here);
    }
}

#[test]
fn a_node_that_changed_many_times_is_polled_once() {
    let mut scene = Scene::new();
    for ms in 0..50 {
        scene.come(ms * 100);
        scene.leave(ms * 100 + 50, Silent);
    }
    scene.0.on_here(at(5_000), 0, &truck(2), &[], &[]);
    assert_eq!(scene.0.poll_change(), Some(truck(1)));
    assert_eq!(scene.0.poll_change(), Some(truck(2)));
    assert_eq!(scene.0.poll_change(), None);
}

#[test]
fn of_too_many_nodes_that_are_away_the_one_that_is_away_longest_is_forgotten() {
    let mut presence = Presence::new(0);
    let all = PRESENCE_REMEMBERED_MAX + 10;
    for number in 0..all {
        let ms = u64::try_from(number).unwrap();
        presence.on_here(at(ms), 1, &truck(number), &[], &[]);
        // Of one that flaps a timer waits.
        for more in 0..if number < 5 { 3 } else { 0 } {
            presence.on_away(at(ms + more), 1, &truck(number), Silent);
            presence.on_here(at(ms + more), 1, &truck(number), &[], &[]);
        }
    }
    assert_eq!(presence.here().count(), all - 5);
    for number in 0..all {
        presence.on_away(at(100_000), 1, &truck(number), Ended);
        presence.on_away(at(200_000), 1, &truck(number), Silent);
    }
    assert_eq!(presence.nodes.len(), PRESENCE_REMEMBERED_MAX);
    assert_eq!(presence.told.len(), PRESENCE_REMEMBERED_MAX);
    assert_eq!(presence.away.len(), PRESENCE_REMEMBERED_MAX);
    assert!(presence.timers.len() <= 5);
    let gone =
        (0..all).filter(|number| presence.of(&truck(*number)).reason == PresenceReason::Unknown);
    assert_eq!(gone.count(), 10);
}

#[derive(Clone, Debug)]
enum Step {
    Come(usize),
    Leave(usize, bool),
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_usize).prop_map(Step::Come),
        (0..3_usize, any::<bool>()).prop_map(|(node, ended)| Step::Leave(node, ended)),
        Just(Step::Wait),
    ]
}

/// What is so of a node, by the rule's words.
#[derive(Clone, Default)]
struct Model {
    here: bool,
    changes: Vec<u64>,
    flapping: bool,
}

impl Model {
    fn change(&mut self, ms: u64, here: bool) {
        if self.here == here {
            return;
        }
        self.here = here;
        self.changes.push(ms);
        let span = u64::try_from(FLAP_SPAN.as_millis()).unwrap();
        let recent = self.changes.iter().filter(|at| **at + span >= ms).count();
        self.flapping |= here && recent >= FLAP_CHANGES;
    }

    fn told_here(&mut self, ms: u64) -> bool {
        let settled = u64::try_from(FLAP_SETTLED.as_millis()).unwrap();
        if self.changes.last().is_some_and(|at| at + settled <= ms) {
            self.flapping = false;
        }
        self.here && !self.flapping
    }
}

proptest! {
    #[test]
    fn what_is_told_follows_the_rule_whatever_happens(
        steps in proptest::collection::vec((0..3_000_u64, step()), 1..120),
    ) {
        let mut presence = Presence::new(0);
        let mut models = vec![Model::default(); 3];
        let mut now = 0;
        let mut told: BTreeMap<NodeName, NodePresence> = BTreeMap::new();
        for (after, step) in steps {
            now += after;
            while let Some(due) = presence.next_timeout().filter(|due| *due <= at(now)) {
                presence.on_timeout(due);
            }
            for model in &mut models {
                model.told_here(now);
            }
            match step {
                Step::Come(node) => {
                    models[node].change(now, true);
                    let links = [(name("lte"), LinkState::Heard)];
                    presence.on_here(at(now), now, &truck(node), &[], &links);
                }
                Step::Leave(node, ended) => {
                    models[node].change(now, false);
                    let reason = if ended { Ended } else { Silent };
                    presence.on_away(at(now), now, &truck(node), reason);
                }
                Step::Wait => {}
            }
            while let Some(node) = presence.poll_change() {
                let news = presence.of(&node);
                if let Some(before) = told.get(&node) {
                    prop_assert!(news.revision > before.revision);
                }
                told.insert(node, news);
            }
            let mut here = Vec::new();
            for (number, model) in models.iter_mut().enumerate() {
                let node = truck(number);
                prop_assert_eq!(presence.is_here(&node), model.told_here(now), "{} at {}", number, now);
                if presence.is_here(&node) {
                    here.push(node.clone());
                }
                // Whoever listens knows it all.
                let known = told.get(&node).cloned().unwrap_or_else(|| presence.of(&node));
                prop_assert_eq!(known, presence.of(&node));
                prop_assert_eq!(presence.of(&node).links.is_empty(), !presence.is_here(&node));
            }
            prop_assert_eq!(presence.here().cloned().collect::<Vec<_>>(), here);
            prop_assert!(presence.next_timeout().is_none_or(|due| due > at(now)));
        }
    }
}
