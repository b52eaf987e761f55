use std::time::Duration;

use super::*;
use crate::base::Name;
use crate::base::limits::FLAP_SETTLED;
use crate::hub::LinkState;
use crate::wire::hub::{Label, PresenceReason};

fn at(ms: u64) -> MonoTime {
    MonoTime::ZERO + Duration::from_millis(ms)
}

fn truck(number: usize) -> NodeName {
    format!("agent/truck-{number}").parse().unwrap()
}

fn named(nodes: &[NodeName]) -> Selector {
    Selector {
        nodes: nodes.to_vec(),
        ..Selector::default()
    }
}

/// Trucks with even numbers are in the room.
struct Even;

impl SelectorFacts for Even {
    fn has_group(&self, _: &NodeName, _: &Name) -> bool {
        true
    }

    fn is_in_room(&self, node: &NodeName, _: &Name) -> bool {
        node.name.as_str().ends_with(['0', '2', '4', '6', '8'])
    }

    fn has_label(&self, _: &NodeName, _: &Label) -> bool {
        true
    }
}

#[derive(Default)]
struct Hub {
    presence: Presence,
    watches: PresenceWatches<u32>,
    looks: usize,
}

impl Hub {
    fn come(&mut self, now: MonoTime, node: &NodeName) {
        let links = [("lte".parse().unwrap(), LinkState::Heard)];
        self.presence.on_here(now, 1, node, &[], &links);
        self.carry(now);
    }

    fn leave(&mut self, now: MonoTime, node: &NodeName) {
        self.presence.on_away(now, 2, node, PresenceReason::Ended);
        self.carry(now);
    }

    fn carry(&mut self, now: MonoTime) {
        while let Some(node) = self.presence.poll_change() {
            self.watches.on_change(now, &node);
        }
    }

    fn pages(&mut self, now: MonoTime) -> Vec<PresencePage<u32>> {
        let before = PRESENCE_LOOKS_PER_ROUND;
        let poll = || self.watches.poll_page(now, &self.presence, &Even, |_| true);
        let pages = std::iter::from_fn(poll).collect();
        self.looks += before - self.watches.round.looks;
        pages
    }

    /// All that is told until nothing is due.
    fn all_pages(&mut self, until: MonoTime) -> Vec<PresencePage<u32>> {
        let mut pages = Vec::new();
        while let Some(due) = self.watches.next_timeout().filter(|due| *due <= until) {
            pages.extend(self.pages(due));
        }
        pages
    }
}

fn names(page: &PresencePage<u32>) -> Vec<String> {
    let each = page.nodes.iter();
    each.map(|node| format!("{} {}", node.node, node.present))
        .collect()
}

#[test]
fn a_watcher_is_first_told_how_all_stand_and_then_who_changes_gathered_for_a_moment() {
    let mut hub = Hub::default();
    for number in 0..100 {
        hub.come(at(0), &truck(number));
    }
    hub.leave(at(1), &truck(7));
    hub.watches.watch(at(2), 9, 5, Selector::default()).unwrap();
    let pages = hub.pages(at(2));
    let sizes: Vec<_> = pages
        .iter()
        .map(|page| (page.client, page.watch, page.nodes.len(), page.more))
        .collect();
    assert_eq!(
        sizes,
        [(9, 5, 40, true), (9, 5, 40, true), (9, 5, 20, false)]
    );
    let told: BTreeSet<String> = pages.iter().flat_map(names).collect();
    assert_eq!(told.len(), 100);
    assert!(told.contains("agent/truck-7 false") && told.contains("agent/truck-8 true"));

    hub.all_pages(at(90));
    hub.come(at(100), &truck(7));
    hub.leave(at(105), &truck(8));
    hub.come(at(110), &truck(8));
    assert_eq!(hub.watches.next_timeout(), Some(at(120)));
    assert_eq!(hub.pages(at(119)), []);
    let pages = hub.pages(at(120));
    assert_eq!(pages.len(), 1);
    assert_eq!(
        names(&pages[0]),
        ["agent/truck-7 true", "agent/truck-8 true"]
    );
    assert!(!pages[0].more);
    assert_eq!(hub.watches.next_timeout(), None);
}

#[test]
fn who_matches_nothing_is_told_so_once() {
    let mut hub = Hub::default();
    let room = Selector {
        room: Some("pit".parse().unwrap()),
        ..Selector::default()
    };
    hub.come(at(0), &truck(1));
    hub.watches.watch(at(1), 1, 1, room).unwrap();
    let pages = hub.pages(at(1));
    assert_eq!(
        (pages.len(), pages[0].nodes.len(), pages[0].more),
        (1, 0, false)
    );
    hub.leave(at(100), &truck(1));
    assert_eq!(hub.all_pages(at(500)), []);
    hub.come(at(600), &truck(2));
    assert_eq!(names(&hub.all_pages(at(700))[0]), ["agent/truck-2 true"]);
}

#[test]
fn a_named_node_is_told_whether_it_was_ever_here_and_no_other_costs_anything() {
    let mut hub = Hub::default();
    hub.come(at(0), &truck(1));
    hub.watches
        .watch(at(1), 1, 1, named(&[truck(1), truck(2)]))
        .unwrap();
    let pages = hub.pages(at(1));
    assert_eq!(
        names(&pages[0]),
        ["agent/truck-1 true", "agent/truck-2 false"]
    );
    assert_eq!(pages[0].nodes[1].reason, PresenceReason::Unknown);
    let looks = hub.looks;
    for number in 10..1_000 {
        hub.come(at(100), &truck(number));
    }
    assert_eq!(hub.watches.next_timeout(), None);
    hub.come(at(200), &truck(2));
    assert_eq!(names(&hub.all_pages(at(300))[0]), ["agent/truck-2 true"]);
    assert_eq!(hub.looks - looks, 1);
}

#[test]
fn an_ended_watch_is_told_nothing_and_a_gone_client_leaves_nothing_behind() {
    let mut hub = Hub::default();
    for client in [1, 2] {
        hub.watches
            .watch(at(0), client, 1, named(&[truck(1)]))
            .unwrap();
        hub.watches
            .watch(at(0), client, 2, Selector::default())
            .unwrap();
    }
    hub.pages(at(0));
    assert!(hub.watches.unwatch(&1, 1));
    assert!(!hub.watches.unwatch(&1, 1));
    hub.watches.on_client_gone(&2);
    hub.come(at(10), &truck(1));
    let pages = hub.all_pages(at(100));
    assert_eq!(pages.len(), 1);
    assert_eq!((pages[0].client, pages[0].watch), (1, 2));
    hub.watches.on_client_gone(&1);
    let left = &hub.watches;
    assert!(left.watches.is_empty() && left.by_client.is_empty() && left.named.is_empty());
    assert!(left.wide.is_empty() && left.due.is_empty());
    assert_eq!(left.named_count, 0);
}

#[test]
fn watches_have_bounds() {
    let mut hub = Hub::default();
    let many: Vec<NodeName> = (0..=PRESENCE_NAMED_MAX).map(truck).collect();
    let refused = hub.watches.watch(at(0), 0, 0, named(&many));
    assert_eq!(refused, Err(WatchError::TooLarge));
    for number in 0..u32::try_from(PRESENCE_WATCHES_PER_CLIENT_MAX).unwrap() {
        hub.watches
            .watch(at(0), 0, number, named(&many[1..]))
            .unwrap();
    }
    let refused = hub.watches.watch(at(0), 0, 99, named(&many[..1]));
    assert_eq!(refused, Err(WatchError::Full));
    // In the place of another.
    hub.watches.watch(at(0), 0, 3, Selector::default()).unwrap();
    for client in 1..u32::try_from(PRESENCE_WIDE_WATCHES_MAX).unwrap() {
        hub.watches
            .watch(at(0), client, 0, Selector::default())
            .unwrap();
    }
    let refused = hub.watches.watch(at(0), 900, 0, Selector::default());
    assert_eq!(refused, Err(WatchError::Full));
    hub.watches.watch(at(0), 900, 0, named(&many[..1])).unwrap();
}

#[test]
fn a_client_without_room_is_told_later_and_only_how_it_is_then() {
    let mut hub = Hub::default();
    hub.watches.watch(at(0), 1, 1, Selector::default()).unwrap();
    hub.pages(at(0));
    hub.come(at(10), &truck(1));
    let none = hub
        .watches
        .poll_page(at(30), &hub.presence, &Even, |_| false);
    assert_eq!(none, None);
    assert_eq!(hub.watches.next_timeout(), Some(at(50)));
    hub.leave(at(40), &truck(1));
    let pages = hub.all_pages(at(100));
    assert_eq!(pages.len(), 1);
    assert_eq!(names(&pages[0]), ["agent/truck-1 false"]);
}

#[test]
fn a_thousand_nodes_that_leave_and_return_at_once_cost_each_watcher_one_look_each() {
    let mut hub = Hub::default();
    for number in 0..5_000 {
        hub.come(at(0), &truck(number));
    }
    for client in 0..4 {
        hub.watches
            .watch(at(1), client, 0, Selector::default())
            .unwrap();
    }
    hub.all_pages(at(900));
    let looks = hub.looks;
    for number in 0..1_000 {
        hub.leave(at(1_000), &truck(number));
    }
    for number in 0..1_000 {
        hub.come(at(1_010), &truck(number));
    }
    let pages = hub.all_pages(at(1_200));
    assert_eq!(
        pages.iter().map(|page| page.nodes.len()).sum::<usize>(),
        4_000
    );
    assert_eq!(pages.len(), 4 * 25);
    assert_eq!(hub.looks - looks, 4_000);
}

#[test]
fn in_one_round_only_so_much_is_looked_at_and_all_watchers_get_on() {
    let mut hub = Hub::default();
    for number in 0..1_000 {
        hub.come(at(0), &truck(number));
    }
    let clients = 2 * PRESENCE_LOOKS_PER_ROUND / 1_000;
    for client in 0..u32::try_from(clients).unwrap() {
        hub.watches
            .watch(at(1), client, 0, Selector::default())
            .unwrap();
    }
    let first = hub.pages(at(1));
    assert_eq!(hub.looks, PRESENCE_LOOKS_PER_ROUND);
    let told: BTreeSet<u32> = first.iter().map(|page| page.client).collect();
    assert_eq!(told.len(), clients);
    assert_eq!(hub.watches.next_timeout(), Some(at(21)));
    let rest = hub.all_pages(at(100));
    let all: usize = first.iter().chain(&rest).map(|page| page.nodes.len()).sum();
    assert_eq!(all, clients * 1_000);
    assert_eq!(rest.iter().filter(|page| !page.more).count(), clients);
}

#[test]
fn who_moved_into_a_room_is_told() {
    let mut hub = Hub::default();
    hub.come(at(0), &truck(2));
    hub.watches.watch(at(1), 1, 1, Selector::default()).unwrap();
    hub.all_pages(at(90));
    let revision = hub.presence.of(&truck(2)).revision;
    hub.presence.on_moved(&truck(2));
    hub.presence.on_moved(&truck(3));
    hub.carry(at(100));
    let pages = hub.all_pages(at(100) + FLAP_SETTLED);
    assert_eq!(names(&pages[0]), ["agent/truck-2 true"]);
    assert!(pages[0].nodes[0].revision > revision);
}
