use crate::echo::{Echo, Event, Node, caller, relay, until};
use crate::fleet::Fleet;
use longrein_io::clock;
use longrein_io::drive::Driver;
use longrein_io::remote::RemoteError;
use longrein_io::runtime;
use std::cell::{Cell, RefCell};
use std::net::UdpSocket;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

#[test]
fn an_event_handler_may_call_the_driver() {
    runtime::run(async || {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let driver = Driver::start(Echo::default(), move |driver: &Driver<Echo>, event| {
            if let Event::Persisted(ticket) = event
                && ticket < 3
            {
                driver.persisted(ticket + 1);
                driver.with(|role, _| assert!(!role.events.is_empty()));
            }
            log.borrow_mut().push(event);
        })
        .unwrap();

        driver.persisted(1);

        let expected = [1, 2, 3].map(Event::Persisted);
        assert_eq!(*seen.borrow(), expected);
    })
    .unwrap();
}

#[test]
fn a_role_is_told_the_wall_clock_at_the_start() {
    runtime::run(async || {
        let node = Node::start(Echo::default());
        let told = || node.count(|event| matches!(event, Event::Wall(ms) if *ms > 0)) == 1;
        until("the wall clock", told, || node.events()).await;
    })
    .unwrap();
}

#[test]
fn a_role_is_woken_when_it_is_due_and_not_before() {
    runtime::run(async || {
        let node = Node::start(Echo::default());
        let due = node.driver.with(|role, now| {
            let due = now + Duration::from_millis(30);
            role.due = Some(due);
            due
        });
        // An earlier wish that is taken back must not wake it.
        node.driver
            .with(|role, now| role.due = Some(now + Duration::from_millis(1)));
        node.driver.with(|role, _| role.due = Some(due));

        let woken = || node.count(|event| *event == Event::Timeout) == 1;
        until("the timeout", woken, || node.events()).await;
        assert!(clock::now() >= due);
    })
    .unwrap();
}

#[test]
fn a_role_that_is_always_due_leaves_time_for_others() {
    runtime::run(async || {
        let driver = Driver::start(AlwaysDue, |_, ()| {}).unwrap();
        driver.persisted(0);
        // The runtime's own timers still fire.
        tokio::time::sleep(Duration::from_millis(5)).await;
    })
    .unwrap();
}

struct AlwaysDue;

impl longrein_proto::role::Role for AlwaysDue {
    type Event = ();

    fn handle(
        &mut self,
        _now: longrein_proto::base::MonoTime,
        _input: longrein_proto::role::Input<'_>,
    ) {
    }

    fn poll_transmit(&mut self) -> Option<longrein_proto::role::Transmit> {
        None
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_redial(&mut self) -> Option<longrein_proto::role::Redial> {
        None
    }

    fn next_timeout(&self) -> Option<longrein_proto::base::MonoTime> {
        Some(longrein_proto::base::MonoTime::ZERO)
    }
}

#[test]
fn other_threads_call_the_role_and_get_answers() {
    runtime::run(async || {
        let node = Node::start(Echo::saying("words"));
        let remote = node.driver.remote();
        let thread = thread::spawn(move || {
            remote
                .call(|role, _| role.events.push_back(Event::Persisted(9)))
                .unwrap();
            remote.ask_blocking(|role, _| role.says.clone())
        });
        let told = || node.count(|event| *event == Event::Persisted(9)) == 1;
        until("the call", told, || node.events()).await;
        let answered = || thread.is_finished();
        until("the answer", answered, || node.events()).await;
        assert_eq!(thread.join().unwrap(), Ok(Some(b"words".to_vec())));
    })
    .unwrap();
}

#[test]
fn whoever_asked_is_told_that_packets_have_arrived_before_they_are_handled() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let paths_at_first = Rc::new(Cell::new(None));
        let (noted, driver) = (Rc::clone(&paths_at_first), relay.driver.clone());
        relay.driver.on_arrival(move || {
            let paths = noted.get().unwrap_or(driver.paths().len());
            noted.set(Some(paths));
        });
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        truck.heard("agent/truck-17").await;
        assert_eq!(paths_at_first.get(), Some(0));
    })
    .unwrap();
}

#[test]
fn a_call_on_the_drive_loops_own_thread_is_carried_out_at_once() {
    runtime::run(async || {
        let node = Node::start(Echo::default());
        let remote = node.driver.remote();
        let mut answer = remote
            .question(|role, _| role.events.push_back(Event::Persisted(9)))
            .unwrap();
        assert_eq!(answer.try_recv(), Ok(()));
        assert_eq!(node.count(|event| *event == Event::Persisted(9)), 1);
    })
    .unwrap();
}

#[test]
fn a_call_from_within_a_call_or_an_event_waits_for_its_end() {
    runtime::run(async || {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let driver = Driver::start(Echo::default(), move |driver: &Driver<Echo>, event| {
            if event == Event::Persisted(1) {
                let say = |role: &mut Echo, _| role.events.push_back(Event::Persisted(3));
                driver.remote().call(say).unwrap();
            }
            log.borrow_mut().push(event);
        })
        .unwrap();
        let remote = driver.remote();
        driver.with(|role, _| {
            let say = |role: &mut Echo, _| role.events.push_back(Event::Persisted(2));
            remote.call(say).unwrap();
            role.events.push_back(Event::Persisted(1));
        });
        assert_eq!(*seen.borrow(), [Event::Persisted(1)]);
        let calls = || {
            let seen = seen.borrow();
            let calls = seen
                .iter()
                .filter(|event| matches!(event, Event::Persisted(_)));
            calls.cloned().collect::<Vec<Event>>()
        };
        until("both calls", || calls().len() == 3, calls).await;
        assert_eq!(calls(), [1, 2, 3].map(Event::Persisted));
    })
    .unwrap();
}

#[test]
fn calls_of_other_threads_are_bounded_and_end_with_the_driver() {
    runtime::run(async || {
        let node = Node::start(Echo::default());
        let remote = node.driver.remote();
        // Nothing is taken while this task keeps the thread.
        let caller = remote.clone();
        let calls = thread::spawn(move || {
            let taken = (0..5_000)
                .filter(|_| caller.call(|_, _| {}).is_ok())
                .count();
            assert_eq!(taken, longrein_io::drive::CALLS_MAX);
        });
        calls.join().unwrap();
        // On this thread too none overtakes those that wait.
        assert_eq!(remote.call(|_, _| {}), Err(RemoteError::Busy));

        node.driver.close().await;

        assert_eq!(remote.call(|_, _| {}), Err(RemoteError::Ended));
    })
    .unwrap();
}

#[test]
fn closing_sends_the_last_words_and_then_closes() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        truck.heard("agent/truck-17").await;

        truck.driver.with(|role, _| {
            for path in role.paths.clone() {
                role.send(path, b"goodbye".to_vec());
            }
        });
        truck.driver.close().await;

        until("the end", || relay.downs() == 1, || relay.events()).await;
        assert_eq!(relay.got("goodbye"), 1);
        assert!(relay.driver.paths().is_empty());
    })
    .unwrap();
}

#[test]
fn a_driver_that_is_closed_gives_its_port_back() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let address = listener.address();
        let truck = caller(&fleet, "agent/truck-17", "east", address);
        truck.heard("agent/truck-17").await;

        relay.driver.close().await;
        drop((relay, listener));

        let free = || UdpSocket::bind(address).is_ok();
        until("the port", free, || truck.outcomes()).await;
    })
    .unwrap();
}

#[test]
fn a_relay_that_closes_is_left_at_once() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        truck.heard("agent/truck-17").await;

        relay.driver.close().await;

        until("the end", || truck.downs() == 1, || truck.events()).await;
        assert!(truck.outcomes()[1].ends_with("connection lost: closed by the far side"));
    })
    .unwrap();
}
