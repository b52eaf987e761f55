//! Words between a node and its relay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::{FUNCTIONS_MAX, NAMES_PER_NOTICE_MAX};
use crate::base::{Name, NodeKind, NodeName, SessionId};

/// A word between a node and its relay.
///
/// ```text
/// offset  bytes  (after the parcel's kind, 0x04)
///      0  1      type
///                1 route:         4 session, 1 kind and 2+ name of the other end
///                2 routed:        4 session, 1 present (0 or 1)
///                3 unroute:       4 session
///                4 route refused: 4 session, 1 why (1 session taken, 2 too many, 3 not allowed)
///                5 query:         4 ask, 1 kind
///                6 nodes:         4 ask, 1 more (0 or 1), 1 count, count x (1 kind and 2+ name)
///                7 draining
///                8 leased:        1 count, count x 4 session
///                9 members:       4 ask, 2+ group
///               10 seen:          2+ link (name), 1 family (4 or 6), 4 or 16 address
///
/// 04 01 5a17c0de 01 08 747275636b2d3137
/// 04 02 5a17c0de 01
/// 04 03 5a17c0de
/// 04 04 5a17c0de 02
/// 04 05 00000007 01
/// 04 06 00000007 00 01 01 08 747275636b2d3137
/// 04 07
/// 04 08 01 5a17c0de
/// 04 09 00000007 04 79617264
/// 04 0a 05 6d6f64656d 04 c0000207
/// 04 0a 05 6d6f64656d 06 20010db8000000000000000000000001
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Node to relay: envelopes of this session go to `to` from now on, and its answers come here.
    Route {
        /// The session.
        session: SessionId,
        /// The other end.
        to: NodeName,
    },
    /// Relay to node: the route stands; sent again when the other end comes or goes.
    Routed {
        /// The session.
        session: SessionId,
        /// Whether the other end is connected to this relay.
        present: bool,
    },
    /// Node to relay: the session has ended.
    Unroute {
        /// The session.
        session: SessionId,
    },
    /// Relay to node: the route is refused.
    RouteRefused {
        /// The session.
        session: SessionId,
        /// Why.
        why: RouteRefusal,
    },
    /// Node to relay: who of this kind is here?
    Query {
        /// Named by the answer.
        ask: u32,
        /// The kind asked for.
        kind: NodeKind,
    },
    /// Node to relay: which agents of this group are here?
    Members {
        /// Named by the answer.
        ask: u32,
        /// The group.
        group: Name,
    },
    /// Relay to node: part of the answer to a query.
    Nodes {
        /// The query's number.
        ask: u32,
        /// Whether further parts follow.
        more: bool,
        /// At most 16 names.
        names: Vec<NodeName>,
    },
    /// Relay to node: this relay ends soon; use the others.
    Draining,
    /// Agent to relay: of all its sessions, these hold a lease now.
    Leased {
        /// At most 62, one for each function.
        sessions: Vec<SessionId>,
    },
    /// Relay to node: the packets of the path over this link come from there.
    Seen {
        /// As the node's hello names it.
        link: Name,
        /// Never an IPv4 address in the form of an IPv6 one.
        address: IpAddr,
    },
}

impl Notice {
    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            Notice::Route { session, to } => {
                writer.u8(ROUTE);
                writer.session(*session);
                writer.node_name(to);
            }
            Notice::Routed { session, present } => {
                writer.u8(ROUTED);
                writer.session(*session);
                writer.bool(*present);
            }
            Notice::Unroute { session } => {
                writer.u8(UNROUTE);
                writer.session(*session);
            }
            Notice::RouteRefused { session, why } => {
                writer.u8(ROUTE_REFUSED);
                writer.session(*session);
                writer.u8(*why as u8);
            }
            Notice::Members { ask, group } => {
                writer.u8(MEMBERS);
                writer.u32(*ask);
                writer.name(group);
            }
            Notice::Query { ask, kind } => {
                writer.u8(QUERY);
                writer.u32(*ask);
                writer.u8(*kind as u8);
            }
            Notice::Nodes { ask, more, names } => {
                writer.u8(NODES);
                writer.u32(*ask);
                writer.bool(*more);
                writer.count(names.len());
                for name in names {
                    writer.node_name(name);
                }
            }
            Notice::Draining => writer.u8(DRAINING),
            Notice::Leased { sessions } => {
                writer.u8(LEASED);
                writer.count(sessions.len());
                for session in sessions {
                    writer.session(*session);
                }
            }
            Notice::Seen { link, address } => {
                writer.u8(SEEN);
                writer.name(link);
                match address.to_canonical() {
                    IpAddr::V4(address) => {
                        writer.u8(IPV4);
                        writer.bytes(&address.octets());
                    }
                    IpAddr::V6(address) => {
                        writer.u8(IPV6);
                        writer.bytes(&address.octets());
                    }
                }
            }
        }
    }

    // [WIRE-17]
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Notice, DecodeError> {
        Ok(match reader.u8()? {
            ROUTE => Notice::Route {
                session: reader.session()?,
                to: reader.node_name()?,
            },
            ROUTED => Notice::Routed {
                session: reader.session()?,
                present: reader.bool()?,
            },
            UNROUTE => Notice::Unroute {
                session: reader.session()?,
            },
            ROUTE_REFUSED => Notice::RouteRefused {
                session: reader.session()?,
                why: RouteRefusal::decode(reader)?,
            },
            MEMBERS => Notice::Members {
                ask: reader.u32()?,
                group: reader.name()?,
            },
            QUERY => Notice::Query {
                ask: reader.u32()?,
                kind: reader.node_kind()?,
            },
            NODES => Notice::Nodes {
                ask: reader.u32()?,
                more: reader.bool()?,
                names: {
                    let count = reader.count(NAMES_PER_NOTICE_MAX)?;
                    (0..count)
                        .map(|_| reader.node_name())
                        .collect::<Result<_, _>>()?
                },
            },
            DRAINING => Notice::Draining,
            LEASED => Notice::Leased {
                sessions: {
                    let count = reader.count(FUNCTIONS_MAX)?;
                    (0..count)
                        .map(|_| reader.session())
                        .collect::<Result<_, _>>()?
                },
            },
            SEEN => Notice::Seen {
                link: reader.name()?,
                address: decode_address(reader)?,
            },
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

// [WIRE-170]
fn decode_address(reader: &mut Reader<'_>) -> Result<IpAddr, DecodeError> {
    let address = match reader.u8()? {
        IPV4 => IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)),
        IPV6 => IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)),
        _ => return Err(UNKNOWN_KIND),
    };
    if address.to_canonical() == address {
        Ok(address)
    } else {
        Err(UNKNOWN_KIND)
    }
}

/// Why a relay refuses a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteRefusal {
    /// The session's number is in use by another node: choose another.
    SessionTaken = 1,
    /// The node has as many routes as one node may have.
    TooMany = 2,
    /// Only controllers and services may open sessions, and only with agents.
    NotAllowed = 3,
}

impl RouteRefusal {
    fn decode(reader: &mut Reader<'_>) -> Result<RouteRefusal, DecodeError> {
        match reader.u8()? {
            1 => Ok(RouteRefusal::SessionTaken),
            2 => Ok(RouteRefusal::TooMany),
            3 => Ok(RouteRefusal::NotAllowed),
            _ => Err(UNKNOWN_KIND),
        }
    }
}

const ROUTE: u8 = 1;
const ROUTED: u8 = 2;
const UNROUTE: u8 = 3;
const ROUTE_REFUSED: u8 = 4;
const QUERY: u8 = 5;
const NODES: u8 = 6;
const DRAINING: u8 = 7;
const LEASED: u8 = 8;
const MEMBERS: u8 = 9;
const SEEN: u8 = 10;
const IPV4: u8 = 4;
const IPV6: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Parcel;
    use crate::wire::vector::{assert_vector, hex};

    #[test]
    fn notices_look_like_their_pictures() {
        // [WIRE-17]
        let session = SessionId(0x5a17_c0de);
        let to: NodeName = "agent/truck-17".parse().unwrap();
        let vectors = [
            (
                "04 01 5a17c0de 01 08 747275636b2d3137",
                Notice::Route {
                    session,
                    to: to.clone(),
                },
            ),
            (
                "04 02 5a17c0de 01",
                Notice::Routed {
                    session,
                    present: true,
                },
            ),
            ("04 03 5a17c0de", Notice::Unroute { session }),
            (
                "04 04 5a17c0de 02",
                Notice::RouteRefused {
                    session,
                    why: RouteRefusal::TooMany,
                },
            ),
            (
                "04 09 00000007 04 79617264",
                Notice::Members {
                    ask: 7,
                    group: "yard".parse().unwrap(),
                },
            ),
            (
                "04 05 00000007 01",
                Notice::Query {
                    ask: 7,
                    kind: NodeKind::Agent,
                },
            ),
            (
                "04 06 00000007 00 01 01 08 747275636b2d3137",
                Notice::Nodes {
                    ask: 7,
                    more: false,
                    names: vec![to],
                },
            ),
            ("04 07", Notice::Draining),
            (
                "04 08 01 5a17c0de",
                Notice::Leased {
                    sessions: vec![session],
                },
            ),
            (
                "04 0a 05 6d6f64656d 04 c0000207",
                Notice::Seen {
                    link: "modem".parse().unwrap(),
                    address: "192.0.2.7".parse().unwrap(),
                },
            ),
            (
                "04 0a 05 6d6f64656d 06 20010db8000000000000000000000001",
                Notice::Seen {
                    link: "modem".parse().unwrap(),
                    address: "2001:db8::1".parse().unwrap(),
                },
            ),
        ];
        for (picture, notice) in vectors {
            let parcel = Parcel::Notice(notice);
            assert_vector(picture, &parcel, |p| p.encode().to_vec(), Parcel::decode);
        }
    }

    #[test]
    fn wrong_notices_are_refused() {
        // [WIRE-17] [WIRE-3] [WIRE-170]
        for wrong in [
            "04",
            "04 00",
            "04 08",
            "04 08 01",
            "04 09",
            "04 07 00",
            "04 02 5a17c0de 02",
            "04 04 5a17c0de 00",
            "04 04 5a17c0de 04",
            "04 05 00000007 07",
            "04 0a 05 6d6f64656d",
            "04 0a 05 6d6f64656d 05 c0000207",
            "04 0a 05 6d6f64656d 04 c00002",
            "04 0a 05 6d6f64656d 04 c000020700",
            "04 0a 05 6d6f64656d 06 00000000000000000000ffffc0000207",
        ] {
            assert!(Parcel::decode(&hex(wrong)).is_err(), "{wrong}");
        }
        let many = [hex("04 08 3f"), hex("5a17c0de").repeat(63)].concat();
        assert!(Parcel::decode(&many).is_err());
        let many = [hex("04 06 00000007 00 11"), hex("01 01 61").repeat(17)].concat();
        assert!(Parcel::decode(&many).is_err());
    }

    #[test]
    fn the_longest_names_of_a_full_answer_fit_a_parcel() {
        // [WIRE-17]
        let name = NodeName::new(NodeKind::Agent, "a".repeat(48).parse().unwrap());
        let nodes = Parcel::Notice(Notice::Nodes {
            ask: u32::MAX,
            more: true,
            names: vec![name; NAMES_PER_NOTICE_MAX],
        });
        assert_eq!(Parcel::decode(&nodes.encode()), Ok(nodes));
    }
}
