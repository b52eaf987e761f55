//! What a hostile relay says as the fleet's hub.

use std::collections::BTreeMap;
use std::sync::Arc;

use longrein_proto::base::{Class, Name, NodeName};
use longrein_proto::wire::hub::{
    Answer, Bytes, Directed, Document, Frame, Item, Line, LineMessage, LockInfo, MessageId, Owner,
    Post, Section, Tell, TopicLine, Want, encode,
};

/// Words of every kind that a hub has, each with the same bytes in all places where it has any.
#[derive(Debug, Default)]
pub(crate) struct HostileHub {
    /// Of the newest message to each node, by line and class.
    numbers: BTreeMap<(NodeName, Line, u8), u64>,
}

impl HostileHub {
    /// A node has another leg, on which everything begins anew.
    pub(crate) fn forget(&mut self, node: &NodeName) {
        self.numbers.retain(|(whom, ..), _| whom != node);
    }

    /// The parcels.
    pub(crate) fn words(&mut self, to: &NodeName, payload: &[u8]) -> Vec<Arc<[u8]>> {
        let bytes = || Bytes::from(payload);
        let name = |text: &str| text.parse::<Name>().expect("a valid name");
        let post = || Post {
            id: MessageId([7; 16]),
            from: "controller/alice".parse().expect("a valid name"),
            class: Class::Reliable,
            flow: Some(name("drive")),
            at_ms: 1,
            until_ms: u64::MAX,
            want: Want::Applied,
            payload: bytes(),
        };
        let items = || {
            let item = |key: &str| Item {
                key: name(key),
                revision: 1,
                value: bytes(),
                by: to.clone(),
                at_ms: 1,
            };
            vec![item("function.drive"), item("stop")]
        };
        let owner = || Owner::Node(to.clone());
        let mut tells = vec![
            Tell::Directed(Directed {
                post: post(),
                room: Some(name("yard")),
            }),
            Tell::Document {
                watch: 1,
                owner: owner(),
                section: Section::Desired,
                after: 0,
                revision: 1,
                set: items(),
                removed: vec![name("drive")],
            },
            Tell::LockLost {
                owner: owner(),
                lock: name("drive"),
                token: 1,
            },
        ];
        // The vehicle has asked little so far: these are its first numbers.
        for ask in 1..=4 {
            let answers = [
                Answer::Document(Document {
                    revision: 1,
                    items: items(),
                }),
                Answer::Locked { token: u64::MAX },
                Answer::Done { revision: 1 },
                Answer::Subscribed(TopicLine {
                    topic: name("mailbox"),
                    line: Line(7),
                    after: longrein_proto::wire::hub::Cursor {
                        epoch: 1,
                        number: 0,
                    },
                    is_broken: false,
                }),
                Answer::Locks(vec![LockInfo {
                    lock: name("drive"),
                    by: to.clone(),
                    token: 1,
                    left_ms: 1,
                    waiting: 0,
                }]),
            ];
            tells.extend(answers.map(|answer| Tell::Answer { ask, answer }));
        }
        let mut words = Vec::new();
        for tell in tells {
            words.push(self.frame(to, Line::OWN, Class::Reliable, &encode(&tell)));
        }
        // And what is no word of a hub.
        words.push(self.frame(to, Line::OWN, Class::Reliable, payload));
        let line = encode(&LineMessage::Post(post()));
        for class in [Class::Reliable, Class::Unordered] {
            words.push(self.frame(to, Line(7), class, &line));
            words.push(self.frame(to, Line(7), class, payload));
        }
        words
    }

    fn frame(&mut self, to: &NodeName, line: Line, class: Class, bytes: &[u8]) -> Arc<[u8]> {
        let number = self
            .numbers
            .entry((to.clone(), line, class as u8))
            .or_default();
        *number += 1;
        let frame = Frame {
            class,
            line,
            number: *number,
            place: None,
            bytes,
        };
        frame.encode_parcel()
    }
}
