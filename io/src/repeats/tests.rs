use super::*;
use crate::congestion::Fuse;
use crate::entropy::SystemEntropy;
use crate::files::make_private_directory;
use crate::keys::{AUTHORITY_FILE, CERTIFICATE_FILE, Identity, KEY_FILE};
use crate::tls::{self, SERVER_NAME};
use crate::transport::transport;
use longrein_proto::base::Entropy;
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig, Event,
    ServerConfig,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn transmit() -> Transmit {
    Transmit {
        destination: "192.0.2.1:4433".parse().unwrap(),
        ecn: None,
        size: 0,
        segment_size: None,
        src_ip: None,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// When what was sent, as far as the first byte says, until nothing more is due.
fn sent(repeats: &mut Repeats, since: Instant) -> Vec<(u128, u8)> {
    let mut sent = Vec::new();
    while let Some(due) = repeats.next_due() {
        repeats.send_due(due, |_, bytes| {
            sent.push(((due - since).as_millis(), bytes[0]));
        });
    }
    sent
}

/// A packet that is no mere acknowledgement.
fn flight(first: u8) -> [u8; 1_200] {
    [first; 1_200]
}

#[test]
fn a_packet_of_the_handshake_goes_four_times_again_then_more_slowly_and_another_one_does_not() {
    let now = Instant::now();
    let mut repeats = Repeats::of_client(now, Effort::Keen);
    assert!(repeats.on_packet(now + ms(5), &transmit(), &flight(0xc0)));
    assert!(repeats.on_packet(now + ms(5), &transmit(), &flight(0x40)));
    assert!(repeats.on_packet(now + ms(5), &transmit(), &[0xc1; 49]));
    let fast = [7, 9, 11, 13];
    let slow = (15..305).step_by(15);
    let expected = fast.into_iter().chain(slow).map(|at| (at, 0xc0));
    assert!(sent(&mut repeats, now).into_iter().eq(expected));

    let mut repeats = Repeats::of_client(now, Effort::Brief);
    assert!(repeats.on_packet(now + ms(5), &transmit(), &flight(0xc0)));
    assert_eq!(sent(&mut repeats, now), fast.map(|at| (at, 0xc0)));
}

#[test]
fn a_handshake_that_is_through_soon_repeats_nothing() {
    let now = Instant::now();
    let mut repeats = Repeats::of_client(now, Effort::Patient);
    repeats.on_packet(now, &transmit(), &flight(0xc0));
    assert_eq!(repeats.next_due(), Some(now + PATIENCE));
    repeats.finish();
    assert_eq!(repeats.next_due(), None);
    repeats.on_received(1);
    assert!(repeats.on_packet(now + ms(99), &transmit(), &flight(0xc0)));
    assert_eq!(repeats.next_due(), None);
}

#[test]
fn what_a_client_answers_with_takes_the_place_of_what_it_began_with() {
    let now = Instant::now();
    let mut repeats = Repeats::of_client(now, Effort::Keen);
    repeats.on_packet(now, &transmit(), &flight(0xc0));
    // QUIC's own probes go only where nothing better does.
    repeats.on_timeout();
    assert!(!repeats.on_packet(now, &transmit(), &flight(0xc1)));
    // Something came, but nothing to answer: the first packet goes on.
    repeats.on_received(49);
    assert_eq!(repeats.next_due(), Some(now + GAP));
    repeats.on_packet(now + ms(1), &transmit(), &flight(0xe0));
    let sent = sent(&mut repeats, now);
    assert!(sent.iter().all(|(_, first)| *first == 0xe0));
    // Until it hears that the server is through, or it takes too long.
    assert!(sent.last().is_some_and(|(at, _)| (980..1_001).contains(at)));
    // Who wakes up late has nothing more to do, and QUIC is left to itself.
    repeats.send_due(now + ms(1_001), |_, _| panic!("too late"));
    assert!(repeats.next_due().is_none());
    repeats.on_timeout();
    assert!(repeats.on_packet(now + ms(1_001), &transmit(), &flight(0xe1)));
}

#[test]
fn packets_that_wait_are_few_and_the_longest() {
    let now = Instant::now();
    let mut repeats = Repeats::of_server(now);
    repeats.on_received(10_000);
    for number in [9, 2, 8, 1, 7, 6] {
        let packet = vec![0x80 + number; 100 + usize::from(number)];
        repeats.on_packet(now, &transmit(), &packet);
    }
    let kinds: Vec<u8> = sent(&mut repeats, now).iter().map(|sent| sent.1).collect();
    assert_eq!(kinds[..4], [0x89, 0x88, 0x87, 0x86]);
    assert_eq!(kinds.len(), 4 * PACKETS_MAX);
    // Who repeats lacks the answer.
    repeats.on_received(1_200);
    assert_eq!(sent(&mut repeats, now).len(), 3 * PACKETS_MAX);
}

#[test]
fn repeats_wait_until_the_far_side_sent_enough() {
    let now = Instant::now();
    let mut repeats = Repeats::of_server(now);
    assert!(repeats.on_packet(now, &transmit(), &[0xc0; 1_200]));
    assert_eq!(sent(&mut repeats, now).len(), 2);
    assert!(!repeats.on_packet(now, &transmit(), &[0x40; 1_200]));
    repeats.on_received(399);
    assert_eq!(repeats.next_due(), None);
    repeats.on_received(1);
    assert_eq!(sent(&mut repeats, now).len(), 1);
    assert!(!repeats.on_packet(now, &transmit(), &[0x40; 1]));
    repeats.finish();
    assert!(repeats.on_packet(now, &transmit(), &[0x40; 1_200]));
}

#[test]
fn a_server_never_sends_more_than_three_times_what_an_unproved_address_sent() {
    for first_bytes in [1_000, 1_200] {
        let mut world = World::new(1, 0.0);
        // Whoever lives at the address did not send this.
        let (_, first) = world.client.connect(world.now).remove(0);
        world.deliver_to_server(&first[..first_bytes]);
        let mut came = first_bytes;
        let end = world.now + ms(10_000);
        while world.now < end {
            let out = world.server.turn(world.now);
            world.sent_bytes += out.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            assert!(world.sent_bytes <= 3 * came, "{}", world.sent_bytes);
            world.now += ms(1);
            // The same packet again, as of a client that goes on.
            if (world.now - world.start).as_millis().is_multiple_of(200) {
                world.deliver_to_server(&first[..first_bytes]);
                came += first_bytes;
            }
        }
        assert_eq!(world.sent_bytes > 100_000, first_bytes == 1_200);
    }
}

#[test]
fn handshakes_are_through_when_four_of_five_packets_get_lost_both_ways() {
    let mut times: Vec<u128> = (0..40)
        .map(|seed| {
            let mut world = World::new(seed, 0.8);
            world.bits_per_s = Some(LINK_BITS_PER_S);
            world.handshake()
        })
        .collect();
    times.sort_unstable();
    println!("ms until both ends are up: {times:?}");
    assert!(times[20] <= 350 && times[39] <= 2_000, "{times:?}");
}

#[test]
fn an_attempt_that_nobody_answers_ends_when_the_next_begins() {
    let mut world = World::new(1, 1.0);
    let mut packets = world.client.connect(world.now).len();
    let mut last = world.now;
    for _ in 0..2_000 {
        let sent = world.client.turn(world.now).len();
        if sent > 0 {
            (packets, last) = (packets + sent, world.now);
        }
        world.now += ms(1);
    }
    assert_eq!(packets, 23);
    assert!(last < world.start + UNHEARD_MAX);
}

#[test]
fn a_clean_handshake_sends_nothing_twice() {
    let mut world = World::new(1, 0.0);
    world.delay = ms(5);
    assert!(world.handshake() <= 20);
    assert!(world.sent_bytes <= 6_000, "{}", world.sent_bytes);
}

/// A client and a server on virtual time.
struct World {
    start: Instant,
    now: Instant,
    client: Side,
    server: Side,
    dice: Dice,
    loss: f64,
    delay: Duration,
    sent_bytes: usize,
    flying: Vec<(Instant, bool, Vec<u8>)>,
    /// Bits a second of each way's link, if they matter, and when it has everything on the wire.
    bits_per_s: Option<u32>,
    free: [Instant; 2],
}

impl World {
    fn new(seed: u64, loss: f64) -> World {
        let now = Instant::now();
        let [truck, east] = identities(["agent/truck-17", "relay/east"]);
        World {
            start: now,
            now,
            client: Side::client(&truck),
            server: Side::server(&east),
            dice: Dice(seed),
            loss,
            delay: ms(10),
            sent_bytes: 0,
            flying: Vec::new(),
            bits_per_s: None,
            free: [now; 2],
        }
    }

    /// Milliseconds until one connection is up at both ends; attempts race as those of a dialler do.
    fn handshake(&mut self) -> u128 {
        loop {
            let passed = (self.now - self.start).as_millis();
            if self.server.up.is_some() {
                return passed;
            }
            assert!(passed < 20_000, "no handshake");
            let mut sent = Vec::new();
            if passed.is_multiple_of(UNHEARD_MAX.as_millis())
                && passed < 1_600
                && self.client.up.is_none()
            {
                sent.extend(self.client.connect(self.now));
            }
            sent.extend(self.client.turn(self.now));
            self.fly(true, sent);
            let sent = self.server.turn(self.now);
            self.fly(false, sent);
            self.now += ms(1);
            self.land();
        }
    }

    fn fly(&mut self, to_server: bool, sent: Vec<(Transmit, Vec<u8>)>) {
        for (_, bytes) in sent {
            self.sent_bytes += bytes.len();
            let free = &mut self.free[usize::from(to_server)];
            let begins = (*free).max(self.now);
            if begins > self.now + LINK_QUEUE {
                continue;
            }
            let bits = u32::try_from(bytes.len() + IP_BYTES).unwrap() * 8;
            let takes = |bits_per_s| Duration::from_secs(1) * bits / bits_per_s;
            *free = begins + self.bits_per_s.map_or(Duration::ZERO, takes);
            if self.dice.unit() >= self.loss {
                self.flying.push((*free + self.delay, to_server, bytes));
            }
        }
    }

    fn land(&mut self) {
        let now = self.now;
        let landed: Vec<_> = self
            .flying
            .extract_if(.., |(at, _, _)| *at <= now)
            .collect();
        for (_, to_server, bytes) in landed {
            if to_server {
                self.deliver_to_server(&bytes);
            } else {
                self.client.take(now, server_address(), &bytes);
            }
        }
    }

    fn deliver_to_server(&mut self, bytes: &[u8]) {
        self.server.take(self.now, client_address(), bytes);
    }
}

/// The links of the weak-network measurements.
const LINK_BITS_PER_S: u32 = 1_000_000;
const IP_BYTES: usize = 28;
const LINK_QUEUE: Duration = Duration::from_millis(100);

/// One endpoint, driven as `crate::connection` drives it.
struct Side {
    endpoint: Endpoint,
    config: Option<ClientConfig>,
    connections: BTreeMap<ConnectionHandle, (Connection, Repeats)>,
    up: Option<ConnectionHandle>,
}

impl Side {
    fn client(identity: &Identity) -> Side {
        let crypto = tls::client(identity, &"east".parse().unwrap()).unwrap();
        let mut config = ClientConfig::new(crypto);
        config.transport_config(transport(Fuse::default()));
        Side::new(None, Some(config))
    }

    fn server(identity: &Identity) -> Side {
        let mut config = ServerConfig::with_crypto(tls::server(identity).unwrap());
        config.transport_config(transport(Fuse::default()));
        Side::new(Some(Arc::new(config)), None)
    }

    fn new(server: Option<Arc<ServerConfig>>, config: Option<ClientConfig>) -> Side {
        let endpoint = Arc::new(EndpointConfig::default());
        Side {
            endpoint: Endpoint::new(endpoint, server, false, None),
            config,
            connections: BTreeMap::new(),
            up: None,
        }
    }

    fn connect(&mut self, now: Instant) -> Vec<(Transmit, Vec<u8>)> {
        let config = self.config.clone().unwrap();
        let effort = if self.connections.is_empty() {
            Effort::Patient
        } else {
            Effort::Keen
        };
        let begun = self
            .endpoint
            .connect(now, config, server_address(), SERVER_NAME);
        let (handle, connection) = begun.unwrap();
        let repeats = Repeats::of_client(now, effort);
        self.connections.insert(handle, (connection, repeats));
        self.turn(now)
    }

    fn take(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let mut answer = Vec::new();
        let event = self
            .endpoint
            .handle(now, from, None, None, bytes.into(), &mut answer);
        match event {
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                let (handle, connection) = accepted.unwrap();
                let repeats = Repeats::of_server(now);
                self.connections.insert(handle, (connection, repeats));
            }
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some((connection, repeats)) = self.connections.get_mut(&handle) {
                    repeats.on_received(bytes.len());
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
    }

    /// What is sent now.
    fn turn(&mut self, now: Instant) -> Vec<(Transmit, Vec<u8>)> {
        let mut sent = Vec::new();
        // The dialler gives up the other attempts then.
        let won = self.up.filter(|_| self.config.is_some());
        self.connections
            .retain(|handle, _| won.is_none_or(|won| won == *handle));
        for (handle, (connection, repeats)) in &mut self.connections {
            if connection.poll_timeout().is_some_and(|due| due <= now) {
                repeats.on_timeout();
                connection.handle_timeout(now);
            }
            if connection.stats().frame_rx.handshake_done > 0 {
                repeats.finish();
            }
            while let Some(event) = connection.poll() {
                if matches!(event, Event::Connected) {
                    self.up.get_or_insert(*handle);
                    if connection.side().is_server() {
                        repeats.finish();
                    }
                }
            }
            let mut packet = Vec::new();
            while let Some(transmit) = connection.poll_transmit(now, 1, &mut packet) {
                if repeats.on_packet(now, &transmit, &packet) {
                    sent.push((transmit, packet.clone()));
                }
                packet.clear();
            }
            repeats.send_due(now, |transmit, bytes| {
                sent.push((Transmit { ..*transmit }, bytes.to_vec()));
            });
            while let Some(event) = connection.poll_endpoint_events() {
                if let Some(answer) = self.endpoint.handle_event(*handle, event) {
                    connection.handle_event(answer);
                }
            }
        }
        sent
    }
}

/// Identities of one fleet, in the given kinds and names.
fn identities<const N: usize>(nodes: [&str; N]) -> [Identity; N] {
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(params, key()).unwrap();
    let place = std::env::temp_dir().join(format!(
        "longrein-repeats-{}",
        SystemEntropy::new().next_u64()
    ));
    let identities = nodes.map(|node| {
        let mut params = CertificateParams::default();
        let uri = format!("longrein://demo/{node}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let key = key();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let directory = place.join(node);
        make_private_directory(&directory).unwrap();
        for (file, content) in [
            (AUTHORITY_FILE, authority.pem()),
            (CERTIFICATE_FILE, certificate.pem()),
            (KEY_FILE, key.serialize_pem()),
        ] {
            let file = directory.join(file);
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        Identity::load(&directory).unwrap()
    });
    fs::remove_dir_all(place).unwrap();
    identities
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    /// At least 0 and below 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn client_address() -> SocketAddr {
    "192.0.2.1:1000".parse().unwrap()
}

fn server_address() -> SocketAddr {
    "192.0.2.2:4433".parse().unwrap()
}
