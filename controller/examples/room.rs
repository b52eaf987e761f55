//! Says something in a room and reads what is said there, each message once, also over restarts:
//!
//! ```sh
//! cargo run -p longrein --example room -- harbour/controller-alice yard talk.cursor east=192.0.2.1:4433
//! ```
//!
//! A line on standard input is published on the topic `talk`. What was read is kept in the cursor file.

use std::env::args;
use std::io::{self, BufRead};
use std::time::Duration;
use std::{fs, thread};

use longrein::hub::{CursorText, JoinOptions, RoomEvent, RoomRole, Start};
use longrein::{Class, Connection, Name, Settings};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = args().skip(1);
    let usage = "usage: room IDENTITY ROOM CURSOR_FILE RELAY=HOST:PORT ...";
    let mut settings = Settings::new(arguments.next().ok_or(usage)?);
    let room: Name = arguments.next().ok_or(usage)?.parse()?;
    let cursor_file = arguments.next().ok_or(usage)?;
    for relay in arguments {
        let (name, address) = relay.split_once('=').ok_or(usage)?;
        settings = settings.relay(name.parse()?, address);
    }
    let talk: Name = "talk".parse()?;

    // Where the last run stopped; the first one begins with all that the room keeps.
    let from = match fs::read_to_string(&cursor_file) {
        Ok(text) => Start::After(text.trim().parse::<CursorText>()?.0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Start::Oldest,
        Err(error) => return Err(error.into()),
    };

    let connection = Connection::connect(settings).await?;
    let join = JoinOptions::new(room, RoomRole::Driver)
        .topic(talk.clone(), from)
        .create(JoinOptions::SETTINGS)
        .members();
    let mut room = connection.hub().join(join).await?;
    eprintln!("joined {}", room.name());

    let mut lines = typed_lines();
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { break };
                let day = Duration::from_secs(86_400);
                let published = room.publish(&talk, Class::Reliable, day, line.into_bytes()).await?;
                if let Some(cursor) = published.cursor {
                    eprintln!("stored as {}", CursorText(cursor));
                }
            }
            event = room.next() => match event {
                Some(RoomEvent::Message(message)) => {
                    // What a message does and the cursor are best stored together, in one transaction: then it is done once, whatever
                    // happens. Here it is printed, and the file is replaced as a whole.
                    println!("{}: {}", message.from, String::from_utf8_lossy(&message.payload.0));
                    if let Some(cursor) = message.cursor {
                        let newer = format!("{cursor_file}.new");
                        fs::write(&newer, CursorText(cursor).to_string())?;
                        fs::rename(&newer, &cursor_file)?;
                    }
                }
                Some(RoomEvent::Members(changes)) => eprintln!("{:?}", changes.changes),
                Some(RoomEvent::Resumed { is_broken, .. }) => {
                    eprintln!("the hub is back; messages may be missing: {is_broken}");
                }
                Some(end) => return Err(format!("the room is lost: {end:?}").into()),
                None => return Err("the connection has ended".into()),
            },
        }
    }

    room.leave().await?;
    connection.close().await;
    Ok(())
}

/// Lines of standard input, read by a thread of their own.
fn typed_lines() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(16);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if typed.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
