//! What redundancy reaches, end to end over two legs of 10 ms each way, and what it costs. `bench redundancy` prints more.

use std::time::Duration;

use longrein_tests::{Burst, Figures, Link, Queue, Trial};

fn lossy(loss: f64) -> Link {
    Link {
        loss,
        ..Link::good()
    }
}

/// All messages arrive, after this mean and 99th percentile in milliseconds.
fn assert_within(figures: &Figures, mean: f64, p99: f64) {
    let row = figures.row("");
    assert!((figures.arrived() - 100.0).abs() < 1e-9, "{row}");
    assert!(figures.mean() <= mean && figures.at(0.99) <= p99, "{row}");
}

/// Bytes of a trial that sends each message once on each path: what every planner spends without loss.
fn bytes_of_one_copy(trial: &Trial) -> f64 {
    let mut clean = trial.clone();
    for link in clean.vehicle.iter_mut().chain(&mut clean.desk) {
        *link = Link::good();
    }
    clean.run(SEED).bytes_each()
}

#[test]
fn four_fifths_lost_on_the_only_link_cost_10_ms_in_the_mean() {
    let figures = Trial::new(vec![lossy(0.8)]).run(SEED);
    assert_within(&figures, 30.0, 65.0);
}

#[test]
fn four_fifths_lost_on_both_links_cost_6_ms_in_the_mean() {
    let figures = Trial::new(vec![lossy(0.8); 2]).run(SEED);
    assert_within(&figures, 26.0, 50.0);
}

#[test]
fn four_fifths_lost_at_both_ends_cost_16_ms_in_the_mean() {
    let trial = Trial {
        desk: vec![lossy(0.8); 2],
        ..Trial::new(vec![lossy(0.8); 2])
    };
    assert_within(&trial.run(SEED), 36.0, 95.0);
}

#[test]
fn nine_tenths_lost_on_both_links_cost_22_ms_in_the_mean() {
    let figures = Trial::new(vec![lossy(0.9); 2]).run(SEED);
    assert_within(&figures, 42.0, 150.0);
}

#[test]
fn a_fifth_lost_on_four_paths_costs_hardly_time_and_less_than_three_times_the_bytes() {
    let trial = Trial {
        relays: 2,
        ..Trial::new(vec![lossy(0.2); 2])
    };
    let figures = trial.run(SEED);
    assert_within(&figures, 21.0, 26.0);
    assert!(figures.bytes_each() <= 3.0 * bytes_of_one_copy(&trial));
}

#[test]
fn a_clean_path_costs_no_time_and_no_copies() {
    for relays in [1, 2] {
        let trial = Trial {
            relays,
            ..Trial::new(vec![Link::good(); 2])
        };
        let figures = trial.run(SEED);
        assert_within(&figures, 21.5, 26.0);
        let copies = figures.copies_each;
        assert!(copies <= 1.3, "{copies}");
    }
}

#[test]
fn the_drive_flow_reaches_the_vehicle_within_a_period_of_when_it_could() {
    // Loss, links; share of periods that end with their own command, and the age of the newest in 999 of 1,000.
    for (loss, links, covered, age_ms) in [
        (0.2, 1, 99.0, 60.0),
        (0.5, 2, 98.5, 80.0),
        (0.8, 2, 89.0, 100.0),
        (0.8, 3, 96.4, 80.0),
    ] {
        let trial = Trial {
            reliable_hz: 0,
            drive_hz: 50,
            ..Trial::new(vec![lossy(loss); links])
        };
        let figures = trial.run(SEED);
        let row = figures.row("");
        assert!(
            figures.covered() >= covered && figures.age_at(0.999) <= age_ms,
            "{row}"
        );
    }
}

#[test]
fn a_deep_queue_is_not_kept_full() {
    let link = Link {
        queue: Some(Queue {
            bytes_per_s: 64_000,
            bytes_max: 32_000,
        }),
        ..Link::good()
    };
    let trial = Trial {
        reliable_hz: 100,
        ..Trial::new(vec![link])
    };
    let figures = trial.run(SEED);
    assert_within(&figures, 50.0, 150.0);
    assert!(figures.queue_ms < 250.0, "{}", figures.row(""));
}

#[test]
fn bursts_on_two_links_delay_but_lose_nothing() {
    let link = Link {
        burst: Some(Burst::Time {
            apart: Duration::from_millis(50),
            long: Duration::from_millis(200),
            loss: 1.0,
        }),
        ..Link::good()
    };
    assert_within(&Trial::new(vec![link; 2]).run(SEED), 120.0, 612.0);
}

const SEED: u64 = 1;
