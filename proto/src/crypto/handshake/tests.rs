use proptest::prelude::*;

use super::*;
use crate::base::limits::HANDSHAKE_BYTES_MAX;
use crate::crypto::KeyPair;
use crate::crypto::test_authority::{KeyType, NOW, SeededEntropy, TestAuthority, at};

const SESSION: SessionId = SessionId(7);
/// The clocks of the two ends differ by ten seconds; each step takes 20 ms.
const CALLED_AT: MonoTime = MonoTime::from_us(1_000_000);
const ANSWERED_AT: MonoTime = MonoTime::from_us(11_020_000);
const STEP2_AT: MonoTime = MonoTime::from_us(1_040_000);
const STEP3_AT: MonoTime = MonoTime::from_us(11_060_000);

/// A fleet with a controller that calls and an agent that answers.
struct Scene {
    fleet: Fleet,
    authority: TestAuthority,
    anna: KeyPair,
    truck: KeyPair,
}

impl Scene {
    fn new(key_type: KeyType) -> Scene {
        let authority = TestAuthority::new("demo");
        Scene {
            fleet: authority.fleet(),
            anna: authority.credential("controller/anna", key_type),
            truck: authority.credential("agent/truck-17", key_type),
            authority,
        }
    }

    fn call(&self) -> (Initiator, Vec<u8>) {
        self.call_with(1)
    }

    fn call_with(&self, seed: u64) -> (Initiator, Vec<u8>) {
        Initiator::new(
            CALLED_AT,
            SESSION,
            &truck_name(),
            &mut SeededEntropy::new(seed),
        )
    }

    fn answer(&self, step1: &[u8]) -> (Responder, Vec<u8>) {
        self.answer_as(&self.truck, step1)
    }

    fn answer_as(&self, credential: &dyn Credential, step1: &[u8]) -> (Responder, Vec<u8>) {
        self.answer_with(2, credential, step1)
    }

    fn answer_with(
        &self,
        seed: u64,
        credential: &dyn Credential,
        step1: &[u8],
    ) -> (Responder, Vec<u8>) {
        Responder::new(
            ANSWERED_AT,
            SESSION,
            &truck_name(),
            step1,
            credential,
            &RunKey::new(&mut SeededEntropy::new(seed)),
            &mut SeededEntropy::new(seed),
        )
        .expect("a step 1")
    }

    fn on_step2(
        &self,
        initiator: &mut Initiator,
        step2: &[u8],
    ) -> Result<(Vec<u8>, Established), HandshakeError> {
        initiator.on_step2(STEP2_AT, step2, &self.fleet, NOW, &self.anna)
    }

    fn on_step3(
        &self,
        responder: &mut Responder,
        step3: &[u8],
    ) -> Result<Established, HandshakeError> {
        responder.on_step3(STEP3_AT, step3, &self.fleet, NOW)
    }
}

fn truck_name() -> NodeName {
    "agent/truck-17".parse().expect("valid")
}

fn assert_joined(mut one: Established, mut other: Established) {
    for (sender, receiver) in [
        (&mut one.seal, &mut other.open),
        (&mut other.seal, &mut one.open),
    ] {
        let sealed = sender.seal(0, 1, b"head", b"word").expect("fresh");
        assert_eq!(
            receiver.open(STEP3_AT, 0, 0, 1, b"head", &sealed),
            Ok(b"word".to_vec())
        );
    }
}

/// A certificate with somebody else's key.
struct Borrowed<'a> {
    certificate: &'a [u8],
    key: &'a dyn Credential,
}

impl Credential for Borrowed<'_> {
    fn certificate(&self) -> &[u8] {
        self.certificate
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }
}

// [WIRE-60] [WIRE-61] [WIRE-63] [WIRE-71] [WIRE-72]
#[test]
fn a_handshake_gives_both_ends_each_other_s_name_clock_and_keys() {
    for key_type in KeyType::ALL {
        let scene = Scene::new(key_type);
        let (mut initiator, step1) = scene.call();
        let (mut responder, step2) = scene.answer(&step1);
        let (step3, at_anna) = scene.on_step2(&mut initiator, &step2).expect("genuine");
        let at_truck = scene.on_step3(&mut responder, &step3).expect("genuine");

        assert_eq!(step1.len(), 32);
        assert!(step2.len().max(step3.len()) <= HANDSHAKE_BYTES_MAX);
        assert_eq!(at_anna.peer.node, truck_name());
        assert_eq!(at_truck.peer.node.to_string(), "controller/anna");
        assert_eq!((at_anna.version, at_anna.features), (1, FEATURES));
        assert_eq!((at_truck.version, at_truck.features), (1, FEATURES));
        assert_eq!(
            at_anna.sample,
            ClockSample {
                sent: CALLED_AT,
                far_received_us: ANSWERED_AT.as_us(),
                far_sent_us: ANSWERED_AT.as_us(),
                received: STEP2_AT,
            }
        );
        assert_eq!(
            at_truck.sample,
            ClockSample {
                sent: ANSWERED_AT,
                far_received_us: STEP2_AT.as_us(),
                far_sent_us: STEP2_AT.as_us(),
                received: STEP3_AT,
            }
        );
        assert_joined(at_anna, at_truck);
    }
}

// [WIRE-72]
#[test]
fn each_direction_has_a_key_of_its_own() {
    let scene = Scene::new(KeyType::Ed25519);
    let (mut initiator, step1) = scene.call();
    let (_, step2) = scene.answer(&step1);
    let (_, mut at_anna) = scene.on_step2(&mut initiator, &step2).expect("genuine");

    let sealed = at_anna.seal.seal(0, 1, b"", b"word").expect("fresh");

    assert!(at_anna.open.open(STEP3_AT, 0, 0, 1, b"", &sealed).is_err());
}

// [WIRE-69]
#[test]
fn with_the_same_randomness_every_step_is_the_same() {
    let scene = Scene::new(KeyType::Ed25519);
    let run = || {
        let (mut initiator, step1) = scene.call();
        let (responder, step2) = scene.answer(&step1);
        let (step3, _) = scene.on_step2(&mut initiator, &step2).expect("genuine");
        assert!(responder.answers(&step1));
        assert!(!responder.answers(&step2));
        (step1, step2, step3)
    };

    assert_eq!(run(), run());
}

// [WIRE-65]
#[test]
fn an_end_of_another_fleet_is_refused() {
    let scene = Scene::new(KeyType::Ed25519);
    let stranger = TestAuthority::new("demo").credential("agent/truck-17", KeyType::Ed25519);
    let (mut initiator, step1) = scene.call();
    let (_, step2) = scene.answer_as(&stranger, &step1);

    assert_eq!(
        scene.on_step2(&mut initiator, &step2).err(),
        Some(CertificateError::UnknownAuthority.into())
    );

    let (certificate, key) = scene.authority.issue_with(KeyType::Ed25519, |choices| {
        choices.uris = vec!["longrein://other/agent/truck-17".to_string()];
    });
    let wrong_fleet = KeyPair::from_pkcs8(&certificate, &key).expect("they belong together");
    let (_, step2) = scene.answer_as(&wrong_fleet, &step1);
    assert_eq!(
        scene.on_step2(&mut initiator, &step2).err(),
        Some(CertificateError::WrongFleet.into())
    );
}

// [WIRE-65]
#[test]
fn an_expired_end_is_refused() {
    let scene = Scene::new(KeyType::P256);
    let not_after = TestAuthority::NOT_AFTER;
    let later = at(not_after.as_secs() + 1);
    let (mut initiator, step1) = scene.call();
    let (mut responder, step2) = scene.answer(&step1);
    let expired = Some(CertificateError::Expired { not_after }.into());

    assert_eq!(
        initiator
            .on_step2(STEP2_AT, &step2, &scene.fleet, later, &scene.anna)
            .err(),
        expired
    );
    let (step3, _) = scene.on_step2(&mut initiator, &step2).expect("in time");
    assert_eq!(
        responder
            .on_step3(STEP3_AT, &step3, &scene.fleet, later)
            .err(),
        expired
    );
}

// [WIRE-67]
#[test]
fn another_node_than_the_called_one_is_refused() {
    let scene = Scene::new(KeyType::Ed25519);
    let other = scene
        .authority
        .credential("agent/truck-18", KeyType::Ed25519);
    let (mut initiator, step1) = scene.call();
    let (_, step2) = scene.answer_as(&other, &step1);

    assert_eq!(
        scene.on_step2(&mut initiator, &step2).err(),
        Some(HandshakeError::WrongPeer(
            "agent/truck-18".parse().expect("valid")
        ))
    );
}

// [WIRE-60]
#[test]
fn a_handshake_holds_for_its_session_and_called_node_only() {
    let scene = Scene::new(KeyType::Ed25519);
    for (session, called) in [
        (SessionId(8), "agent/truck-17"),
        (SESSION, "agent/truck-18"),
        (SESSION, "relay/truck-17"),
    ] {
        let (mut initiator, step1) = scene.call();
        let (_, step2) = Responder::new(
            ANSWERED_AT,
            session,
            &called.parse().expect("valid"),
            &step1,
            &scene.truck,
            &RunKey::new(&mut SeededEntropy::new(3)),
            &mut SeededEntropy::new(2),
        )
        .expect("a step 1");

        assert_eq!(
            scene.on_step2(&mut initiator, &step2).err(),
            Some(HandshakeError::Unreadable)
        );
    }
}

// [WIRE-64]
#[test]
fn a_certificate_without_its_key_is_refused_at_both_ends() {
    for key_type in KeyType::ALL {
        let scene = Scene::new(key_type);
        let mallory = scene.authority.credential("controller/mallory", key_type);
        let false_truck = Borrowed {
            certificate: scene.truck.certificate(),
            key: &mallory,
        };
        let (mut initiator, step1) = scene.call();
        let (_, step2) = scene.answer_as(&false_truck, &step1);
        assert_eq!(
            scene.on_step2(&mut initiator, &step2).err(),
            Some(HandshakeError::Signature)
        );

        let false_anna = Borrowed {
            certificate: scene.anna.certificate(),
            key: &mallory,
        };
        let (mut responder, step2) = scene.answer(&step1);
        let (step3, _) = initiator
            .on_step2(STEP2_AT, &step2, &scene.fleet, NOW, &false_anna)
            .expect("the truck is genuine");
        assert_eq!(
            scene.on_step3(&mut responder, &step3).err(),
            Some(HandshakeError::Signature)
        );
    }
}

// [WIRE-64]
#[test]
fn a_signature_holds_for_one_handshake_only() {
    let scene = Scene::new(KeyType::Ed25519);
    /// Signs with what it was given for another handshake.
    struct Replayed<'a>(&'a KeyPair, Vec<u8>);
    impl Credential for Replayed<'_> {
        fn certificate(&self) -> &[u8] {
            self.0.certificate()
        }
        fn sign(&self, _: &[u8]) -> Vec<u8> {
            self.1.clone()
        }
    }
    let (mut initiator, step1) = scene.call();
    let (_, step1_before) = scene.call_with(3);
    // Another handshake hash with the same static key, and the same hash with another static key.
    for (seed, step1_signed) in [(2, &step1_before), (9, &step1)] {
        let (signer, _) = scene.answer_with(seed, &scene.truck, step1_signed);
        let signature = Introduction::decode(&signer.payload)
            .expect("right")
            .signature
            .to_vec();

        let (_, step2) = scene.answer_as(&Replayed(&scene.truck, signature), &step1);

        assert_eq!(
            scene.on_step2(&mut initiator, &step2).err(),
            Some(HandshakeError::Signature)
        );
    }
}

// [WIRE-62]
#[test]
fn a_step_3_of_another_handshake_is_refused() {
    let scene = Scene::new(KeyType::Ed25519);
    let (mut initiator, step1) = scene.call();
    let (_, step2) = scene.answer(&step1);
    let (step3, _) = scene.on_step2(&mut initiator, &step2).expect("genuine");

    let (mut responder, _) = scene.answer_with(9, &scene.truck, &step1);

    assert_eq!(
        scene.on_step3(&mut responder, &step3).err(),
        Some(HandshakeError::Unreadable)
    );
}

// [WIRE-167]
#[test]
fn a_caller_knows_the_run_that_answers_and_tells_another_one_apart() {
    let scene = Scene::new(KeyType::Ed25519);
    let mut runs = Vec::new();
    for (call, run) in [(11, 5), (12, 5), (13, 6)] {
        let (mut initiator, step1) = scene.call_with(call);
        let (mut responder, step2) = Responder::new(
            ANSWERED_AT,
            SESSION,
            &truck_name(),
            &step1,
            &scene.truck,
            &RunKey::new(&mut SeededEntropy::new(run)),
            &mut SeededEntropy::new(call),
        )
        .expect("a step 1");
        let (step3, at_caller) = scene.on_step2(&mut initiator, &step2).expect("genuine");
        let at_called = scene.on_step3(&mut responder, &step3).expect("genuine");
        assert_eq!(at_called.run, None);
        runs.push(at_caller.run);
        assert_joined(at_caller, at_called);
    }
    assert!(runs.first().is_some_and(Option::is_some));
    assert_eq!(runs.first(), runs.get(1));
    assert_ne!(runs.first(), runs.get(2));
}

// [WIRE-68]
#[test]
fn forged_steps_do_not_spoil_the_genuine_ones() {
    for key_type in KeyType::ALL {
        let scene = Scene::new(key_type);
        let mallory = scene.authority.credential("controller/mallory", key_type);
        let (mut initiator, step1) = scene.call();
        let (mut responder, step2) = scene.answer(&step1);

        // Damaged at each place of a genuine step, cut, foreign; and one that only lacks the right name.
        for forged in damaged(&step2) {
            assert_eq!(
                scene.on_step2(&mut initiator, &forged).err(),
                Some(HandshakeError::Unreadable)
            );
        }
        let (_, of_mallory) = scene.answer_as(&mallory, &step1);
        for _ in 0..2 {
            assert!(scene.on_step2(&mut initiator, &of_mallory).is_err());
        }
        let (step3, at_anna) = scene.on_step2(&mut initiator, &step2).expect("genuine");

        for forged in damaged(&step3) {
            assert_eq!(
                scene.on_step3(&mut responder, &forged).err(),
                Some(HandshakeError::Unreadable)
            );
        }
        let false_anna = Borrowed {
            certificate: scene.anna.certificate(),
            key: &mallory,
        };
        let (mut again, _) = scene.call();
        let (unsigned, _) = again
            .on_step2(STEP2_AT, &step2, &scene.fleet, NOW, &false_anna)
            .expect("the truck is genuine");
        for _ in 0..2 {
            assert_eq!(
                scene.on_step3(&mut responder, &unsigned).err(),
                Some(HandshakeError::Signature)
            );
        }
        let at_truck = scene.on_step3(&mut responder, &step3).expect("genuine");
        assert_joined(at_anna, at_truck);
    }
}

/// Steps that nobody made: `step` with one bit turned at places in each of its parts, cut short, made longer.
fn damaged(step: &[u8]) -> Vec<Vec<u8>> {
    let mut forgeries: Vec<Vec<u8>> = (0..step.len())
        .step_by(step.len() / 12)
        .chain([step.len() - 1])
        .map(|position| {
            let mut bent = step.to_vec();
            bent[position] ^= 1;
            bent
        })
        .collect();
    for length in [0, 31, 32, 47, 48, 80, step.len() - 1] {
        forgeries.push(step[..length].to_vec());
    }
    forgeries.push([step, &[0]].concat());
    forgeries.push(vec![0; HANDSHAKE_BYTES_MAX + 1]);
    forgeries
}

// [WIRE-69]
#[test]
fn after_success_a_repeated_step_changes_nothing() {
    let scene = Scene::new(KeyType::Ed25519);
    let (mut initiator, step1) = scene.call();
    let (mut responder, step2) = scene.answer(&step1);
    let (step3, _) = scene.on_step2(&mut initiator, &step2).expect("genuine");
    assert!(scene.on_step3(&mut responder, &step3).is_ok());

    assert_eq!(
        scene.on_step2(&mut initiator, &step2).err(),
        Some(HandshakeError::Complete)
    );
    assert_eq!(
        scene.on_step3(&mut responder, &step3).err(),
        Some(HandshakeError::Complete)
    );
}

// [WIRE-61]
#[test]
fn a_step_1_of_another_length_is_refused() {
    let scene = Scene::new(KeyType::Ed25519);
    for length in [0, 31, 33, 1_000] {
        let answered = Responder::new(
            ANSWERED_AT,
            SESSION,
            &truck_name(),
            &vec![9; length],
            &scene.truck,
            &RunKey::new(&mut SeededEntropy::new(3)),
            &mut SeededEntropy::new(2),
        );
        assert_eq!(answered.err(), Some(HandshakeError::Unreadable));
    }
}

#[test]
fn a_key_that_cannot_sign_now_can_sign_later() {
    struct Absent<'a>(&'a KeyPair);
    impl Credential for Absent<'_> {
        fn certificate(&self) -> &[u8] {
            self.0.certificate()
        }
        fn sign(&self, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }
    }
    let scene = Scene::new(KeyType::Ed25519);
    let (mut initiator, step1) = scene.call();
    let (mut responder, step2) = scene.answer(&step1);

    assert_eq!(
        initiator
            .on_step2(STEP2_AT, &step2, &scene.fleet, NOW, &Absent(&scene.anna))
            .err(),
        Some(HandshakeError::Credential)
    );

    let (step3, _) = scene.on_step2(&mut initiator, &step2).expect("genuine");
    assert!(scene.on_step3(&mut responder, &step3).is_ok());
}

// [WIRE-61]
#[test]
fn the_longest_certificate_and_signature_fit_a_step() {
    struct Longest(Vec<u8>);
    impl Credential for Longest {
        fn certificate(&self) -> &[u8] {
            &self.0
        }
        fn sign(&self, _: &[u8]) -> Vec<u8> {
            vec![1; 72]
        }
    }
    let scene = Scene::new(KeyType::Ed25519);
    let (_, step1) = scene.call();
    let longest = Longest(vec![0; crate::base::limits::CERTIFICATE_BYTES_MAX]);

    let (_, step2) = scene.answer_as(&longest, &step1);

    assert!(step2.len() <= HANDSHAKE_BYTES_MAX);
}

#[test]
fn no_secret_of_a_handshake_is_printed() {
    let scene = Scene::new(KeyType::Ed25519);
    let (initiator, step1) = scene.call();
    let (responder, _) = scene.answer(&step1);

    assert_eq!(
        format!("{initiator:?} {responder:?}"),
        "Initiator { to: agent/truck-17, complete: false, .. } Responder { complete: false, .. }"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_bytes_as_a_step_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_100)) {
        let scene = Scene::new(KeyType::Ed25519);
        let (mut initiator, step1) = scene.call();
        let (mut responder, _) = scene.answer(&step1);
        prop_assert!(scene.on_step2(&mut initiator, &bytes).is_err());
        prop_assert!(scene.on_step3(&mut responder, &bytes).is_err());
    }
}
