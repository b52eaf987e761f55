//! What ModemManager says of modems, over D-Bus.

use std::io;
use std::thread::Builder;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use zbus::fdo::ObjectManagerProxy;
use zbus::zvariant::{Array, OwnedValue, Structure, Value};
use zbus::{Connection, connection};

use crate::modems::ModemSignal;

/// Asks ModemManager every half minute until nobody wants to know, on a thread of its own: the bus may do what it likes.
///
/// # Errors
/// When the system gives no thread.
pub fn watch() -> io::Result<Receiver<Vec<ModemSignal>>> {
    let (tell, told) = channel(Vec::new());
    Builder::new().name("modems".to_string()).spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(keep_asking(&tell)),
            Err(error) => tracing::warn!(%error, "the signal of modems is unknown"),
        }
    })?;
    Ok(told)
}

async fn keep_asking(tell: &Sender<Vec<ModemSignal>>) {
    let mut complaint = String::new();
    while !tell.is_closed() {
        let asked = timeout(ANSWER_MAX, ask(None)).await;
        let why = match asked {
            Ok(Ok(signals)) => {
                tell.send_replace(signals);
                String::new()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "ModemManager does not answer".to_string(),
        };
        if !why.is_empty() {
            tell.send_replace(Vec::new());
        }
        // A machine without ModemManager is no fault.
        if !why.is_empty() && why != complaint {
            tracing::info!(%why, "the signal of modems is unknown");
        }
        complaint = why;
        sleep(EVERY).await;
    }
}

/// The signals of all modems with a network interface, from the ModemManager on this bus; on the system's without an address.
///
/// # Errors
/// What is wrong with the bus, or that no ModemManager is there.
pub async fn ask(bus: Option<&str>) -> zbus::Result<Vec<ModemSignal>> {
    let connection = match bus {
        Some(address) => connection::Builder::address(address)?.build().await?,
        None => Connection::system().await?,
    };
    let manager = ObjectManagerProxy::builder(&connection)
        .destination(SERVICE)?
        .path(ROOT)?
        .build()
        .await?;
    let mut signals = Vec::new();
    for interfaces in manager.get_managed_objects().await?.into_values() {
        let modem = interfaces.iter().find(|(name, _)| name.as_str() == MODEM);
        let Some((_, properties)) = modem else {
            continue;
        };
        let interface = properties.get("Ports").and_then(network_port);
        let quality = properties.get("SignalQuality").and_then(quality);
        if let (Some(interface), Some((percent, is_recent))) = (interface, quality)
            && signals.len() < MODEMS_MAX
        {
            signals.push(ModemSignal {
                interface,
                percent,
                is_recent,
            });
        }
    }
    signals.sort_by(|one, other| one.interface.cmp(&other.interface));
    Ok(signals)
}

/// `a(su)`: names of ports and their kinds.
fn network_port(ports: &OwnedValue) -> Option<String> {
    let ports = ports.downcast_ref::<&Array<'_>>().ok()?;
    ports.iter().find_map(|port| {
        let Value::Structure(port) = port else {
            return None;
        };
        match port.fields() {
            [Value::Str(name), Value::U32(NETWORK)] => Some(name.to_string()),
            _ => None,
        }
    })
}

/// `(ub)`: per cent, and whether it is recent.
fn quality(quality: &OwnedValue) -> Option<(u8, bool)> {
    let quality = quality.downcast_ref::<&Structure<'_>>().ok()?;
    match quality.fields() {
        [Value::U32(percent), Value::Bool(is_recent)] => {
            let percent = u8::try_from(*percent).unwrap_or(u8::MAX);
            Some((percent.min(100), *is_recent))
        }
        _ => None,
    }
}

const SERVICE: &str = "org.freedesktop.ModemManager1";
const ROOT: &str = "/org/freedesktop/ModemManager1";
const MODEM: &str = "org.freedesktop.ModemManager1.Modem";
/// `MM_MODEM_PORT_TYPE_NET` of ModemManager's enumerations.
const NETWORK: u32 = 2;
/// ModemManager itself asks modems about as often.
const EVERY: Duration = Duration::from_secs(30);
/// A bus answers within milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Twice as many as a vehicle has links.
const MODEMS_MAX: usize = 16;
