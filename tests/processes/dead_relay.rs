//! A relay that does not answer.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::complaint::only_line;
use super::papers::{Papers, program};
use super::program::Program;
use super::until::PATIENCE;

/// A socket that hears everything and answers nothing, for some seconds from the first datagram on.
struct DeadRelay {
    address: String,
    listener: JoinHandle<Heard>,
}

#[derive(Debug)]
struct Heard {
    datagrams: usize,
    attempts: usize,
}

impl DeadRelay {
    fn start() -> DeadRelay {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        DeadRelay {
            address,
            listener: std::thread::spawn(move || listen(&socket)),
        }
    }
}

fn listen(socket: &UdpSocket) -> Heard {
    let (mut packet, mut datagrams) = ([0; 2_048], 0);
    // Each attempt has its own connection id.
    let mut attempts = BTreeSet::new();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut first = None;
    while let Ok((bytes, _)) = socket.recv_from(&mut packet) {
        let began = *first.get_or_insert_with(Instant::now);
        socket.set_read_timeout(Some(WINDOW)).unwrap();
        if began.elapsed() >= WINDOW {
            break;
        }
        datagrams += 1;
        // RFC 9000, 17.2: first byte, version, length of the destination's connection id, and the id.
        assert!(bytes > 25 && packet[0] & 0x80 != 0, "a handshake's packet");
        attempts.insert(packet[6..6 + usize::from(packet[5])].to_vec());
    }
    Heard {
        datagrams,
        attempts: attempts.len(),
    }
}

#[test]
fn a_controller_gives_up_with_one_line_and_an_agent_goes_on_trying_without_a_storm() {
    let papers = Papers::new();
    let (for_controller, for_agent) = (DeadRelay::start(), DeadRelay::start());
    let node = "controller/desk";
    let (name, arguments) = program(&papers, node, &papers.of(node), &for_controller.address);
    let controller = Program::start(name, &arguments);
    let node = "agent/truck-17";
    let (agent, of_agent) = program(&papers, node, &papers.of(node), &for_agent.address);
    let mut agent = Program::start(agent, &of_agent);
    agent.says("agent ready");

    let heard = [for_controller, for_agent].map(|relay| relay.listener.join().unwrap());
    agent.says("relay is not reached");
    assert_eq!(
        agent
            .said()
            .iter()
            .filter(|line| line.contains("not reached"))
            .count(),
        1
    );
    let ended = controller.ended();
    let parts = [
        "relay relay-a at 127.0.0.1:",
        "no answer; does it run, and is its UDP port open?",
    ];
    only_line(name, &arguments, &ended, 5, &parts);
    for heard in heard {
        let Heard {
            datagrams,
            attempts,
        } = heard;
        assert!(attempts > 1, "it tries again");
        assert!(attempts <= ATTEMPTS_MAX, "{attempts} attempts");
        assert!(datagrams <= DATAGRAMS_MAX, "{datagrams} datagrams");
    }
}

/// How long is counted.
const WINDOW: Duration = Duration::from_secs(5);
/// Rounds of 8 attempts that live for 2 s each.
const ATTEMPTS_MAX: usize = 24;
/// Twelve of each attempt.
const DATAGRAMS_MAX: usize = 288;
