//! Steps of a handshake: forged, changed, of other sessions, and with other papers.

use longrein_proto::base::limits::HANDSHAKE_BYTES_MAX;
use longrein_proto::base::{MonoTime, SessionId};
use longrein_proto::crypto::{HandshakeError, Initiator, Responder, RunKey};

use crate::papers::Papers;
use crate::{Chance, Script, papers};

/// A caller and a called node, with somebody between them who changes what they say. Who ends with keys has the other's name, and
/// nothing that was refused on the way keeps the genuine steps from counting.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let papers = papers();
    let (alice, truck) = (
        papers.name("controller/alice"),
        papers.name("agent/truck-17"),
    );
    let (calling, called) = (papers.credential(&alice), papers.credential(&truck));
    let mut chance = Chance::new(u64::from(script.byte()));
    let run = RunKey::new(&mut chance);
    let (session, now) = (SessionId(7), MonoTime::from_us(1_000_000));

    let (mut initiator, step1) = Initiator::new(now, session, &truck, &mut chance);
    let rubbish = script.bytes(60);
    if let Ok((mut responder, step2)) =
        Responder::new(now, session, &truck, rubbish, called.as_ref(), &run, &mut chance)
    {
        assert_eq!(
            (rubbish.len(), step2.len() <= HANDSHAKE_BYTES_MAX),
            (32, true)
        );
        let step3 = script.bytes(1_100);
        assert!(
            responder
                .on_step3(now, step3, &papers.fleet, Papers::AT)
                .is_err()
        );
    }

    let (mut responder, step2) =
        Responder::new(now, session, &truck, &step1, called.as_ref(), &run, &mut chance)
            .expect("a genuine step");
    for _ in 0..script.byte() % 4 {
        let forged = forge(&mut script, &step2);
        let taken = initiator.on_step2(now, &forged, &papers.fleet, Papers::AT, calling.as_ref());
        assert!(taken.is_err());
    }
    let (step3, at_caller) = initiator
        .on_step2(now, &step2, &papers.fleet, Papers::AT, calling.as_ref())
        .expect("a genuine step");
    assert_eq!(at_caller.peer.node, truck);
    for _ in 0..script.byte() % 4 {
        let forged = forge(&mut script, &step3);
        let taken = responder.on_step3(now, &forged, &papers.fleet, Papers::AT);
        assert!(taken.is_err());
    }
    let at_called = responder
        .on_step3(now, &step3, &papers.fleet, Papers::AT)
        .expect("a genuine step");
    assert_eq!(at_called.peer.node, alice);
    assert_eq!(
        responder
            .on_step3(now, &step3, &papers.fleet, Papers::AT)
            .err(),
        Some(HandshakeError::Complete)
    );
}

/// A step that is not the genuine one.
fn forge(script: &mut Script<'_>, genuine: &[u8]) -> Vec<u8> {
    let mut step = match script.byte() % 3 {
        0 => script.bytes(1_100).to_vec(),
        1 => {
            let keep = usize::from(script.u16()) % (genuine.len() + 1);
            genuine[..keep].to_vec()
        }
        _ => {
            let mut step = genuine.to_vec();
            let at = usize::from(script.u16()) % step.len();
            step[at] ^= script.byte();
            step
        }
    };
    if step == genuine {
        step.push(0);
    }
    step
}
