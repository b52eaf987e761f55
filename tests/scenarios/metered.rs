//! A link with a budget for each day: telemetry keeps to its share of it, control goes on.

use std::time::Duration;

use longrein_proto::base::{Class, Stage};
use longrein_proto::path::{Carries, DailyPlan, MeterNews};
use longrein_proto::role::ControllerEvent;
use longrein_proto::wire::{Telemetry, VehicleState};
use longrein_tests::{StageSet, Station, Vehicle, World, each_seed};

/// A day's budget that is used up in half a minute.
const PLAN: DailyPlan = DailyPlan {
    bytes: 1_000_000,
    telemetry_percent: 80,
    warn_percent: 60,
};
const SHARE: u64 = 800_000;

fn meter(world: &mut World, agent: Station, plan: DailyPlan) {
    let link = "lte".parse().expect("a valid name");
    world.with_agent(agent, |role, now| {
        role.set_link_plan(now, link, Some(plan), None)
    });
}

/// Drives, and tells the vehicle's state 20 times a second.
fn drive_and_tell(world: &mut World, set: &StageSet, span: Duration) {
    for _ in 0..span.as_millis() / 100 {
        world.drive_on(set.alice, set.agent, Duration::from_millis(40));
        tell(world, set.agent);
        world.drive_on(set.alice, set.agent, Duration::from_millis(60));
        tell(world, set.agent);
    }
}

fn tell(world: &mut World, agent: Station) {
    let state = Telemetry::Vehicle(VehicleState {
        x_mm: 1_000,
        y_mm: -500,
        heading_mrad: 1_571,
        speed_mm_s: 1_500,
    });
    world.with_agent(agent, |role, now| {
        role.telemetry(now, Vehicle::DRIVE, Class::Latest, &state)
    });
}

fn heard(world: &World, set: &StageSet) -> usize {
    let events = world.controller_events(set.alice).iter();
    events
        .filter(|(_, event)| matches!(event, ControllerEvent::Telemetry { .. }))
        .count()
}

fn carries(world: &World, set: &StageSet) -> Carries {
    world.agent_role(set.agent).meters()[0].carries
}

/// Bytes of both paths of the truck's LTE link: all, and of packets with telemetry.
fn lte(world: &World, set: &StageSet) -> (u64, u64) {
    let paths = [set.truck_paths[0], set.truck_paths[2]].map(|path| world.carried(path));
    (
        paths.iter().map(|path| path.bytes()).sum(),
        paths.iter().map(|path| path.up_telemetry_bytes).sum(),
    )
}

// [SAFE-110] [SAFE-112]
#[test]
fn telemetry_keeps_to_its_share_of_a_metered_link_and_goes_over_the_other_and_driving_does_not_end()
{
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        meter(&mut world, set.agent, PLAN);
        let (begun, _) = lte(&world, &set);
        while carries(&world, &set) == Carries::All {
            drive_and_tell(&mut world, &set, Duration::from_millis(100));
        }
        let (_, told) = lte(&world, &set);
        drive_and_tell(&mut world, &set, Duration::from_secs(2));
        let before = heard(&world, &set);
        while carries(&world, &set) != Carries::ControlOnce {
            drive_and_tell(&mut world, &set, Duration::from_millis(100));
        }
        drive_and_tell(&mut world, &set, Duration::from_secs(5));
        let (all, told_at_last) = lte(&world, &set);
        assert!(all - begun > PLAN.bytes, "{all}");
        // What was sent in the step in which the share was reached is in it.
        assert!(told <= SHARE && told > SHARE / 10, "{told}");
        assert_eq!(told_at_last, told, "nothing goes past the share");
        assert!(
            heard(&world, &set) > before + 100,
            "over Wi-Fi all of it goes"
        );
        let (_, node, _) = world.agent_role(set.agent).counters();
        assert_eq!(node.withheld, 0);
        let vehicle = world.vehicle(set.agent);
        assert_eq!(
            vehicle.stages_entered(),
            [Stage::Nominal],
            "it was driven all the time"
        );
        let news: Vec<_> = vehicle.metered.iter().map(|(_, news)| *news).collect();
        // At the share telemetry ends first: a margin of what may be on its way is left.
        assert_eq!(
            news,
            [
                MeterNews::WithoutTelemetry,
                MeterNews::Low,
                MeterNews::Spent
            ]
        );
    });
}

// [SAFE-110] [SAFE-112]
#[test]
fn on_the_only_link_telemetry_is_dropped_and_counted_and_control_goes_on_past_the_budget() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        for wifi in [set.truck_paths[1], set.truck_paths[3]] {
            world.link(wifi).set_cut(true);
        }
        meter(&mut world, set.agent, PLAN);
        while carries(&world, &set) != Carries::ControlOnce {
            drive_and_tell(&mut world, &set, Duration::from_millis(100));
        }
        let (_, told) = lte(&world, &set);
        let (heard_before, (_, node, _)) =
            (heard(&world, &set), world.agent_role(set.agent).counters());
        let (delivered, sent) = world.delivered();
        drive_and_tell(&mut world, &set, Duration::from_secs(5));
        assert_eq!(heard(&world, &set), heard_before);
        assert_eq!(lte(&world, &set).1, told);
        let (_, after, _) = world.agent_role(set.agent).counters();
        assert_eq!(after.withheld - node.withheld, 100);
        assert_eq!(world.vehicle(set.agent).stages_entered(), [Stage::Nominal]);
        // Reliable commands and their receipts, a stop and its reset get through, and losses are made good.
        for lte in [set.truck_paths[0], set.truck_paths[2]] {
            world.link(lte).loss = 0.3;
        }
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.work(set.alice, set.agent, Duration::from_secs(5));
        let (delivered_at_last, sent_at_last) = world.delivered();
        assert!(sent_at_last - sent > 40);
        assert_eq!(delivered_at_last - delivered, sent_at_last - sent);
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_secs(1));
        assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);
        assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
    });
}

// [SAFE-112]
#[test]
fn past_its_budget_a_link_costs_no_more_than_one_copy_of_what_its_neighbour_carries() {
    each_seed(|seed| {
        let copies = |spent: bool| {
            let (mut world, set) = StageSet::driving(seed);
            if spent {
                meter(&mut world, set.agent, DailyPlan { bytes: 1, ..PLAN });
            }
            // Losses make the planner repeat what the agent says.
            for path in set.truck_paths {
                world.link(path).loss = 0.5;
            }
            world.drive_on(set.alice, set.agent, Duration::from_secs(2));
            let before: u64 = up_packets(&world, &set);
            world.take(set.alice, set.agent, Vehicle::TUNNEL);
            world.drive_on(set.alice, set.agent, Duration::from_secs(4));
            up_packets(&world, &set) - before
        };
        let (free, spent) = (copies(false), copies(true));
        assert!(spent < free, "{spent} {free}");
    });
}

fn up_packets(world: &World, set: &StageSet) -> u64 {
    let paths = [set.truck_paths[0], set.truck_paths[2]].map(|path| world.carried(path));
    paths.iter().map(|path| path.up_packets).sum()
}
