//! Operators of MQTT in virtual time.

use super::*;

const UNIX_MS: u64 = 1_700_000_000_000;

const fn at(ms: u64) -> MonoTime {
    MonoTime::from_us(ms * 1_000)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn operator() -> Operator {
    Operator::new(
        OperatorSection {
            name: name("panel"),
            broker: name("yard"),
            identity: "panel".into(),
            topic: Template::parse("site/{vehicle}/{function}/set").unwrap(),
            vehicle: None,
            function: None,
            ttl_ms: 1_000,
            idle_ms: 5_000,
        },
        vec![Template::parse("devices/{device}/cmd").unwrap()],
    )
}

fn message(payload: &str) -> Message {
    Message {
        topic: "site/truck-17/valves/set".to_string(),
        payload: payload.into(),
        response_topic: Some("answers".to_string()),
        correlation: Some(vec![7]),
        ..Message::default()
    }
}

fn events(operator: &mut Operator) -> Vec<OperatorEvent> {
    std::iter::from_fn(|| operator.poll_event()).collect()
}

fn answers(operator: &mut Operator) -> Vec<String> {
    let answers = events(operator).into_iter();
    answers
        .filter_map(|event| match event {
            OperatorEvent::Answer(message) => {
                assert_eq!(
                    (message.topic.as_str(), message.correlation),
                    ("answers", Some(vec![7]))
                );
                Some(String::from_utf8(message.payload).unwrap())
            }
            _ => None,
        })
        .collect()
}

fn held(operator: &mut Operator, kind: FunctionKind) {
    let (truck, valves) = (name("truck-17"), name("valves"));
    operator.on_session(at(0), &truck, &[(valves.clone(), kind)]);
    operator.on_granted(at(0), &truck, &valves);
}

/// SAFE-126
#[test]
fn a_command_takes_a_lease_like_anyones_and_its_receipt_is_answered() {
    let mut operator = operator();
    operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
    let (truck, valves) = (name("truck-17"), name("valves"));
    assert_eq!(
        events(&mut operator),
        [OperatorEvent::Open {
            vehicle: truck.clone()
        }]
    );
    operator.on_session(at(100), &truck, &[(valves.clone(), FunctionKind::Opaque)]);
    let take = OperatorEvent::Take {
        vehicle: truck.clone(),
        function: valves.clone(),
    };
    assert_eq!(events(&mut operator), [take]);
    operator.on_granted(at(200), &truck, &valves);
    let mut events = events(&mut operator);
    let Some(OperatorEvent::Command {
        class,
        ttl,
        body,
        ticket,
        ..
    }) = events.pop()
    else {
        panic!("a command")
    };
    assert_eq!((class, ttl), (Class::Reliable, Duration::from_millis(800)));
    assert_eq!(body, Body::Opaque(b"open".to_vec()));
    operator.on_sent(&truck, &valves, ticket, Ok(Some(9)));
    operator.on_receipt(&truck, &valves, 9, &Resolution::Applied);
    assert_eq!(answers(&mut operator), [r#"{"outcome":"applied"}"#]);
}

/// SAFE-126
#[test]
fn a_lease_that_is_refused_refuses_what_waited_for_it() {
    let mut operator = operator();
    operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
    let (truck, valves) = (name("truck-17"), name("valves"));
    operator.on_session(at(0), &truck, &[(valves.clone(), FunctionKind::Opaque)]);
    operator.on_no_lease(&truck, &valves, "held by controller/alice");
    assert_eq!(
        answers(&mut operator),
        [r#"{"outcome":"refused","why":"held by controller/alice"}"#]
    );
}

/// SAFE-127
#[test]
fn a_kept_or_late_message_is_no_command() {
    let mut operator = operator();
    let kept = Message {
        retained: true,
        ..message("open")
    };
    let late = |deadline: &str| Message {
        properties: vec![("deadline-unix-ms".to_string(), deadline.to_string())],
        ..message("open")
    };
    let over = Message {
        expiry_s: Some(0),
        ..message("open")
    };
    for message in [kept, late("1700000000000"), late("soon"), over] {
        operator.on_message(at(0), UNIX_MS, &message, Qos::AtLeastOnce);
    }
    assert_eq!(
        answers(&mut operator),
        [
            r#"{"outcome":"refused","why":"a command must not be retained"}"#,
            r#"{"outcome":"expired"}"#,
            r#"{"outcome":"expired"}"#,
            r#"{"outcome":"expired"}"#,
        ]
    );
    assert!(operator.wanted.is_empty());
}

/// SAFE-127
#[test]
fn what_may_have_been_long_on_its_way_is_no_command() {
    let mut operator = operator();
    operator.on_late(&message("open"));
    assert_eq!(answers(&mut operator), [r#"{"outcome":"expired"}"#]);
    assert!(operator.wanted.is_empty());
}

#[test]
fn a_command_that_the_session_does_not_take_leaves_the_lease_to_be_used_and_given_back() {
    let mut operator = operator();
    operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
    held(&mut operator, FunctionKind::Opaque);
    let not_sent = |is_lease_gone| {
        Err(NotSent {
            why: "message is too long".to_string(),
            is_lease_gone,
        })
    };
    let (truck, valves) = (name("truck-17"), name("valves"));
    operator.on_sent(&truck, &valves, CommandTicket(None), not_sent(false));
    events(&mut operator);
    operator.on_timeout(at(5_000));
    let release = OperatorEvent::Release {
        vehicle: truck.clone(),
        function: valves.clone(),
    };
    assert_eq!(events(&mut operator), [release]);
    operator.on_granted(at(5_000), &truck, &valves);
    operator.on_sent(&truck, &valves, CommandTicket(None), not_sent(true));
    operator.on_message(at(5_001), UNIX_MS, &message("open"), Qos::AtLeastOnce);
    let take = OperatorEvent::Take {
        vehicle: truck,
        function: valves,
    };
    assert_eq!(events(&mut operator), [take]);
}

/// SAFE-128
#[test]
fn a_message_with_an_id_is_a_command_once_and_one_without_is_each_time() {
    let mut operator = operator();
    held(&mut operator, FunctionKind::Opaque);
    let with = |id: &str| Message {
        properties: vec![("id".to_string(), id.to_string())],
        ..message("open")
    };
    // Commands at 50 Hz push no id out.
    let others = std::iter::repeat_n(message("open"), 5_000);
    let all = [with("a")].into_iter().chain(others);
    for (number, message) in all.chain([with("a"), with("b")]).enumerate() {
        let now = at(number as u64 * 20);
        operator.on_message(now, UNIX_MS, &message, Qos::AtLeastOnce);
        operator.on_session(
            now,
            &name("truck-17"),
            &[(name("valves"), FunctionKind::Opaque)],
        );
        operator.on_granted(now, &name("truck-17"), &name("valves"));
    }
    let (mut commands, mut answers) = (0, Vec::new());
    for event in events(&mut operator) {
        match event {
            OperatorEvent::Command { .. } => commands += 1,
            OperatorEvent::Answer(message) => answers.push(message.payload),
            _ => {}
        }
    }
    assert_eq!(commands, 5_002);
    assert_eq!(
        answers,
        [br#"{"outcome":"refused","why":"it came before"}"#]
    );
}

/// SAFE-127
#[test]
fn a_command_waits_for_its_lease_no_longer_than_its_time_to_live() {
    let mut operator = operator();
    let short = Message {
        properties: vec![("deadline-unix-ms".to_string(), (UNIX_MS + 300).to_string())],
        ..message("open")
    };
    operator.on_message(at(0), UNIX_MS, &short, Qos::AtLeastOnce);
    assert_eq!(operator.next_timeout(), Some(at(300)));
    operator.on_timeout(at(300));
    held(&mut operator, FunctionKind::Opaque);
    assert_eq!(answers(&mut operator), [r#"{"outcome":"expired"}"#]);
}

#[test]
fn a_drive_command_is_typed_and_anything_else_is_refused() {
    let mut operator = operator();
    let words = [
        r#"{"speed_mm_s":500,"dead_man":true}"#,
        r#"{"speed_mm_s":0,"resume":true}"#,
        r#"{"speed_mm_s":99999}"#,
        "fast",
    ];
    for word in words {
        operator.on_message(at(0), UNIX_MS, &message(word), Qos::AtMostOnce);
    }
    held(&mut operator, FunctionKind::Drive);
    let (mut commands, mut refused) = (Vec::new(), 0);
    for event in events(&mut operator) {
        match event {
            OperatorEvent::Command {
                class,
                body,
                dead_man,
                resume,
                ..
            } => {
                assert_eq!(class, Class::Latest);
                commands.push((body, dead_man, resume));
            }
            OperatorEvent::Answer(_) => refused += 1,
            _ => {}
        }
    }
    let drive = |speed_mm_s| {
        Body::Drive(Drive {
            speed_mm_s,
            curvature_per_km: 0,
        })
    };
    assert_eq!(
        commands,
        [(drive(500), true, false), (drive(0), false, true)]
    );
    assert_eq!(refused, 2);
}

#[test]
fn a_lease_that_nobody_uses_is_given_back_and_taken_again() {
    let mut operator = operator();
    operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
    held(&mut operator, FunctionKind::Opaque);
    events(&mut operator);
    assert_eq!(operator.next_timeout(), Some(at(5_000)));
    operator.on_timeout(at(5_000));
    assert!(matches!(
        events(&mut operator)[..],
        [OperatorEvent::Release { .. }]
    ));
    operator.on_message(at(6_000), UNIX_MS, &message("shut"), Qos::AtLeastOnce);
    assert!(matches!(
        events(&mut operator)[..],
        [OperatorEvent::Take { .. }]
    ));
}

#[test]
fn no_answer_goes_where_only_the_agent_may_write() {
    let mut operator = operator();
    let sly = Message {
        response_topic: Some("devices/valve-3/cmd".to_string()),
        retained: true,
        ..message("open")
    };
    operator.on_message(at(0), UNIX_MS, &sly, Qos::AtLeastOnce);
    assert_eq!(events(&mut operator), []);
}

#[test]
fn what_nobody_uses_is_forgotten_and_its_session_closed() {
    let mut operator = operator();
    operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
    for _ in 0..10 {
        let Some(due) = operator.next_timeout() else {
            break;
        };
        operator.on_timeout(due);
    }
    assert!(operator.wanted.is_empty());
    let vehicle = name("truck-17");
    assert!(events(&mut operator).contains(&OperatorEvent::Close { vehicle }));
}

#[test]
fn what_waits_is_bounded() {
    let mut operator = operator();
    for _ in 0..WAITING_MAX + 3 {
        operator.on_message(at(0), UNIX_MS, &message("open"), Qos::AtLeastOnce);
    }
    assert_eq!(answers(&mut operator).len(), 3);
}
