//! A relay and nodes that have papers of the fleet. None of them keeps to any rule.

use longrein_proto::base::limits::OUTBOX_PARCELS_MAX;
use longrein_proto::role::{Relay, RelayConfig, RelayEvent};
use longrein_proto::wire::Parcel;

use crate::{Bench, Chance, Script, forgery, papers};

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let relay = Relay::new(
        RelayConfig::default(),
        Box::new(Chance::new(u64::from(script.byte()))),
    );
    let mut bench = Bench::new(relay, &NODES);
    for far in 0..bench.far.len() {
        bench.path_up(far, 0);
    }
    let mut here = 0;
    while !script.is_over() {
        match script.byte() % 12 {
            0 | 1 => bench.network(&mut script),
            2 | 3 => bench.pass(&mut script),
            4 => bench.repeat(&mut script),
            5 if script.byte() == 0xff => bench.role.drain(bench.now),
            5 | 6 => {
                let notice = Parcel::Notice(forgery::notice(&mut script));
                bench.say(&mut script, notice.encode());
            }
            _ => {
                let parcel = forgery::parcel(&mut script);
                bench.say(&mut script, parcel);
            }
        }
        bench.settle();
        look(&mut bench, &mut here);
    }
}

/// What must hold after every act.
fn look(bench: &mut Bench<Relay>, here: &mut usize) {
    for (_, parcel) in std::mem::take(&mut bench.heard) {
        assert!(
            Parcel::decode(&parcel).is_ok(),
            "a relay forwards what can be read"
        );
    }
    for (_, event) in std::mem::take(&mut bench.events) {
        match event {
            RelayEvent::Joined { .. } => *here += 1,
            RelayEvent::Left { .. } => *here -= 1,
            _ => {}
        }
    }
    assert_eq!(
        bench.role.nodes().count(),
        *here,
        "who comes and goes is told"
    );
    assert!(
        bench
            .role
            .nodes()
            .all(|node| NODES.iter().any(|name| papers().name(name) == *node))
    );
    assert!(bench.role.waiting() <= OUTBOX_PARCELS_MAX);
}

const NODES: [&str; 5] = [
    "agent/truck-17",
    "agent/truck-18",
    "controller/alice",
    "controller/mallory",
    "service/depot",
];
