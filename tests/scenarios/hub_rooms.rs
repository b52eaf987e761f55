//! A room of the hub, where one member's link loses most of what it carries.

use std::time::Duration;

use longrein_proto::base::{Class, Name};
use longrein_proto::hub::CallerEvent;
use longrein_proto::wire::hub::{
    Bytes, LineMessage, MessageId, Publish, Request, Retention, RoomRole, RoomSettings, Start,
    TopicFrom, Want,
};
use longrein_tests::{Clock, Link, Station, World, each_seed};

struct Room {
    members: Vec<Station>,
    /// Of each member.
    paths: Vec<usize>,
    /// Of each member: the numbers that came in this order, and how long each was on its way, in µs.
    heard: Vec<Vec<(u64, u64)>>,
    sent: u64,
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

impl Room {
    /// Members at a hub; the last one's link loses this share both ways.
    fn new(world: &mut World, members: usize, loss: f64) -> Room {
        let hub = world.hub("relay-a");
        let (members, paths): (Vec<Station>, Vec<usize>) = (0..members)
            .map(|number| {
                let member = world.controller(&format!("member-{number}"), Clock::default());
                let is_last = number + 1 == members;
                let link = Link {
                    loss: if is_last { loss } else { 0.0 },
                    ..Link::good()
                };
                (member, world.join(member, hub, "cable", link))
            })
            .unzip();
        world.run(Duration::from_secs(5));
        let heard = vec![Vec::new(); members.len()];
        let mut room = Room {
            members,
            paths,
            heard,
            sent: 0,
        };
        for member in room.members.clone() {
            room.ask(
                world,
                member,
                Request::Join {
                    room: name("yard"),
                    role: RoomRole::Driver,
                    topics: vec![TopicFrom {
                        topic: name("talk"),
                        from: Start::Now,
                    }],
                    create: Some(RoomSettings {
                        members_max: 100,
                        retention: Retention {
                            count_max: 0,
                            bytes_max: 0,
                            age_max_s: 0,
                        },
                        is_transient: false,
                        role_max: RoomRole::Driver,
                    }),
                },
            );
        }
        world.run(Duration::from_secs(10));
        room.listen(world);
        room
    }

    fn ask(&self, world: &mut World, member: Station, request: Request) {
        world.with_controller(member, |controller, now| {
            controller
                .with_hub(now, |caller| caller.ask(request))
                .expect("few requests are open")
        });
    }

    /// The first member publishes ten messages a second.
    fn talk(&mut self, world: &mut World, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.sent += 1;
            let mut id = [0; 16];
            id[..8].copy_from_slice(&self.sent.to_be_bytes());
            let mut payload = self.sent.to_be_bytes().to_vec();
            payload.extend(world.now().as_us().to_be_bytes());
            payload.resize(300, 0);
            let publish = Request::Publish(Publish {
                room: name("yard"),
                topic: name("talk"),
                class: Class::Reliable,
                ttl_ms: 60_000,
                id: MessageId(id),
                to: Vec::new(),
                want: Want::Nothing,
                payload: Bytes::from(payload),
            });
            self.ask(world, self.members[0], publish);
            for _ in 0..100 {
                world.run(Duration::from_millis(1));
                self.listen(world);
            }
        }
    }

    fn listen(&mut self, world: &mut World) {
        let now_us = world.now().as_us();
        for (place, member) in self.members.iter().enumerate() {
            loop {
                let event = world.with_controller(*member, |controller, now| {
                    controller.with_hub(now, |caller| caller.poll_event())
                });
                let Some(event) = event else { break };
                if let CallerEvent::Message {
                    message: LineMessage::Post(post),
                    ..
                } = event
                {
                    let field = |at: usize| {
                        u64::from_be_bytes(post.payload.0[at..at + 8].try_into().expect("8 bytes"))
                    };
                    self.heard[place].push((field(0), now_us.saturating_sub(field(8))));
                }
            }
        }
    }

    /// The 99th percentile of how long messages were on their way to all members but the last, in µs.
    fn p99_of_others(&self) -> u64 {
        let others = self.heard.iter().take(self.heard.len() - 1).flatten();
        let mut delays: Vec<u64> = others.map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        delays[delays.len() * 99 / 100]
    }
}

#[test]
fn a_member_that_loses_four_fifths_has_everything_in_order_and_holds_up_nobody() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let mut calm = Room::new(&mut world, 6, 0.0);
        calm.talk(&mut world, 10);
        let undisturbed = calm.p99_of_others();
        drop(world);

        let mut world = World::new(seed);
        let mut room = Room::new(&mut world, 6, 0.8);
        room.talk(&mut world, 10);
        for _ in 0..500 {
            world.run(Duration::from_millis(10));
            room.listen(&mut world);
        }
        for heard in &room.heard {
            let numbers: Vec<u64> = heard.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, (1..=room.sent).collect::<Vec<u64>>());
        }
        let disturbed = room.p99_of_others();
        assert!(
            disturbed <= undisturbed + 2_000,
            "{disturbed} µs instead of {undisturbed}"
        );
    });
}

/// The room is in memory only, and its members are not: they join again, and what was asked for and not answered is asked again.
#[test]
fn members_join_again_when_their_link_was_gone() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let mut room = Room::new(&mut world, 3, 0.0);
        room.talk(&mut world, 2);
        world.part(room.paths[2]);
        world.run(Duration::from_secs(20));
        world.connect(room.paths[2]);
        world.run(Duration::from_secs(10));
        room.listen(&mut world);
        let before = room.heard[2].len();
        room.talk(&mut world, 2);
        world.run(Duration::from_secs(1));
        room.listen(&mut world);
        assert_eq!(room.heard[2].len() - before, 20);
    });
}
