//! Without a valid command the stages are entered in order, each within its limit and one tick, and none too early.

use std::time::Duration;

use longrein_proto::base::{MonoTime, Stage};

use crate::{Vehicle, World};

pub(super) fn check(world: &World) {
    for agent in world.agents() {
        let clock = world.clock_of(agent);
        let stopped: Vec<(MonoTime, MonoTime)> = world
            .frozen_spans(agent)
            .iter()
            .map(|(from, to)| (clock.at(*from), clock.at(*to)))
            .collect();
        let mut lives = world.lives(agent).peekable();
        while let Some(life) = lives.next() {
            let end = match lives.peek() {
                Some(_) => last_word(life),
                None => world.time_of(agent).max(last_word(life)),
            };
            check_life(life, end, &stopped);
        }
    }
}

/// A dead agent's last known moment.
fn last_word(life: &Vehicle) -> MonoTime {
    let applied = life.applied.iter().map(|command| command.at);
    let stages = life.stages.iter().map(|(at, _, _)| *at);
    applied.chain(stages).max().unwrap_or(life.began)
}

fn check_life(life: &Vehicle, end: MonoTime, stopped: &[(MonoTime, MonoTime)]) {
    let fed: Vec<MonoTime> = life
        .applied
        .iter()
        .filter(|command| command.channel == Vehicle::DRIVE)
        .map(|command| command.at)
        .collect();
    let entered: Vec<(MonoTime, Stage)> = life
        .stages
        .iter()
        .filter(|(_, channel, _)| *channel == Vehicle::DRIVE)
        .map(|(at, _, stage)| (*at, *stage))
        .collect();
    for (index, at) in fed.iter().enumerate() {
        let next = fed.get(index + 1).copied().unwrap_or(end);
        for (stage, limit) in LIMITS {
            let due = at_work(*at + limit + TICK, stopped);
            let in_time = entered
                .iter()
                .any(|(when, entered)| *when > *at && *when <= due && *entered >= stage);
            assert!(
                next <= due || in_time,
                "{stage} not within {limit:?} of {at}: {entered:?}"
            );
        }
    }
    for pair in entered.windows(2) {
        let [(_, from), (when, to)] = pair else {
            continue;
        };
        let by_command = *to == Stage::Nominal && fed.contains(when);
        let by_stop = life.stops.iter().any(|(at, _)| at == when) || life.ended == Some(*when);
        let by_stop = (by_stop || was_asked_for(life, *when)) && *to == Stage::MinimalRisk;
        assert!(
            by_command || by_stop || *to as u8 == *from as u8 + 1,
            "{from} then {to} at {when}: {entered:?}"
        );
    }
    for (when, stage) in &entered {
        check_not_early(life, &fed, *when, *stage);
    }
}

fn check_not_early(life: &Vehicle, fed: &[MonoTime], when: MonoTime, stage: Stage) {
    // A command at the same moment comes after the stages that were due before it.
    let cause = |at: &MonoTime| *at < when;
    let stopped =
        life.stops.iter().any(|(at, stop)| *stop && *at == when) || life.ended == Some(when);
    let parted = life
        .lease_ends
        .iter()
        .chain(&life.device_losses)
        .any(|(at, channel)| *channel == Vehicle::DRIVE && *at == when && stage == Stage::Hold);
    let Some((_, limit)) = LIMITS.iter().find(|(limited, _)| *limited == stage) else {
        return;
    };
    let last = fed.iter().copied().filter(cause).max();
    assert!(
        stopped
            || was_asked_for(life, when)
            || parted
            || last.is_none_or(|last| when.since(last) >= *limit),
        "{stage} at {when} is too early after {last:?}"
    );
}

/// Whether the vehicle's own software asked for MinimalRisk at this moment.
fn was_asked_for(life: &Vehicle, when: MonoTime) -> bool {
    let mut requests = life.own_requests.iter();
    requests.any(|(at, channel)| *channel == Vehicle::DRIVE && *at == when)
}

/// A stopped process enters nothing: what was due then is due when it goes on.
fn at_work(due: MonoTime, stopped: &[(MonoTime, MonoTime)]) -> MonoTime {
    let during = stopped.iter().find(|(from, to)| *from <= due && due <= *to);
    during.map_or(due, |(_, to)| *to + TICK)
}

const LIMITS: [(Stage, Duration); 3] = [
    (Stage::Hold, Duration::from_millis(200)),
    (Stage::Ramp, Duration::from_millis(500)),
    (Stage::MinimalRisk, Duration::from_millis(1_500)),
];
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::drive;

    #[test]
    #[should_panic(expected = "not within")]
    fn a_stage_that_is_never_entered_is_noticed() {
        let (mut world, agent) = drive();
        world.vehicle_mut(agent).stages.truncate(1);
        check(&world);
    }

    #[test]
    #[should_panic(expected = "not within")]
    fn a_stage_that_is_entered_late_is_noticed() {
        let (mut world, agent) = drive();
        for (at, _, stage) in &mut world.vehicle_mut(agent).stages {
            if *stage == Stage::Hold {
                *at = *at + TICK * 2;
            }
        }
        check(&world);
    }

    #[test]
    #[should_panic(expected = "is too early")]
    fn a_stage_that_is_entered_early_is_noticed() {
        let (mut world, agent) = drive();
        for (at, _, stage) in &mut world.vehicle_mut(agent).stages {
            if *stage == Stage::MinimalRisk {
                *at = at.before(TICK * 2);
            }
        }
        check(&world);
    }

    #[test]
    #[should_panic(expected = "Hold then MinimalRisk")]
    fn a_stage_that_is_left_out_is_noticed() {
        let (mut world, agent) = drive();
        for (_, _, stage) in &mut world.vehicle_mut(agent).stages {
            if *stage == Stage::Ramp {
                *stage = Stage::MinimalRisk;
            }
        }
        check(&world);
    }
}
