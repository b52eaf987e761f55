//! One link to one relay.

use std::time::Duration;

use longrein_io::dial::{DialOutcome, Route};
use longrein_io::ending::{CertificateFault, Ending};
use longrein_io::probe::{Handshake, Probe};
use longrein_io::socket::SocketError;

use super::Probed;
use super::finding::Finding;

pub(super) fn finding(route: &Route, probed: &Probed) -> Finding {
    let check = format!("route {} to {}", route.link, route.relay);
    match probed {
        Ok(probe) => of_probe(check, route, probe),
        Err(outcome) => unsent(check, route, outcome),
    }
}

/// Whether the relay can be used by this route.
pub(super) fn is_reached(probed: &Probed) -> bool {
    let handshake = probed
        .as_ref()
        .ok()
        .and_then(|probe| probe.handshake.as_ref());
    handshake.is_some_and(Result::is_ok)
}

fn unsent(check: String, route: &Route, outcome: &DialOutcome) -> Finding {
    let Route {
        link,
        relay,
        address,
        ..
    } = route;
    match outcome {
        DialOutcome::NoSocket(error) => {
            let advice = match error {
                SocketError::Other { .. } => {
                    format!(
                        "give link {link} an address and a way there: `ip route get` shows what is missing"
                    )
                }
                SocketError::PortInUse { .. }
                | SocketError::NoSuchAddress { .. }
                | SocketError::PortNotAllowed { .. }
                | SocketError::NoSuchInterface { .. }
                | SocketError::NoInterfaceMatches { .. }
                | SocketError::Unusable { .. }
                | SocketError::NoWay { .. }
                | SocketError::Interface { .. } => format!("see the finding of link {link}"),
            };
            Finding::fail(check, format!("nothing can be sent: {error}"), advice)
        }
        DialOutcome::Unresolved { why } => {
            let what = format!("{address} has no address that this link can use: {why}");
            let advice =
                format!("correct `address` of [[relay]] {relay}, or see to the name service");
            Finding::fail(check, what, advice)
        }
        DialOutcome::Up { .. }
        | DialOutcome::Lost { .. }
        | DialOutcome::NoAnswer
        | DialOutcome::Refused(_) => Finding::fail(check, outcome.describe(route), "try again"),
    }
}

fn of_probe(check: String, route: &Route, probe: &Probe) -> Finding {
    let answered = probe.round_trips.len();
    match &probe.handshake {
        Some(Ok(handshake)) => reached(check, probe, handshake),
        Some(Err(DialOutcome::Refused(why))) => {
            let what = format!(
                "the relay at {} answers, and is of no use: {why}",
                probe.remote
            );
            Finding::fail(check, what, after_refusal(*why, route))
        }
        Some(Err(_)) if answered > 0 => {
            let what = format!(
                "{} answers {answered} of {} packets, and no handshake is through in time",
                probe.remote,
                Probe::SENT
            );
            let advice = "see to the signal of this link; if nothing is lost, something on the way holds QUIC back";
            Finding::fail(check, what, advice)
        }
        None if answered > 0 => {
            let what = format!(
                "{} answers; without an identity no handshake is made",
                probe.remote
            );
            Finding::warn(check, what, "see the findings of the identity")
        }
        Some(Err(_)) | None => silent(check, route, probe),
    }
}

fn silent(check: String, route: &Route, probe: &Probe) -> Finding {
    let Probe { remote, local, .. } = probe;
    if probe.is_closed {
        let what = format!("nothing listens at {remote}");
        let advice = format!(
            "start the relay there, or correct `address` of [[relay]] {}",
            route.relay
        );
        return Finding::fail(check, what, advice);
    }
    let what = format!("no answer from {remote} to packets from {}", local.ip());
    let advice = format!(
        "does the relay run, and is its UDP port {} open in every firewall on the way?",
        remote.port()
    );
    Finding::fail(check, what, advice)
}

fn reached(check: String, probe: &Probe, handshake: &Handshake) -> Finding {
    let answered = probe.round_trips.len();
    let mut what = format!(
        "{} is {}: handshake in {}",
        probe.remote,
        handshake.relay.node,
        milliseconds(handshake.took)
    );
    if let Some(round_trip) = probe.round_trip() {
        what += &format!(
            ", round trip {}, {answered} of {} packets answered",
            milliseconds(round_trip),
            Probe::SENT
        );
    }
    what += &format!(", from {}", probe.local.ip());
    if answered < Probe::SENT && answered > 0 {
        return Finding::warn(
            check,
            what,
            "packets are lost: see to the signal of this link",
        );
    }
    Finding::ok(check, what)
}

fn after_refusal(why: Ending, route: &Route) -> String {
    let Route { relay, .. } = route;
    match why {
        Ending::RefusedThem(CertificateFault::OtherNode) => {
            format!("another relay than relay/{relay} is there: correct `name` or `address` of [[relay]] {relay}")
        }
        Ending::RefusedThem(CertificateFault::OtherAuthority) => format!(
            "it is of another fleet: correct `address` of [[relay]] {relay}, or enrol this machine in that fleet"
        ),
        Ending::RefusedThem(CertificateFault::NotValidNow) => {
            "set this machine's clock right; if it is, the relay needs a new certificate".to_string()
        }
        Ending::RefusedThem(
            CertificateFault::Revoked | CertificateFault::Missing | CertificateFault::Broken,
        ) => "the relay has to be enrolled anew".to_string(),
        Ending::RefusedUs(CertificateFault::NotValidNow) => {
            "see the finding of the certificate; if that is good, the relay's clock is wrong".to_string()
        }
        Ending::RefusedUs(_) => {
            "enrol this machine anew: `longrein-agent enroll --replace` with a token of the relay's fleet".to_string()
        }
        Ending::Full => "it takes no more connections from this address: see its limits".to_string(),
        Ending::Protocol => {
            format!("something else listens there: correct `address` of [[relay]] {relay}")
        }
        Ending::Here | Ending::LinkGone | Ending::There | Ending::Restarted | Ending::Silent => {
            "try again; it may have been restarted just now".to_string()
        }
    }
}

fn milliseconds(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use longrein_io::socket::Bind;
    use longrein_proto::crypto::Peer;
    use rustls_pki_types::UnixTime;

    use super::super::finding::Level;
    use super::*;

    fn route() -> Route {
        Route {
            link: "lte".parse().unwrap(),
            bind: Bind::Any,
            relay: "east".parse().unwrap(),
            address: "relay.example:4433".into(),
            budget_kbit_s: 1_000,
        }
    }

    fn probe(answered: usize, handshake: Option<Result<(), DialOutcome>>) -> Probe {
        let relay = Peer {
            node: "relay/east".parse().unwrap(),
            groups: Vec::new(),
            not_before: UnixTime::since_unix_epoch(Duration::ZERO),
            not_after: UnixTime::since_unix_epoch(Duration::ZERO),
            fingerprint: [0; 32],
        };
        let took = Duration::from_millis(41);
        Probe {
            remote: "192.0.2.1:4433".parse().unwrap(),
            local: "10.0.0.2:5".parse().unwrap(),
            is_closed: false,
            round_trips: vec![Duration::from_millis(20); answered],
            handshake: handshake.map(|made| made.map(|()| Handshake { took, relay })),
        }
    }

    fn judged(probe: Probe) -> Finding {
        finding(&route(), &Ok(probe))
    }

    #[test]
    fn a_relay_that_is_reached_is_told_with_its_figures() {
        let found = judged(probe(10, Some(Ok(()))));
        assert_eq!(
            found.line(),
            "ok    route lte to east: 192.0.2.1:4433 is relay/east: handshake in 41.0 ms, round trip 20.0 ms, 10 of 10 packets \
             answered, from 10.0.0.2"
        );
        // Something on the way may take only what it knows.
        assert_eq!(judged(probe(0, Some(Ok(())))).level, Level::Ok);
        assert_eq!(judged(probe(9, Some(Ok(())))).level, Level::Warn);
    }

    #[test]
    fn a_relay_that_does_not_answer_fails_and_a_closed_port_is_told_apart() {
        let silent = judged(probe(0, Some(Err(DialOutcome::NoAnswer))));
        assert_eq!(silent.level, Level::Fail);
        assert!(silent.advice.unwrap().contains("UDP port 4433"));
        let closed = judged(Probe {
            is_closed: true,
            ..probe(0, None)
        });
        assert!(closed.what.contains("nothing listens"), "{}", closed.what);
        let lossy = judged(probe(2, Some(Err(DialOutcome::NoAnswer))));
        assert!(lossy.what.contains("2 of 10 packets"), "{}", lossy.what);
        assert_eq!(judged(probe(10, None)).level, Level::Warn);
    }

    #[test]
    fn each_refusal_says_who_has_to_do_what() {
        for (why, part) in [
            (
                Ending::RefusedThem(CertificateFault::OtherNode),
                "correct `name` or `address`",
            ),
            (
                Ending::RefusedThem(CertificateFault::OtherAuthority),
                "of another fleet",
            ),
            (
                Ending::RefusedUs(CertificateFault::Revoked),
                "enroll --replace",
            ),
            (Ending::Protocol, "something else listens"),
        ] {
            let found = judged(probe(10, Some(Err(DialOutcome::Refused(why)))));
            assert_eq!(found.level, Level::Fail);
            assert!(found.advice.as_ref().unwrap().contains(part), "{found:?}");
            assert!(!is_reached(&Ok(probe(
                10,
                Some(Err(DialOutcome::Refused(why)))
            ))));
        }
        assert!(is_reached(&Ok(probe(1, Some(Ok(()))))));
    }

    #[test]
    fn a_name_without_an_address_is_a_mistake_of_the_configuration_or_the_name_service() {
        let why = "no such name".to_string();
        let found = finding(&route(), &Err(DialOutcome::Unresolved { why }));
        assert_eq!(found.level, Level::Fail);
        assert!(found.what.contains("relay.example:4433") && found.what.contains("no such name"));
    }
}
