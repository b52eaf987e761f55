//! Commands that come by MQTT, from a panel that knows nothing of longrein.

use std::time::Duration;

use longrein::Connection;
use longrein::local_fleet::Plan;
use longrein_io::runtime;
use tokio::time::{sleep, timeout};

use super::fleet;
use super::mosquitto::{Mosquitto, received};
use super::mqtt_desk::{agent_says, plan};
use super::program::Program;
use super::until::{PATIENCE, until};

/// Whoever publishes commands to a function, and hears what became of them.
struct Panel<'a> {
    broker: &'a Mosquitto,
    topic: &'static str,
    answers: Program,
    asked: usize,
}

impl Panel<'_> {
    fn at<'a>(broker: &'a Mosquitto, topic: &'static str) -> Panel<'a> {
        let answers = broker.subscribe("answers", &["-V", "mqttv5", "-t", "answers"]);
        Panel {
            broker,
            topic,
            answers,
            asked: 0,
        }
    }

    /// What becomes of this, published with these further arguments.
    fn asks(&mut self, payload: &str, more: &[&str]) -> String {
        let answer = ["-D", "publish", "response-topic", "answers"];
        let arguments = ["-V", "mqttv5", "-q", "1", "-t", self.topic, "-m", payload];
        self.broker
            .publish(&[arguments.as_slice(), &answer, more].concat());
        self.asked += 1;
        until("an answer", || {
            let printed = self.answers.printed();
            printed.get(self.asked - 1).cloned()
        })
    }
}

/// The operator `panel` of a broker's section, and what it has papers for.
fn with_panel(mut plan: Plan, broker: &str) -> Plan {
    plan.controllers.push("panel".into());
    plan.functions += &format!(
        "[[operator]]\nname = \"panel\"\nbroker = {broker:?}\nidentity = \"$FLEET/controller-panel\"\n\
         topic = \"panel/{{vehicle}}/{{function}}/set\"\nttl_ms = 20000\n"
    );
    plan
}

/// SAFE-126, SAFE-127
#[test]
fn a_panel_commands_by_mqtt_under_an_identity_and_a_lease_of_its_own() {
    let broker = Mosquitto::start();
    let devices = broker.devices("5", 1, 0, 1);
    let fleet = fleet::start(with_panel(plan(&broker, "5", 1), "yard"));
    let mut panel = Panel::at(&broker, "panel/truck-17/valves/set");
    agent_says(&fleet, &["operator of MQTT listens"]);
    assert_eq!(
        panel.asks(r#"{"device":"device-0","payload":"open"}"#, &["-r"]),
        r#"{"outcome":"refused","why":"a command must not be retained"}"#
    );
    let late = ["-D", "publish", "user-property", "deadline-unix-ms", "1000"];
    assert_eq!(
        panel.asks(r#"{"device":"device-0","payload":"open"}"#, &late),
        r#"{"outcome":"expired"}"#
    );
    // The device may not have been heard of yet.
    loop {
        let answer = panel.asks(r#"{"device":"device-0","payload":"shut"}"#, &[]);
        if answer == r#"{"outcome":"applied"}"# {
            break;
        }
        assert_eq!(answer, r#"{"outcome":"refused","why":"not there"}"#);
    }
    until("the device hears it", || {
        received(&devices.objects())
            .any(|fact| fact["got"] == "shut")
            .then_some(())
    });
    // While somebody else holds the lease it is refused like anyone.
    let held = runtime::run(async || {
        let lease = async {
            loop {
                let settings = longrein::demo::settings(&fleet).unwrap();
                let connection = Connection::connect(settings).await.unwrap();
                let vehicle = connection.open(&"truck-17".parse().unwrap()).await.unwrap();
                if let Ok(lease) = vehicle.take(&"valves".parse().unwrap()).await {
                    return (connection, lease);
                }
                connection.close().await;
                sleep(Duration::from_millis(200)).await;
            }
        };
        let (connection, lease) = timeout(PATIENCE, lease).await.unwrap();
        let answer = panel.asks(r#"{"device":"device-0","payload":"open"}"#, &[]);
        drop(lease);
        connection.close().await;
        answer
    })
    .unwrap();
    assert_eq!(
        held,
        r#"{"outcome":"refused","why":"held by controller/desk"}"#
    );
    assert_eq!(
        received(&devices.objects())
            .filter(|fact| fact["got"] == "open")
            .count(),
        0
    );
}

/// SAFE-126, SAFE-128
#[test]
fn a_panel_drives_a_vehicle_without_any_device_and_what_it_says_twice_under_an_id_is_done_once() {
    let broker = Mosquitto::start();
    let mut plan = with_panel(fleet::plan(), "office");
    plan.functions += &format!(
        "[[mqtt]]\nname = \"office\"\naddress = \"127.0.0.1:{}\"\n",
        broker.port
    );
    let mut fleet = fleet::start(plan);
    let mut panel = Panel::at(&broker, "panel/truck-17/drive/set");
    agent_says(&fleet, &["operator of MQTT listens"]);
    let neutral = r#"{"speed_mm_s":0,"dead_man":true,"resume":true}"#;
    let sent = r#"{"outcome":"sent"}"#;
    let twice = r#"{"outcome":"refused","why":"it came before"}"#;
    let one = ["-D", "publish", "user-property", "id", "one"];
    assert_eq!(panel.asks(neutral, &one), sent);
    assert_eq!(panel.asks(neutral, &one), twice);
    assert_eq!(panel.asks(neutral, &[]), sent);
    assert_eq!(panel.asks(neutral, &[]), sent);
    until("all are applied but the repeated one", || {
        (fleet::applied(&fleet).read().commands.len() == 3).then_some(())
    });
    fleet.stop_agent().unwrap();
    assert_eq!(fleet::applied(&fleet).read().commands.len(), 3);
    agent_says(&fleet, &["agent ended"]);
}
