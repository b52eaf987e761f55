//! A link that is cut costs nothing while another one works.

use super::joined::{HERE, Joined, THERE, ms};
use crate::base::{Class, PathId};
use crate::leg::{Arrival, PathChange};
use crate::path::Health;

#[test]
fn a_cut_link_costs_no_command_and_no_message() {
    for ways in [[true, true], [true, false], [false, true]] {
        let mut joined = Joined::new(7, &[0, 0]);
        for number in 1..=500 {
            if number == 100 {
                joined.links[0].cut = ways;
            }
            if number == 400 {
                joined.links[0].cut = [false; 2];
            }
            joined.send(HERE, Class::Latest, number, ms(200));
            joined.send(HERE, Class::Reliable, number, ms(5_000));
            joined.run(ms(20));
        }
        joined.run(ms(1_000));
        assert!(joined.numbers(THERE, Class::Latest).into_iter().eq(1..=500));
        assert!(
            joined
                .numbers(THERE, Class::Reliable)
                .into_iter()
                .eq(1..=500)
        );
        let late = |arrival: &Arrival| arrival.trail.sender_10us > 0;
        assert!(!joined.got[THERE].iter().any(late), "all on the first copy");
        assert_eq!(joined.legs[HERE].waiting(), 0);
    }
}

#[test]
fn a_removed_path_takes_nothing_with_it() {
    let mut joined = Joined::new(8, &[50, 50]);
    for number in 1..=300 {
        joined.send(HERE, Class::Reliable, number, ms(20_000));
        if number == 100 || number == 110 {
            let end = if number == 100 { HERE } else { THERE };
            joined.legs[end].remove_path(joined.now, PathId(0));
        }
        joined.run(ms(10));
    }
    joined.run(ms(5_000));
    let mut numbers = joined.numbers(THERE, Class::Reliable);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=300));
    assert_eq!(joined.legs[HERE].paths().len(), 1);
    assert!(joined.legs[HERE].counters().packets_strange > 0);
}

#[test]
fn what_waits_through_an_outage_arrives_after_it() {
    let mut joined = Joined::new(9, &[0, 0]);
    joined.run(ms(1_000));
    for link in &mut joined.links {
        link.cut = [true; 2];
    }
    for number in 1..=50 {
        joined.send(HERE, Class::Reliable, number, ms(30_000));
        joined.run(ms(200));
    }
    let changes: Vec<_> = std::iter::from_fn(|| joined.legs[HERE].poll_change()).collect();
    let health = Health::Down;
    assert_eq!(
        changes,
        [PathId(0), PathId(1)].map(|path| PathChange { path, health })
    );
    for link in &mut joined.links {
        link.cut = [false; 2];
    }
    joined.run(ms(400));
    assert_eq!(joined.numbers(THERE, Class::Reliable).len(), 50);
    assert_eq!(joined.legs[HERE].waiting(), 0);
}
