//! The physical limit beside which delays are measured: datagrams through a forwarder that does nothing else.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use longrein_io::clock;

/// A forwarder in a process of its own, and the socket that it forwards to.
pub struct Raw {
    forwarder: Child,
    to_forwarder: SocketAddr,
    sender: UdpSocket,
}

impl Raw {
    /// Starts the forwarder and a thread that notes each arrival with the time in it.
    pub fn start(mut note: impl FnMut(u64) + Send + 'static) -> anyhow::Result<Raw> {
        let mut forwarder = Command::new(std::env::current_exe()?)
            .arg("raw-forwarder")
            .stdout(Stdio::piped())
            .spawn()?;
        let out = forwarder
            .stdout
            .take()
            .context("the forwarder has an output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let to_forwarder: SocketAddr = line.trim().parse()?;
        let receiver = UdpSocket::bind("127.0.0.1:0")?;
        let sender = receiver.try_clone()?;
        // The first datagram tells the forwarder where to.
        sender.send_to(b"here", to_forwarder)?;
        std::thread::spawn(move || {
            let mut packet = [0; 2_048];
            while let Ok((bytes, _)) = receiver.recv_from(&mut packet) {
                let now = clock::now().as_us();
                if let Some(stamp) = packet.get(..8).filter(|_| bytes >= 8) {
                    let sent = u64::from_be_bytes(stamp.try_into().unwrap_or_default());
                    note(now.saturating_sub(sent));
                }
            }
        });
        Ok(Raw {
            forwarder,
            to_forwarder,
            sender: UdpSocket::bind("127.0.0.1:0").or_else(|_| sender.try_clone())?,
        })
    }

    /// Sends one datagram of this size with the time in it.
    pub fn send(&self, bytes: usize) -> anyhow::Result<()> {
        let mut packet = vec![0; bytes.max(8)];
        if let Some(stamp) = packet.get_mut(..8) {
            stamp.copy_from_slice(&clock::now().as_us().to_be_bytes());
        }
        self.sender.send_to(&packet, self.to_forwarder)?;
        Ok(())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.forwarder.kill();
        let _ = self.forwarder.wait();
    }
}

/// The forwarder's process: says where it listens, learns from the first datagram where to, and forwards all others.
pub fn forward() -> anyhow::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(IDLE_MAX))?;
    println!("{}", socket.local_addr()?);
    let mut packet = [0; 2_048];
    let (_, to) = socket.recv_from(&mut packet)?;
    loop {
        // Ends by itself when whoever started it is gone.
        let (bytes, _) = socket.recv_from(&mut packet)?;
        socket.send_to(packet.get(..bytes).unwrap_or_default(), to)?;
    }
}

const IDLE_MAX: Duration = Duration::from_secs(60);
