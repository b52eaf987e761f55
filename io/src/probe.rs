//! Looks at one route without using it: whether packets come back, and whether both ends believe each other's certificate.
//!
//! It stops before the first word of the leg. A relay gives a seat to whoever says hello, and keeps a connection that says nothing out
//! of its rules: so a program that runs with the same identity notices nothing.

use crate::clock;
use crate::congestion::Fuse;
use crate::connection::Attempt;
use crate::dial::{DialOutcome, Route};
use crate::dialer::{endpoint_config, resolve};
use crate::ending::{CertificateFault, Ending};
use crate::engine::Engine;
use crate::entropy::SystemEntropy;
use crate::keys::Identity;
use crate::repeats::Effort;
use crate::socket::{self, Bind, SocketError};
use crate::tls;
use crate::transport::transport;
use longrein_proto::base::Entropy;
use longrein_proto::crypto::Peer;
use quinn_proto::ClientConfig;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// What became of a route's probes.
#[derive(Debug)]
pub struct Probe {
    /// The relay's address that was tried.
    pub remote: SocketAddr,
    /// The address of this machine that packets to it leave from.
    pub local: SocketAddr,
    /// Whether the far machine says that nothing listens at its port.
    pub is_closed: bool,
    /// Round trips of the packets that were answered, in the order of their sending; a relay answers each.
    pub round_trips: Vec<Duration>,
    /// The handshake, if there was an identity to make it with.
    pub handshake: Option<Result<Handshake, DialOutcome>>,
}

/// A handshake that was made.
#[derive(Debug)]
pub struct Handshake {
    /// How long it took.
    pub took: Duration,
    /// Whom the relay's certificate names, and until when.
    pub relay: Peer,
}

/// Probes a route, and makes a handshake when there is an identity.
///
/// # Errors
/// Why no packet could be sent at all.
pub async fn probe(route: &Route, identity: Option<&Identity>) -> Result<Probe, DialOutcome> {
    if let Bind::Pattern { pattern, .. } = &route.bind {
        let pattern = pattern.clone();
        return Err(DialOutcome::NoSocket(SocketError::NoInterfaceMatches {
            pattern,
        }));
    }
    let addresses = resolve(route, |_| true).await?;
    let mut found = Err(DialOutcome::NoAnswer);
    for remote in addresses {
        let heard = knock(route, remote).await;
        let is_answered = heard
            .as_ref()
            .is_ok_and(|heard| !heard.round_trips.is_empty());
        // An address of a family that the link does not speak says nothing of the others.
        if heard.is_ok() || found.is_err() {
            found = heard;
        }
        if is_answered {
            break;
        }
    }
    let mut found = found?;
    if let Some(identity) = identity {
        found.handshake = Some(shake(route, found.remote, identity).await);
    }
    Ok(found)
}

/// Sends packets that a relay answers before it knows who asks: they name a version of QUIC that there is not (RFC 9000 §6.1).
async fn knock(route: &Route, remote: SocketAddr) -> Result<Probe, DialOutcome> {
    let socket = open(route, remote)?;
    let failed = |source| {
        let local = remote;
        DialOutcome::NoSocket(SocketError::Other { local, source })
    };
    let socket = tokio::net::UdpSocket::from_std(socket).map_err(failed)?;
    // Where no way leads there this fails, and tells why.
    socket.connect(remote).await.map_err(failed)?;
    let mut probe = Probe {
        remote,
        local: socket.local_addr().map_err(failed)?,
        is_closed: false,
        round_trips: Vec::new(),
        handshake: None,
    };
    let mut id = [0; ID_BYTES - 1];
    SystemEntropy::new().fill(&mut id);
    let begun = Instant::now();
    let mut sent = Vec::new();
    let mut answered = [false; PROBES];
    let mut buffer = [0; PACKET_BYTES];
    let end = begun + EVERY * u32::try_from(PROBES).unwrap_or(u32::MAX) + ANSWER_MAX;
    while probe.round_trips.len() < PROBES {
        let next = u32::try_from(sent.len()).unwrap_or(u32::MAX);
        let due = if sent.len() < PROBES {
            begun + EVERY * next
        } else {
            end
        };
        tokio::select! {
            biased;
            received = socket.recv(&mut buffer) => match received {
                Ok(length) => {
                    let place = answered_by(buffer.get(..length).unwrap_or_default(), &id);
                    if let Some(place) = place
                        && let (Some(at), Some(answered)) = (sent.get(place), answered.get_mut(place))
                        && !std::mem::replace(answered, true)
                    {
                        probe.round_trips.push(Instant::now() - *at);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    probe.is_closed = true;
                }
                Err(_) => {}
            },
            () = sleep_until(due) => {
                if sent.len() == PROBES {
                    break;
                }
                let place = u8::try_from(sent.len()).unwrap_or(u8::MAX);
                sent.push(Instant::now());
                // What does not leave is not answered.
                drop(socket.send(&packet(place, &id)).await);
            }
        }
    }
    Ok(probe)
}

async fn shake(
    route: &Route,
    remote: SocketAddr,
    identity: &Identity,
) -> Result<Handshake, DialOutcome> {
    let socket = open(route, remote)?;
    let failed = |source| {
        let local = remote;
        DialOutcome::NoSocket(SocketError::Other { local, source })
    };
    let refused = |why: String| DialOutcome::Unresolved { why };
    let tls = tls::client(identity, &route.relay).map_err(|error| refused(error.to_string()))?;
    let mut config = ClientConfig::new(tls);
    config.transport_config(transport(Fuse::default()));
    let engine = Engine::new().map_err(failed)?;
    let endpoint = engine
        .open(socket, Rc::default(), endpoint_config(), None)
        .map_err(failed)?;
    let begun = Instant::now();
    let connection = endpoint
        .connect(config, remote, tls::SERVER_NAME, Effort::Keen)
        .map_err(|error| refused(error.to_string()))?;
    let attempt = Attempt::new(connection);
    let outcome = match timeout(HANDSHAKE_MAX, attempt.established()).await {
        Err(_) => Err(DialOutcome::NoAnswer),
        Ok(Err(why)) => Err(DialOutcome::Refused(why)),
        Ok(Ok(())) => {
            let took = begun.elapsed();
            // The relay looks at this node's certificate after the handshake is through here.
            match timeout(took + VERDICT_MAX, attempt.ended()).await {
                Ok(why) => Err(DialOutcome::Refused(why)),
                Err(_) => tls::peer(&attempt, identity.fleet(), clock::unix_time())
                    .map(|relay| Handshake { took, relay })
                    .ok_or(DialOutcome::Refused(Ending::RefusedThem(
                        CertificateFault::NotValidNow,
                    ))),
            }
        }
    };
    drop(attempt);
    endpoint.release();
    engine.close(Instant::now() + CLOSE_MAX).await;
    outcome
}

fn open(route: &Route, remote: SocketAddr) -> Result<UdpSocket, DialOutcome> {
    let local = route.bind.local_for(remote.ip());
    let local = local.ok_or_else(|| DialOutcome::Unresolved {
        why: "none of the link's address family".to_string(),
    })?;
    socket::open(local, route.bind.interface(), socket::NODE_BUFFER_BYTES)
        .map_err(DialOutcome::NoSocket)
}

/// A packet with a long header (RFC 9000 §17.2) whose answer names this place and id.
fn packet(place: u8, id: &[u8; ID_BYTES - 1]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(PACKET_BYTES);
    packet.push(0xc0);
    packet.extend(VERSION);
    for _ in 0..2 {
        packet.push(ID_BYTES_U8);
        packet.push(place);
        packet.extend(id);
    }
    packet.resize(PACKET_BYTES, 0);
    packet
}

/// The place of the packet that this one answers (RFC 9000 §17.2.1): its sender's connection id comes back first.
fn answered_by(answer: &[u8], id: &[u8; ID_BYTES - 1]) -> Option<usize> {
    let (&[head, v1, v2, v3, v4, length, place], rest) = answer.split_first_chunk()?;
    let is_answer = head & 0x80 != 0 && [v1, v2, v3, v4] == [0; 4] && length == ID_BYTES_U8;
    (is_answer && rest.starts_with(id)).then_some(usize::from(place))
}

impl Probe {
    /// Packets that are sent.
    pub const SENT: usize = PROBES;

    /// The median of the round trips.
    pub fn round_trip(&self) -> Option<Duration> {
        let mut sorted = self.round_trips.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// Packets that are sent: ten show a loss that matters.
const PROBES: usize = 10;
/// Between them: no burst, and apart enough to show more than one moment.
const EVERY: Duration = Duration::from_millis(20);
/// For the last answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// As long as the first packets of a handshake are: a path that carries less carries no connection.
const PACKET_BYTES: usize = 1_200;
/// Of a connection id, the first of which is the packet's place.
const ID_BYTES: usize = 8;
const ID_BYTES_U8: u8 = 8;
/// A version that is reserved for this (RFC 9000 §15).
const VERSION: [u8; 4] = [0x3a, 0x4a, 0x5a, 0x6a];
/// For a handshake: at 80 % loss some take longer, and then the loss is what is wrong.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// For the relay's word on this node's certificate, beside the time of a handshake.
const VERDICT_MAX: Duration = Duration::from_millis(200);
/// For the relay to hear that the connection is over.
const CLOSE_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;
    use crate::socket::Bind;
    use quinn_proto::DatagramEvent;
    use quinn_proto::EndpointConfig;
    use std::sync::Arc;

    const ID: [u8; 7] = *b"1234567";

    #[test]
    fn a_quic_server_answers_each_packet_and_the_answer_names_it() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let server = quinn_proto::ServerConfig::with_single_cert(
            vec![certificate.der().clone()],
            rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
        let config = Arc::new(EndpointConfig::default());
        let mut quic = quinn_proto::Endpoint::new(config, Some(Arc::new(server)), true, None);
        for place in [0, 9] {
            let mut answer = Vec::new();
            let event = quic.handle(
                std::time::Instant::now(),
                "127.0.0.1:1".parse().unwrap(),
                None,
                None,
                packet(place, &ID)[..].into(),
                &mut answer,
            );
            assert!(matches!(event, Some(DatagramEvent::Response(_))));
            assert_eq!(answered_by(&answer, &ID), Some(usize::from(place)));
            assert_eq!(answered_by(&answer, b"7654321"), None);
            assert_eq!(answered_by(&answer[..12], &ID), None);
        }
        assert_eq!(answered_by(&packet(3, &ID), &ID), None);
    }

    fn route(address: &str, bind: Bind) -> Route {
        Route {
            link: "lte".parse().unwrap(),
            bind,
            relay: "east".parse().unwrap(),
            address: address.to_string(),
            budget_kbit_s: 1_000,
        }
    }

    #[test]
    fn a_port_at_which_nothing_listens_is_known_as_closed() {
        let unused = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = unused.local_addr().unwrap().to_string();
        drop(unused);
        let route = route(&address, Bind::Any);
        let probed = runtime::run(async || probe(&route, None).await).unwrap();
        let probed = probed.unwrap();
        assert!(probed.is_closed && probed.round_trips.is_empty());
        assert_eq!(probed.local.ip(), probed.remote.ip());
    }

    #[test]
    fn a_route_without_a_way_sends_nothing() {
        let missing = Bind::Interface("modem9".into());
        for (route, why) in [
            (route("127.0.0.1:9", missing), "no interface \"modem9\""),
            (
                route("[::1]:9", Bind::Address("127.0.0.1".parse().unwrap())),
                "none of the link's address family",
            ),
        ] {
            let probed = runtime::run(async || probe(&route, None).await).unwrap();
            let said = probed.unwrap_err().describe(&route);
            assert!(said.contains(why), "{said}");
        }
    }
}
