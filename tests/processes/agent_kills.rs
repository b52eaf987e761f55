//! [SAFE-5] [SAFE-12] What an agent promises over its own deaths, whenever they come.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use longrein::local_fleet::LocalFleet;
use longrein::{ApplicationId, Body, Class, Connection, Lease, Order, Settings};
use longrein_io::runtime;
use longrein_tests::Chance;
use rustix::process::Signal;
use tokio::time::sleep;

use super::fleet;
use super::program::Program;
use super::rounds::rounds;
use super::until::until;

/// What a controller got and a vehicle was given.
#[derive(Default)]
struct Seen {
    /// Fencing tokens, in the order of their grants.
    tokens: Mutex<Vec<u64>>,
    /// How often a command with this number reached the vehicle.
    applied: Mutex<BTreeMap<u64, usize>>,
    over: AtomicBool,
}

/// A controller takes the lease as often as it can and repeats its last commands in each new lease; the agent is killed at any
/// byte that it writes, and at any command that it applies.
#[test]
fn over_any_kill_the_token_grows_and_no_reliable_command_is_applied_twice() {
    let (mut chance, rounds) = rounds();
    let device = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut plan = fleet::plan();
    plan.functions = format!(
        "[[function]]\nname = \"horn\"\nkind = \"opaque\"\nwatchdog = false\nadapter = {{ kind = \"udp\", send_to = \"{}\" }}\n",
        device.local_addr().unwrap()
    );
    let mut fleet = fleet::start(plan);
    fleet.kill_agent();
    let seen = Arc::new(Seen::default());
    let vehicle = listen(device, Arc::clone(&seen));
    let controller = operate(&fleet, Arc::clone(&seen));
    let config = fleet.folder().join("agent.toml");
    for round in 0..rounds {
        let agent = Program::start("longrein-agent", ["--config".as_ref(), config.as_os_str()]);
        live(&fleet, &mut chance, &seen, round);
        agent.signal(Signal::KILL);
        agent.ended();
    }
    seen.over.store(true, Ordering::Relaxed);
    controller.join().unwrap();
    vehicle.join().unwrap();

    let tokens = seen.tokens.lock().unwrap().clone();
    assert!(tokens.len() as u64 >= rounds / 4, "{tokens:?}");
    assert!(
        tokens.is_sorted_by(|before, after| before < after),
        "{tokens:?}"
    );
    let applied = seen.applied.lock().unwrap();
    assert!(applied.len() as u64 >= rounds, "{}", applied.len());
    let twice = applied.iter().find(|(_, times)| **times > 1);
    assert_eq!(twice, None, "of {} commands", applied.len());
}

/// Until an agent that was just started has come to the moment of its death: some bytes, a grant, or some commands.
fn live(fleet: &LocalFleet, chance: &mut Chance, seen: &Seen, round: u64) {
    let (written, granted, applied) = (
        || fleet::recorded_bytes(fleet),
        || seen.tokens.lock().unwrap().len(),
        || seen.applied.lock().unwrap().len(),
    );
    let (written_before, granted_before, applied_before) = (written(), granted(), applied());
    match chance.below(4) {
        0 => {
            let more = chance.below(4_000);
            until(&format!("{more} bytes more in round {round}"), || {
                (written() >= written_before + more).then_some(())
            });
        }
        1 => until(&format!("a grant in round {round}"), || {
            (granted() > granted_before).then_some(())
        }),
        _ => {
            let more = 1 + usize::try_from(chance.below(30)).unwrap();
            until(&format!("{more} more commands in round {round}"), || {
                (applied() >= applied_before + more).then_some(())
            });
        }
    }
}

/// The vehicle: counts what it is given.
fn listen(device: UdpSocket, seen: Arc<Seen>) -> JoinHandle<()> {
    device
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    spawn(move || {
        let mut bytes = [0; 64];
        while !seen.over.load(Ordering::Relaxed) {
            let Ok(length) = device.recv(&mut bytes) else {
                continue;
            };
            let number = u64::from_be_bytes(bytes[..length].try_into().unwrap());
            *seen.applied.lock().unwrap().entry(number).or_default() += 1;
        }
    })
}

/// The controller, on a thread of its own.
fn operate(fleet: &LocalFleet, seen: Arc<Seen>) -> JoinHandle<()> {
    let settings = longrein::demo::settings(fleet).unwrap();
    spawn(move || runtime::run(|| command(settings, seen)).unwrap())
}

async fn command(settings: Settings, seen: Arc<Seen>) {
    let connection = Connection::connect_local(settings).await.unwrap();
    let mut next = 0;
    while !seen.over.load(Ordering::Relaxed) {
        let Ok(truck) = connection.open(&"truck-17".parse().unwrap()).await else {
            continue;
        };
        let Ok(lease) = truck.take(&"horn".parse().unwrap()).await else {
            sleep(PAUSE).await;
            continue;
        };
        seen.tokens.lock().unwrap().push(lease.token().0);
        // What may not have come, and what did, again.
        for number in next_before(next)..next {
            repeat(&lease, number).await;
        }
        while lease.loss().is_none() && !seen.over.load(Ordering::Relaxed) {
            repeat(&lease, next).await;
            next += 1;
            sleep(PAUSE).await;
        }
    }
    connection.close().await;
}

fn next_before(next: u64) -> u64 {
    next.saturating_sub(REPEATED)
}

async fn repeat(lease: &Lease, number: u64) {
    let order = Order {
        class: Class::Reliable,
        ttl: Duration::from_secs(5),
        dead_man: true,
        resume: false,
        application_id: Some(ApplicationId(number.to_be_bytes())),
        picture_age: None,
        body: Body::Opaque(number.to_be_bytes().to_vec()),
    };
    // One that cannot be sent is lost with its lease.
    let _ = lease.send(order).await;
}

/// Commands that are sent again in the next lease.
const REPEATED: u64 = 40;
const PAUSE: Duration = Duration::from_millis(5);
