//! The machine's network interfaces, as the kernel's messages tell of them (rtnetlink); no sockets.
//!
//! Written here and not taken from a crate: four messages of fixed form and five attributes are all that is looked at, and the crates
//! that decode rtnetlink bring some 20,000 lines with them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every interface that a link could use, by the kernel's number.
#[derive(Clone, Debug, Default)]
pub(crate) struct InterfaceTable {
    interfaces: BTreeMap<u32, Interface>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// The kernel's number: one that is deleted and made anew has another.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// `IFF_*`.
    flags: u32,
    /// Those that packets can leave from; those of one network segment only, as every interface has them, do not count.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

/// What a message was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// An interface or an address of one has changed.
    pub(crate) interfaces: bool,
    /// Something else has, such as a route.
    pub(crate) other: bool,
    /// The answer to a question for all that there is was complete.
    pub(crate) answered: bool,
    /// It was not: something changed meanwhile.
    pub(crate) interrupted: bool,
}

impl Interface {
    /// Why no packet can leave by it; none when one can.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.flags & IFF_UP == 0 {
            Some("it is down")
        } else if self.flags & IFF_RUNNING == 0 {
            Some("it has no carrier")
        } else if self.addresses.is_empty() {
            Some("it has no address")
        } else {
            None
        }
    }

    /// Whether it leads to this machine itself.
    pub(crate) fn is_loopback(&self) -> bool {
        self.flags & IFF_LOOPBACK != 0
    }
}

impl InterfaceTable {
    /// The interface of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Interface> {
        self.interfaces
            .values()
            .find(|interface| interface.name == name)
    }

    /// All of them, in the order in which the kernel has made them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// Takes the messages of one datagram of the kernel.
    pub(crate) fn handle(&mut self, mut datagram: &[u8]) -> News {
        let mut news = News::default();
        while let Some(length) = u32_at(datagram, 0).and_then(|length| usize::try_from(length).ok())
            && let (Some(kind), Some(flags)) = (u16_at(datagram, 4), u16_at(datagram, 6))
            && let Some(body) = datagram.get(HEADER_BYTES..length)
        {
            news.interrupted |= flags & NLM_F_DUMP_INTR != 0;
            match kind {
                RTM_NEWLINK => news.interfaces |= self.on_link(body).is_some(),
                RTM_DELLINK => news.interfaces |= self.on_link_gone(body).is_some(),
                RTM_NEWADDR => news.interfaces |= self.on_address(body, true).is_some(),
                RTM_DELADDR => news.interfaces |= self.on_address(body, false).is_some(),
                NLMSG_DONE | NLMSG_ERROR => news.answered = true,
                _ => news.other = true,
            }
            datagram = datagram.get(padded(length)..).unwrap_or_default();
        }
        news
    }

    /// Some when something has changed.
    fn on_link(&mut self, body: &[u8]) -> Option<()> {
        let (index, flags) = link(body)?;
        let name = attributes(body.get(LINK_BYTES..)?)
            .find(|(kind, _)| *kind == IFLA_IFNAME)
            .and_then(|(_, value)| text(value));
        let is_full = self.interfaces.len() >= INTERFACES_MAX;
        match self.interfaces.get_mut(&index) {
            Some(known) => {
                let name = name.unwrap_or(&known.name);
                if (known.flags & IFF_MASK, known.name.as_str()) == (flags & IFF_MASK, name) {
                    return None;
                }
                known.name = name.to_string();
                known.flags = flags;
            }
            None if is_full => return None,
            None => {
                let interface = Interface {
                    index,
                    name: name?.to_string(),
                    flags,
                    addresses: BTreeSet::new(),
                };
                self.interfaces.insert(index, interface);
            }
        }
        Some(())
    }

    fn on_link_gone(&mut self, body: &[u8]) -> Option<()> {
        let (index, _) = link(body)?;
        self.interfaces.remove(&index).map(drop)
    }

    fn on_address(&mut self, body: &[u8], is_there: bool) -> Option<()> {
        let index = u32_at(body, 4)?;
        let (mut flags, mut local, mut address) = (u32::from(*body.get(2)?), None, None);
        for (kind, value) in attributes(body.get(ADDRESS_BYTES..)?) {
            match kind {
                IFA_ADDRESS => address = ip(value),
                // Of a link between two points, IFA_ADDRESS is the far one.
                IFA_LOCAL => local = ip(value),
                IFA_FLAGS => flags = u32_at(value, 0)?,
                _ => {}
            }
        }
        let address = local.or(address)?;
        if is_of_one_segment(address) {
            return None;
        }
        let addresses = &mut self.interfaces.get_mut(&index)?.addresses;
        let changed = if is_there && flags & IFA_F_UNUSABLE == 0 {
            addresses.len() < ADDRESSES_MAX && addresses.insert(address)
        } else {
            addresses.remove(&address)
        };
        changed.then_some(())
    }
}

/// Whether it is of use for neighbours only.
fn is_of_one_segment(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified(),
    }
}

/// Index and flags of `struct ifinfomsg`. Bridges tell of their ports in messages of their own, which are not about interfaces.
fn link(body: &[u8]) -> Option<(u32, u32)> {
    (*body.first()? == AF_UNSPEC).then_some(())?;
    Some((u32_at(body, 4)?, u32_at(body, 8)?))
}

/// Kinds and values of `struct rtattr`.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(ATTRIBUTE_BYTES..length)?;
        bytes = bytes.get(padded(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    let bytes = <[u8; 16]>::try_from(value).ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

fn text(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(value.get(..end)?).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// Messages and attributes begin at multiples of four bytes.
fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Asks for all interfaces, and for all addresses (`struct nlmsghdr` and an empty message of the longer form).
pub(crate) fn question(about: Question) -> [u8; HEADER_BYTES + LINK_BYTES] {
    let mut bytes = [0; HEADER_BYTES + LINK_BYTES];
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    let kind = match about {
        Question::Interfaces => RTM_GETLINK,
        Question::Addresses => RTM_GETADDR,
    };
    let header = length
        .to_ne_bytes()
        .into_iter()
        .chain(kind.to_ne_bytes())
        .chain((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    for (byte, value) in bytes.iter_mut().zip(header) {
        *byte = value;
    }
    bytes
}

/// What the kernel can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// All interfaces.
    Interfaces,
    /// All addresses.
    Addresses,
}

/// Interfaces that are known: a server that runs hundreds of containers has fewer. Others are as if not there.
const INTERFACES_MAX: usize = 1_024;
/// Addresses of one interface that are known: IPv6 gives it some, and keeps old ones for a day.
const ADDRESSES_MAX: usize = 32;

// `linux/netlink.h`, `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`, `linux/if.h`; rtnetlink(7).
const HEADER_BYTES: usize = 16;
const LINK_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
const ATTRIBUTE_BYTES: usize = 4;
const AF_UNSPEC: u8 = 0;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const NLA_TYPE_MASK: u16 = 0x3fff;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// Not known to be its own yet, or another machine's (IFA_F_TENTATIVE, IFA_F_DADFAILED).
const IFA_F_UNUSABLE: u32 = 0x40 | 0x08;
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
/// The flags that are looked at.
const IFF_MASK: u32 = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;

#[cfg(test)]
impl Interface {
    /// One by which packets leave from these addresses.
    pub(crate) fn usable(index: u32, name: &str, addresses: &[&str]) -> Interface {
        Interface {
            index,
            name: name.to_string(),
            flags: IFF_UP | IFF_RUNNING | if name == "lo" { IFF_LOOPBACK } else { 0 },
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }
}

#[cfg(test)]
impl InterfaceTable {
    /// One of these.
    pub(crate) fn of(interfaces: impl IntoIterator<Item = Interface>) -> InterfaceTable {
        let interfaces = interfaces.into_iter();
        InterfaceTable {
            interfaces: interfaces.map(|one| (one.index, one)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
