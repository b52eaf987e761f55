//! Wrong papers: refused with their reason at a relay, at a node that dials, and in the handshake of a session.

use crate::echo::{Echo, Node, relay, route, until};
use crate::fleet::{Fleet, key, uri};
use crate::stranger::Papers;
use longrein_io::clock;
use longrein_io::ending::{CertificateFault, Ending};
use longrein_io::runtime;
use longrein_proto::base::{Entropy, MonoTime, NodeName, SessionId};
use longrein_proto::crypto::{
    CertificateError, Credential, HandshakeError, Initiator, KeyPair, Responder, RunKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, date_time_ymd,
};

/// Papers that nobody may believe, and what is wrong with them.
struct Wrong {
    what: &'static str,
    papers: Papers,
    /// As a TLS alert can say it.
    fault: CertificateFault,
    /// As the sealed handshake knows it; none where it cannot come that far.
    why: Option<fn(&CertificateError) -> bool>,
}

/// Of a node, in a fleet whose authority signs whatever it is given, unless the row is about that.
#[expect(clippy::too_many_lines, reason = "a table")]
fn wrong(fleet: &Fleet, node: &str) -> Vec<Wrong> {
    use CertificateError as E;
    use CertificateFault::{Broken, NotValidNow, OtherAuthority, OtherNode};
    let name = format!("longrein://demo/{node}");
    let by = |issuer: &Fleet, choose: &dyn Fn(&mut CertificateParams)| {
        let (certificate, key) = issuer.issue(key(), |params| {
            params.subject_alt_names = vec![uri(&name)];
            choose(params);
        });
        let chain = vec![certificate];
        Papers { chain, key }
    };
    let of = |choose: &dyn Fn(&mut CertificateParams)| by(fleet, choose);
    let named = |names: &[String]| {
        let names: Vec<_> = names.iter().map(|name| uri(name)).collect();
        of(&|params| params.subject_alt_names = names.clone())
    };
    let p384 = || {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let (certificate, key) = fleet.issue(key, |params| {
            params.subject_alt_names = vec![uri(&name)];
        });
        let chain = vec![certificate];
        Papers { chain, key }
    };
    let self_signed = || {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri(&name)];
        let key = key();
        let chain = vec![params.self_signed(&key).unwrap().der().clone()];
        Papers { chain, key }
    };
    let chained = || {
        let mut papers = of(&|_| {});
        papers.chain.push(fleet.anchor());
        papers
    };
    let groups: Vec<String> = (0..30)
        .map(|n| format!("longrein://demo/group/group-{n}"))
        .collect();
    let crowded: Vec<String> = [name.clone()].into_iter().chain(groups).collect();
    let row = |what, papers, fault, why| Wrong {
        what,
        papers,
        fault,
        why,
    };
    let is_name: fn(&E) -> bool = |why| *why == E::Name;
    vec![
        row(
            "expired",
            // For longer than an agent is let to the authority afterwards.
            of(&|p| {
                p.not_before = date_time_ymd(2020, 1, 1);
                p.not_after = date_time_ymd(2021, 1, 2);
            }),
            NotValidNow,
            Some(|why| matches!(why, E::Expired { .. })),
        ),
        row(
            "not yet valid",
            of(&|p| p.not_before = date_time_ymd(2099, 1, 1)),
            NotValidNow,
            Some(|why| matches!(why, E::NotYetValid { .. })),
        ),
        row(
            "of another authority",
            by(&Fleet::new(), &|_| {}),
            OtherAuthority,
            Some(|why| *why == E::UnknownAuthority),
        ),
        row(
            "self-signed",
            self_signed(),
            OtherAuthority,
            Some(|why| *why == E::UnknownAuthority),
        ),
        row(
            "of another fleet",
            named(&[format!("longrein://other/{node}")]),
            OtherNode,
            Some(|why| *why == E::WrongFleet),
        ),
        row(
            "a key of an unknown algorithm",
            p384(),
            Broken,
            Some(|why| *why == E::Algorithm),
        ),
        row("an oversize certificate", named(&crowded), Broken, None),
        row("a chain", chained(), Broken, None),
        row(
            "for another use",
            of(&|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
            Broken,
            Some(|why| *why == E::Usage),
        ),
        row(
            "an authority's",
            of(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            Broken,
            Some(|why| *why == E::Usage),
        ),
        row(
            "a name in the common name only",
            of(&|p| {
                p.subject_alt_names = Vec::new();
                p.distinguished_name.push(DnType::CommonName, name.clone());
            }),
            OtherNode,
            Some(is_name),
        ),
        row(
            "a name of a host",
            of(&|p| {
                p.subject_alt_names = vec![rcgen::SanType::DnsName("longrein".try_into().unwrap())]
            }),
            OtherNode,
            Some(is_name),
        ),
        row(
            "a wildcard",
            named(&[format!("{}*", &name[..name.len() - 1])]),
            OtherNode,
            Some(is_name),
        ),
        row(
            "only a wildcard",
            named(&["longrein://demo/*".into()]),
            OtherNode,
            Some(is_name),
        ),
        row(
            "a NUL behind the name",
            named(&[format!("{name}\0")]),
            OtherNode,
            Some(is_name),
        ),
        row(
            "a NUL in the name",
            named(&[format!("{name}\0.other")]),
            OtherNode,
            Some(is_name),
        ),
        row(
            "two names",
            named(&[name.clone(), format!("{name}-2")]),
            OtherNode,
            Some(is_name),
        ),
        row(
            "no name of a node",
            named(&["longrein://demo/group/all".into()]),
            OtherNode,
            Some(is_name),
        ),
    ]
}

/// The same, and papers that are right for another node.
fn wrong_for_a_relay(fleet: &Fleet) -> Vec<Wrong> {
    let mut rows = wrong(fleet, "relay/east");
    for (what, node) in [
        ("another role", "agent/east"),
        ("another name", "relay/west"),
    ] {
        let (certificate, key) = fleet.issue(key(), |params| {
            params.subject_alt_names = vec![uri(&format!("longrein://demo/{node}"))];
        });
        let chain = vec![certificate];
        rows.push(Wrong {
            what,
            papers: Papers { chain, key },
            fault: CertificateFault::OtherNode,
            why: None,
        });
    }
    rows
}

// [WIRE-65] [WIRE-66]
#[test]
fn a_relay_refuses_wrong_papers_and_says_why() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        for row in wrong(&fleet, "agent/truck-17") {
            let why = Ending::RefusedThem(row.fault);
            let refused = || listener.counts().failed.get(&why).copied().unwrap_or(0);
            let before = refused();
            let (_endpoint, connection) = row.papers.dial(listener.address()).await;
            let told = Ending::from(&connection.closed().await);
            assert_eq!(told, Ending::RefusedUs(row.fault), "{}", row.what);
            until(row.what, || refused() == before + 1, || listener.counts()).await;
        }
        assert_eq!(listener.counts().accepted, 0);
    })
    .unwrap();
}

// [WIRE-65] [WIRE-66]
#[test]
fn a_node_refuses_a_relay_with_wrong_papers_and_says_why() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let identity = fleet.identity("agent/truck-17");
        for row in wrong_for_a_relay(&fleet) {
            let impostor = row.papers.listen();
            let address = impostor.local_addr().unwrap();
            let truck = Node::start(Echo::saying("hello"));
            truck.dial(&identity, vec![route("east", address)]);
            until(row.what, || !truck.outcomes().is_empty(), || truck.events()).await;
            let expected = Ending::RefusedThem(row.fault).to_string();
            let told = truck.outcomes();
            assert!(told[0].contains(&expected), "{}: {told:?}", row.what);
            assert_eq!(truck.ups(), 0);
            truck.driver.close().await;
            impostor.close(0_u32.into(), b"");
        }
    })
    .unwrap();
}

// [WIRE-65] [WIRE-66] [WIRE-67]
#[test]
fn a_session_is_refused_to_wrong_papers_at_both_ends() {
    let fleet = Fleet::new();
    let (anna, truck) = (name("controller/anna"), name("agent/truck-17"));
    let trusted = fleet.identity("controller/anna");
    let right = |node: &NodeName| fleet.identity(&node.to_string()).credential();
    let (session, now, at) = (SessionId(7), MonoTime::from_us(1), clock::unix_time());
    for (caller, rows) in [
        (true, wrong(&fleet, "controller/anna")),
        (false, wrong(&fleet, "agent/truck-17")),
    ] {
        for Wrong {
            what, papers, why, ..
        } in rows
        {
            let Some(why) = why else { continue };
            let shown = Shown(papers);
            let calling = right(&anna);
            let called = right(&truck);
            let calling: &dyn Credential = if caller { &shown } else { calling.as_ref() };
            let called: &dyn Credential = if caller { called.as_ref() } else { &shown };
            let (mut initiator, step1) = Initiator::new(now, session, &truck, &mut Counting(1));
            let run = RunKey::new(&mut Counting(3));
            let entropy = &mut Counting(2);
            let (mut responder, step2) =
                Responder::new(now, session, &truck, &step1, called, &run, entropy).unwrap();
            let step3 = initiator.on_step2(now, &step2, trusted.fleet(), at, calling);
            let refused = match step3 {
                Ok((step3, _)) if caller => responder.on_step3(now, &step3, trusted.fleet(), at),
                other => other.map(|(_, established)| established),
            };
            match refused {
                Err(HandshakeError::Certificate(error)) => assert!(why(&error), "{what}: {error}"),
                other => panic!("{what}: {other:?}"),
            }
        }
    }
}

fn name(node: &str) -> NodeName {
    node.parse().unwrap()
}

/// Papers as a hostile end of a session shows them.
struct Shown(Papers);

impl Credential for Shown {
    fn certificate(&self) -> &[u8] {
        &self.0.chain[0]
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match KeyPair::from_pkcs8(&self.0.chain[0], &self.0.key.serialize_der()) {
            Ok(pair) => pair.sign(message),
            // The certificate is judged before the signature.
            Err(_) => vec![0; 64],
        }
    }
}

/// Randomness that is none.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(3);
            *byte = self.0;
        }
    }
}
