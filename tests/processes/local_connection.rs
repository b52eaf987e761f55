//! A connection that the caller's own thread keeps up: a command is on its way when the call returns.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use longrein::{Connection, Drive, Stage, VehicleEvent};
use longrein_io::runtime;
use tokio::time::{interval, timeout};

use super::fleet;
use super::until::PATIENCE;

#[test]
fn a_command_of_a_local_connection_is_sent_when_the_call_returns() {
    let mut fleet = fleet::start(fleet::plan());
    let settings = longrein::demo::settings(&fleet).unwrap();
    let sent = runtime::run(async || {
        let connection = Connection::connect_local(settings).await.unwrap();
        let truck = connection.open(&"truck-17".parse().unwrap()).await.unwrap();
        let mut events = truck.watch().await.unwrap();
        let lease = truck.take(&"drive".parse().unwrap()).await.unwrap();
        let mut ticks = interval(Duration::from_millis(20));
        let mut sent = 0;
        let moving = async {
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        let number = pin!(lease.drive(Drive::NEUTRAL, true, true));
                        let answer = number.poll(&mut Context::from_waker(Waker::noop()));
                        assert!(matches!(answer, Poll::Ready(Ok(_))), "{answer:?}");
                        sent += 1;
                    }
                    event = events.next() => if is_nominal(event.as_ref()) { return },
                }
            }
        };
        timeout(PATIENCE, moving).await.expect("the vehicle moves");
        lease.release().await.unwrap();
        connection.close().await;
        sent
    })
    .unwrap();
    fleet.stop_agent().unwrap();
    let log = fleet::applied(&fleet).read();
    log.check();
    assert!((1..=sent).contains(&log.commands.len()));
}

fn is_nominal(event: Option<&VehicleEvent>) -> bool {
    match event {
        Some(VehicleEvent::Status(status)) => status
            .beat
            .functions
            .iter()
            .any(|function| function.stage == Stage::Nominal),
        _ => false,
    }
}
