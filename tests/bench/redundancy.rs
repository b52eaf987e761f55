//! What redundancy reaches and what it costs.

use std::time::Duration;

use longrein_tests::{Burst, Figures, Link, Policer, Queue, Trial};

/// Which rows.
#[derive(Debug, clap::Args)]
pub struct RedundancyArgs {
    /// Only rows with this in their name
    #[arg(long, default_value = "")]
    row: String,
    /// The seed of the simulated network
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Prints the table.
pub fn run(args: &RedundancyArgs) {
    println!(
        "How soon and how surely do messages of 100 bytes arrive over a bad network, and for how many bytes?\n\
         Method: a minute on virtual time, real roles, seals and acknowledgements; 10 ms each way on each of two legs; loss both\n\
         ways on the vehicle's links unless said otherwise; 1 Mbit/s for each link. Bytes are on the wire, of all paths both ways,\n\
         for each message; down and up are kbit/s of the vehicle's first path.\n"
    );
    println!("{}", Figures::head());
    let row = |name: &str, trial: Trial| {
        if name.contains(&args.row) {
            println!("{}", from_a_desk(trial).run(args.seed).row(name));
        }
    };
    for loss in [0.0, 0.2, 0.5, 0.8, 0.9] {
        for links in [1, 2] {
            for hz in [10, 100] {
                let trial = Trial {
                    reliable_hz: hz,
                    ..Trial::new(vec![lossy(loss); links])
                };
                row(
                    &format!("reliable {hz}/s, loss {loss}, {links} links"),
                    trial,
                );
            }
        }
    }
    for loss in [0.2, 0.8] {
        let trial = Trial {
            desk: vec![lossy(loss); 2],
            ..Trial::new(vec![lossy(loss); 2])
        };
        row(&format!("both accesses, loss {loss}, 2 links each"), trial);
    }
    for loss in [0.0, 0.2] {
        let trial = Trial {
            relays: 2,
            ..Trial::new(vec![lossy(loss); 2])
        };
        row(&format!("2 relays, loss {loss}, 2 links"), trial);
    }
    for links in [1, 2] {
        let bursts = Link {
            burst: Some(Burst::Time {
                apart: Duration::from_millis(50),
                long: Duration::from_millis(200),
                loss: 1.0,
            }),
            ..Link::access()
        };
        row(
            &format!("bursts 200 ms 80 %, {links} links"),
            Trial::new(vec![bursts; links]),
        );
    }
    for hz in [10, 100] {
        let bloat = Link {
            queue: Some(Queue {
                bytes_per_s: 64_000,
                bytes_max: 32_000,
            }),
            ..Link::access()
        };
        let trial = Trial {
            reliable_hz: hz,
            ..Trial::new(vec![bloat])
        };
        row(
            &format!("bufferbloat {hz}/s, 512 kbit/s, 500 ms"),
            trial.clone(),
        );
        let trial = Trial {
            vehicle: vec![Link { loss: 0.8, ..bloat }],
            ..trial
        };
        row(&format!("bufferbloat {hz}/s, and loss 0.8"), trial);
    }
    let policed = Link {
        policer: Some(Policer {
            bytes_per_s: 64_000,
            burst_bytes: 3_000,
        }),
        ..Link::access()
    };
    let trial = Trial {
        reliable_hz: 100,
        ..Trial::new(vec![policed])
    };
    row("policer 512 kbit/s 100/s", trial);
    for loss in [0.0, 0.2, 0.5, 0.8] {
        for links in [1, 2, 3] {
            let trial = Trial {
                reliable_hz: 0,
                drive_hz: 50,
                ..Trial::new(vec![lossy(loss); links])
            };
            row(&format!("drive 50 Hz, loss {loss}, {links} links"), trial);
        }
    }
}

/// The same with a rate on the operator's links too.
fn from_a_desk(mut trial: Trial) -> Trial {
    for link in &mut trial.desk {
        link.queue = Link::access().queue;
    }
    trial
}

fn lossy(loss: f64) -> Link {
    Link {
        loss,
        ..Link::access()
    }
}
