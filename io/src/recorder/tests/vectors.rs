//! The bytes in `docs/record.md` are those that are written.

use longrein_proto::wire::{Body, Command, Drive, Telemetry, VehicleState};

use super::super::chain::Chain;
use super::super::field::{Commanded, Fingerprint, Hex, Told, hex};
use super::super::header::Header;
use super::*;

const PAGE: &str = include_str!("../../../../docs/record.md");

fn assert_in_page(picture: &str, bytes: &[u8]) {
    let digits: String = picture.split_whitespace().collect();
    assert_eq!(digits, hex(bytes));
    assert!(PAGE.contains(picture), "docs/record.md lacks {picture}");
}

struct Fixed;

impl Credential for Fixed {
    fn certificate(&self) -> &[u8] {
        &[0xaa, 0xbb, 0xcc]
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        assert!(message.starts_with(b"longrein/1 record "));
        vec![0xdd, 0xee]
    }
}

#[test]
fn a_header_looks_like_its_picture() {
    let header = Header {
        number: 3,
        kept_from: 2,
        chain: Chain {
            next: 4_711,
            hash: [0x11; 32],
        },
        at: MonoTime::from_us(5_000_000),
        wall_ms: 1_795_000_000_000,
        error_ms: None,
        certificate: Fixed.certificate().to_vec(),
    };
    let bytes = header.sign(&Fixed);
    let picture =
        "6c6f6e677265696e2d7265636f726431 0000000000000003 0000000000000002 0000000000001267
1111111111111111111111111111111111111111111111111111111111111111 0000004c4b40 01a1ee565e00 ffffffff
0003 aabbcc 02 ddee";
    assert_in_page(picture, &bytes);
    let read = Header::read(&bytes).unwrap();
    assert_eq!(
        (&read.header, read.bytes, read.rest),
        (&header, &bytes[..], &b""[..])
    );
}

#[test]
fn an_entry_looks_like_its_picture() {
    let mut chain = Chain {
        next: 4_711,
        hash: [0x11; 32],
    };
    let mut bytes = Vec::new();
    let event = Event::Stage {
        function: "drive".into(),
        stage: "Hold".into(),
    };
    let body = frame::body(MonoTime::from_us(5_000_000), &event).unwrap();
    frame::append(&mut bytes, &mut chain, &body);
    assert_eq!(bytes[bytes.len() - 8..], chain.hash[..8]);
    assert_in_page(
        "0012 1103 30 0000004c4b40 056472697665 04486f6c64 f063c29a4ef79b45",
        &bytes,
    );
}

fn alice() -> String {
    "controller/alice".to_string()
}

fn function() -> String {
    "drive".to_string()
}

/// Kinds about the record and about people, in the order of the page.
fn of_people() -> Vec<Event> {
    vec![
        Event::Checkpoint {
            signature: Hex(vec![0xdd, 0xee]),
        },
        Event::Seal {
            signature: Hex(vec![0xdd, 0xee]),
        },
        Event::Dropped { entries: 300 },
        Event::Clock {
            wall_ms: 1_795_000_000_000,
            error_ms: None,
            jump_ms: -49_000,
        },
        Event::Start {
            node: "agent/truck-17".into(),
            version: "longrein-agent 0.1.0".into(),
            fingerprint: Fingerprint([0x22; 32]),
        },
        Event::SessionBegun {
            session: 9,
            peer: alice(),
            certificate: None,
        },
        Event::SessionEnded {
            session: 9,
            peer: alice(),
            why: "silent".into(),
        },
        Event::SessionRenewed {
            session: 9,
            peer: alice(),
            certificate: Fingerprint([0x33; 32]),
        },
        Event::Revocations { list: 12 },
        Event::PeerClock {
            peer: alice(),
            ahead_ms: -49_000,
            error_ms: 12,
        },
        Event::LeaseGranted {
            function: function(),
            holder: alice(),
            token: 7,
        },
        Event::LeaseEnded {
            function: function(),
            holder: alice(),
            token: 7,
            why: "lapsed".into(),
        },
        Event::Handover {
            function: function(),
            from: alice(),
            to: "controller/bob".into(),
            token: 8,
        },
        Event::Refused {
            peer: alice(),
            asked: "command".into(),
            function: Some(function()),
            number: Some(17),
            why: "not leased".into(),
        },
        Event::News {
            function: function(),
            node: alice(),
            offer: Some(5),
            what: "offered".into(),
        },
    ]
}

/// Kinds about the vehicle, in the order of the page.
fn of_the_vehicle() -> Vec<Event> {
    let drive = Command {
        token: longrein_proto::base::FencingToken(7),
        dead_man: true,
        resume: false,
        application_id: None,
        picture_age: None,
        body: Body::Drive(Drive {
            speed_mm_s: 1_000,
            curvature_per_km: -100,
        }),
    };
    let vehicle = Telemetry::Vehicle(VehicleState {
        x_mm: 1_000,
        y_mm: -500,
        heading_mrad: 1_571,
        speed_mm_s: 1_500,
    });
    vec![
        stage(1),
        Event::Stop {
            author: None,
            generation: 3,
        },
        Event::Reset {
            author: alice(),
            generation: 4,
        },
        Event::Limit {
            function: function(),
            number: 17,
            speed_mm_s: 2_000,
            curvature_per_km: -300,
        },
        Event::Device {
            function: function(),
            state: "up".into(),
        },
        Event::Command {
            function: function(),
            class: "latest".into(),
            number: 17,
            age_us: Some(23_000),
            error_us: Some(800),
            verdict: "applied".into(),
            why: None,
            command: Commanded(drive.encode()),
        },
        Event::Telemetry {
            function: function(),
            telemetry: Told(vehicle.encode()),
        },
        Event::Receipt {
            function: function(),
            number: 17,
            outcome: "applied".into(),
        },
        Event::Note {
            subject: "policy".into(),
            text: "reloaded".into(),
        },
    ]
}

#[test]
fn each_kind_is_read_back_and_looks_like_its_picture() {
    let events = [of_people(), of_the_vehicle()].concat();
    let mut kinds = Event::KINDS.iter();
    for event in &events {
        let kind = kinds.next().unwrap();
        assert_eq!(kind.name, event.name());
        let body = frame::body(MonoTime::from_us(1), event).unwrap();
        assert_eq!(body[0], kind.number);
        assert_eq!(Event::read(body[0], &body[7..]), *event);
        let row = format!("| {} | `{}` |", kind.number, kind.name);
        assert!(PAGE.contains(&row), "docs/record.md lacks {row}");
        for (field, _) in kind.fields {
            let line = PAGE.lines().find(|line| line.starts_with(&row)).unwrap();
            assert!(
                line.contains(field),
                "docs/record.md lacks {field} of {}",
                kind.name
            );
        }
    }
    assert!(kinds.next().is_none());
    let is_command = |event: &&Event| matches!(event, Event::Command { .. });
    let command = events.iter().find(is_command).unwrap();
    let command = frame::body(MonoTime::from_us(5_000_000), command).unwrap();
    let picture = "40 0000004c4b40 056472697665 066c6174657374 11 d9b301 a106 076170706c696564 00 06 090703e8ff9c";
    assert_in_page(picture, &command);
}
