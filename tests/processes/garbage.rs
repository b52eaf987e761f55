//! Somebody floods a relay with garbage, also in the name of a node that is driving.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use longrein::local_fleet::LocalFleet;
use longrein::{Connection, Drive, Lease, Settings, Vehicle, VehicleEvent};
use tokio::time::{interval, sleep, timeout};

use super::complaint::expect;
use super::fleet;
use super::papers::{Papers, program};
use super::tap::{Seen, Tap};
use super::until::{PATIENCE, until};

#[test]
fn a_flood_of_garbage_costs_no_command_and_strangers_are_counted() {
    let mut fleet = fleet::start(fleet::plan());
    let relay = fleet.relays()[0].address;
    let (tap, strangers) = (Tap::start(relay), Tap::start(relay));
    knock(&strangers);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let drive = drive(&fleet, &tap, &strangers, relay);
    let (sent, superseded_and_late) = runtime.block_on(drive);

    let log = fleet::applied(&fleet).read();
    log.check();
    let applied = log.commands.iter().filter(|one| sent.contains(&one.number));
    assert_eq!(
        applied.count() + superseded_and_late,
        sent.len(),
        "superseded or late: {superseded_and_late}"
    );
    fleet.stop_relay(0).unwrap();
    let said = fleet::relay_log(&fleet, "relay-a");
    let is_stranger =
        |line: &str| line.contains("handshakes failed") && line.contains("another authority");
    assert!(said.lines().any(is_stranger), "{said}");
    let counters = said
        .lines()
        .rfind(|line| line.contains("listener counters"));
    let counters = counters.unwrap();
    assert!(
        field(counters, "offered") > field(counters, "accepted"),
        "{counters}"
    );
    let all = field(counters, "datagrams");
    let forwarding = said.lines().rfind(|line| line.contains("relay counters"));
    let of_paths = field(forwarding.unwrap(), "datagrams_of_paths");
    assert!(
        all - of_paths > u64::from(ROUNDS) / 2,
        "{all} at the port, {of_paths} for connections"
    );
    assert!(said.contains("relay ended"), "{said}");
}

fn field(line: &str, name: &str) -> u64 {
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// A controller of another fleet tries to get in.
fn knock(tap: &Tap) {
    let papers = Papers::new();
    let node = "controller/desk";
    let (name, arguments) = program(&papers, node, &papers.of(node), &tap.address().to_string());
    expect(name, &arguments, 3, &["certificate"]);
}

/// Numbers of the commands, and how many of them were superseded or late.
async fn drive(
    fleet: &LocalFleet,
    tap: &Tap,
    strangers: &Tap,
    relay: SocketAddr,
) -> (BTreeSet<u64>, usize) {
    let connection = Connection::connect(settings(fleet, tap)).await.unwrap();
    let vehicle = connection.open(&"truck-17".parse().unwrap()).await.unwrap();
    let lease = vehicle.take(&"drive".parse().unwrap()).await.unwrap();
    fleet::controller_is_everywhere(fleet, "desk");
    let mut sent = BTreeSet::new();
    let mut ticks = interval(Duration::from_millis(20));
    let mut flood = None;
    for tick in 0..TICKS {
        ticks.tick().await;
        let speed_mm_s = if tick == 0 { 0 } else { 1_000 };
        let drive = Drive {
            speed_mm_s,
            curvature_per_km: 0,
        };
        sent.insert(lease.drive(drive, true, tick == 0).await.unwrap());
        if tick == TICKS / 4 {
            let seen = [tap.seen(), strangers.seen()].concat();
            flood = Some(std::thread::spawn(move || pour(&seen, relay)));
        }
    }
    sleep(Lease::DRIVE_TTL).await;
    let poured = flood.unwrap();
    until("the flood is over", || poured.is_finished().then_some(()));
    poured.join().unwrap();
    let counts = counts(&vehicle).await;
    let said = fleet::relay_log(fleet, "relay-a");
    assert!(!said.contains("path is down"), "{said}");
    lease.release().await.unwrap();
    connection.close().await;
    (sent, counts)
}

fn settings(fleet: &LocalFleet, tap: &Tap) -> Settings {
    let mut settings = Settings::new(fleet::identity(fleet, "desk"));
    for relay in fleet.relays() {
        let address = if relay.name == "relay-a" {
            tap.address()
        } else {
            relay.address
        };
        settings = settings.relay(relay.name.parse().unwrap(), address.to_string());
    }
    settings
}

/// What the vehicle says was superseded and late, once it has said it twice.
async fn counts(vehicle: &Vehicle) -> usize {
    let mut events = vehicle.watch().await.unwrap();
    let (mut beats, mut newest) = (0, 0);
    while beats < 3 {
        let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        if let VehicleEvent::Status(status) = event {
            beats += 1;
            let flows = status.beat.flows.iter().map(|flow| flow.counts);
            newest = flows.map(|counts| counts.superseded + counts.expired).sum();
        }
    }
    usize::try_from(newest).unwrap()
}

/// Noise, real packets with a wrong bit, cut off, and again: from a stranger, and from the address of the controller.
fn pour(seen: &[Seen], relay: SocketAddr) {
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(relay).unwrap();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    assert!(!seen.is_empty());
    for round in 0..ROUNDS {
        let Seen { bytes, way } = &seen[noise.below(seen.len())];
        let mut flipped = bytes.clone();
        let place = noise.below(bytes.len());
        flipped[place] ^= 1 << noise.below(8);
        let cut = &bytes[..noise.below(bytes.len())];
        let random: Vec<u8> = (0..1 + noise.below(1_400)).map(|_| noise.byte()).collect();
        for garbage in [&flipped, cut, &random, bytes] {
            // A full buffer somewhere on the way is part of a flood.
            let _ = stranger.send(garbage);
            let _ = way.send(garbage);
        }
        if round % 8 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Numbers that are the same in each run (xorshift).
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// Commands, at 50 Hz.
const TICKS: u32 = 200;
/// Of eight packets each.
const ROUNDS: u32 = 500;
