//! The way of one node to the relay, which loses packets.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use longrein_tests::Chance;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A forwarder between one node and the relay. It ends when this is dropped.
pub struct Access {
    /// What the node takes for the relay.
    pub address: SocketAddr,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Access {
    /// Forwards with a delay, and loses this share of the packets in both directions.
    pub async fn start(relay: SocketAddr, loss: f64, chance: Chance) -> anyhow::Result<Access> {
        let inside = UdpSocket::bind("127.0.0.1:0").await?;
        let outside = UdpSocket::bind("127.0.0.1:0").await?;
        outside.connect(relay).await?;
        let address = inside.local_addr()?;
        let task =
            tokio::task::spawn_local(forward(Rc::new(inside), Rc::new(outside), loss, chance));
        Ok(Access { address, task })
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    inside: Rc<UdpSocket>,
    outside: Rc<UdpSocket>,
    loss: f64,
    mut chance: Chance,
) -> anyhow::Result<()> {
    let (mut up, mut down) = ([0; PACKET_BYTES], [0; PACKET_BYTES]);
    let mut node = None;
    loop {
        tokio::select! {
            came = inside.recv_from(&mut up) => {
                let (bytes, from) = came?;
                node = Some(from);
                if !chance.happens(loss) {
                    let (outside, packet) = (Rc::clone(&outside), up.get(..bytes).unwrap_or_default().to_vec());
                    tokio::task::spawn_local(async move {
                        sleep(DELAY).await;
                        // A full buffer is one more loss.
                        drop(outside.send(&packet).await);
                    });
                }
            }
            came = outside.recv(&mut down) => {
                let bytes = came?;
                if let Some(node) = node && !chance.happens(loss) {
                    let (inside, packet) = (Rc::clone(&inside), down.get(..bytes).unwrap_or_default().to_vec());
                    tokio::task::spawn_local(async move {
                        sleep(DELAY).await;
                        drop(inside.send_to(&packet, node).await);
                    });
                }
            }
        }
    }
}

const PACKET_BYTES: usize = 2_048;
/// One way.
pub const DELAY: Duration = Duration::from_millis(10);
