//! A relay reaches the authority as every node does, through a relay: itself.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use longrein_io::dial::Route;
use longrein_io::listen::{ListenSettings, Listener};
use longrein_io::socket::Bind;
use longrein_proto::base::Name;
use longrein_proto::base::limits::LINK_BUDGET_BITS_PER_S;

use crate::config::Config;

/// The ways from this machine to the relay's own listeners.
pub(crate) fn own_routes(
    relay: &Name,
    config: &Config,
    listeners: &[(String, Listener)],
) -> Vec<Route> {
    let route = |(settings, listener): (ListenSettings, &Listener)| Route {
        link: settings.name,
        bind: settings.interface.map_or(Bind::Any, Bind::Interface),
        relay: relay.clone(),
        address: reachable(listener.address()).to_string(),
        budget_kbit_s: u32::try_from(LINK_BUDGET_BITS_PER_S / 1_000).unwrap_or(u32::MAX),
    };
    let listeners = listeners.iter().map(|(_, listener)| listener);
    config.listeners().zip(listeners).map(route).collect()
}

/// Who listens at every address of the machine is reached at that of the machine itself.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_listens_everywhere_reaches_itself() {
        for (listens, reached) in [
            ("0.0.0.0:4433", "127.0.0.1:4433"),
            ("[::]:4433", "[::1]:4433"),
            ("192.0.2.1:7", "192.0.2.1:7"),
        ] {
            let address = reachable(listens.parse().unwrap());
            assert_eq!(address.to_string(), reached);
        }
    }
}
