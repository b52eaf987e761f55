//! A real Mosquitto, and devices that speak with it.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use longrein::local_fleet::Folder;
use rustix::process::Signal;
use serde_json::Value;

use super::mavlink_peer::python;
use super::program::Program;
use super::until::until;

/// A broker that keeps what it has on disk, and can be stopped and started again at its port.
pub struct Mosquitto {
    folder: Folder,
    pub port: u16,
    /// Of its second listener, when it has one.
    pub guarded_port: u16,
    program: Option<Program>,
}

impl Mosquitto {
    /// Starts one on a free port of the loopback, where it wants nothing of its clients.
    pub fn start() -> Mosquitto {
        Mosquitto::start_with("")
    }

    /// The same with a second listener that wants this, unless that is nothing.
    pub fn start_with(wanted: &str) -> Mosquitto {
        let folder = Folder::new().unwrap();
        // Both at once, so that they are two.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, guarded_port] = free.map(|free| free.local_addr().unwrap().port());
        let kept = folder.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        let log = ["information", "warning", "error", "notice", "subscribe"];
        let log = log.map(|what| format!("log_type {what}\n")).concat();
        let guarded = match wanted {
            "" => String::new(),
            wanted => format!("listener {guarded_port} 127.0.0.1\n{wanted}"),
        };
        let config = format!(
            "per_listener_settings true\nuser root\nmax_queued_messages 100000\nset_tcp_nodelay true\nlog_dest stderr\n{log}\
             listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n{guarded}",
            kept.display()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Mosquitto {
            folder,
            port,
            guarded_port,
            program: None,
        };
        broker.start_again();
        broker
    }

    /// Ends it in good order, with everything on disk.
    pub fn stop(&mut self) {
        if let Some(program) = self.program.take() {
            program.signal(Signal::TERM);
            program.ended();
        }
    }

    /// Starts it once more, with what it kept.
    pub fn start_again(&mut self) {
        let mut command = Command::new(program());
        command
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"));
        let mut program = Program::run("mosquitto", command);
        program.says("mosquitto version");
        self.program = Some(program);
    }

    /// Publishes one message with the broker's own client.
    pub fn publish(&self, arguments: &[&str]) {
        let mut command = Command::new("mosquitto_pub");
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(arguments);
        let ended = Program::run("mosquitto_pub", command).ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Prints what is published to a topic from now on; its client has this name.
    pub fn subscribe(&self, name: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new("mosquitto_sub");
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-i", name])
            .args(arguments);
        let program = Program::run("mosquitto_sub", command);
        until("the broker knows of the subscription", || {
            let broker = self.program.as_ref().unwrap();
            broker
                .said()
                .iter()
                .any(|line| line.contains(&format!(": {name} ")))
                .then_some(())
        });
        program
    }

    /// Legacy devices `device-0`, `device-1`, .., which send states.
    pub fn devices(&self, version: &str, count: u32, send_hz: u32, qos: u8) -> Program {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("processes/mqtt_device.py");
        let words = [
            self.port.to_string(),
            version.to_string(),
            count.to_string(),
            send_hz.to_string(),
            qos.to_string(),
        ];
        let mut arguments: Vec<&OsStr> = vec!["-u".as_ref(), script.as_os_str()];
        arguments.extend(words.iter().map(OsStr::new));
        python("mqtt_device.py", &arguments)
    }
}

/// What devices received, as they printed it.
pub fn received(devices: &[Value]) -> impl Iterator<Item = &Value> {
    devices.iter().filter(|fact| fact["got"].is_string())
}

/// Where Debian puts it, which is no place of a user's programs.
fn program() -> &'static str {
    match std::fs::exists("/usr/sbin/mosquitto") {
        Ok(true) => "/usr/sbin/mosquitto",
        Ok(false) | Err(_) => "mosquitto",
    }
}
