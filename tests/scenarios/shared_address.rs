//! Two links that leave through one public address.

use std::time::Duration;

use longrein_tests::{StageSet, World, each_seed};

// [WIRE-169]
#[test]
fn an_agent_is_told_when_two_links_share_an_address_and_when_they_do_not_any_more() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        let [lte_a, wifi_a, lte_b, wifi_b] = set.truck_paths;
        let home = "192.0.2.1".parse().unwrap();
        let carrier = "198.51.100.7".parse().unwrap();
        let second = Duration::from_secs(1);
        let news = |world: &World| -> Vec<bool> {
            let news = &world.vehicle(set.agent).shared_addresses;
            news.iter().map(|news| news.address.is_some()).collect()
        };
        for path in [lte_a, lte_b] {
            world.set_address(path, carrier);
        }
        for path in [wifi_a, wifi_b] {
            world.set_address(path, home);
        }
        world.drive_on(set.alice, set.agent, second);
        assert_eq!(news(&world), [false; 0]);
        // The modem joins the Wi-Fi of its neighbour.
        for path in [wifi_a, wifi_b] {
            world.set_address(path, carrier);
        }
        world.drive_on(set.alice, set.agent, second);
        assert_eq!(news(&world), [true]);
        // Both come back as they were, also through a loss of the first word, and nobody is told again.
        for path in [wifi_a, lte_b] {
            world.link(path).loss = 0.5;
            world.connect(path);
        }
        world.drive_on(set.alice, set.agent, second);
        assert_eq!(news(&world), [true]);
        assert_eq!(world.agent_role(set.agent).shared_links().len(), 1);
        for path in [wifi_a, wifi_b] {
            world.set_address(path, home);
        }
        world.drive_on(set.alice, set.agent, second);
        assert_eq!(news(&world), [true, false]);
        let paths = world.agent_role(set.agent).paths();
        assert!(paths.iter().all(|path| path.seen_as.is_some()));
        // Nobody else hears of it: what a controller does not read it counts.
        world.set_address(set.desk_paths[0], home);
        world.drive_on(set.alice, set.agent, second);
        let node = world.controller_role(set.alice).counters();
        assert_eq!(node.malformed_parcels, 0);
    });
}
