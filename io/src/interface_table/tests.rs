//! Messages as the kernel writes them.

use super::*;

fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(body);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(
        u16::try_from(ATTRIBUTE_BYTES + value.len())
            .unwrap()
            .to_ne_bytes(),
    );
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

/// `struct ifinfomsg` and the name.
fn link_message(kind: u16, index: u32, flags: u32, name: &str) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend([0; 4]);
    body.extend(attribute(IFLA_IFNAME, format!("{name}\0").as_bytes()));
    message(kind, &body)
}

/// `struct ifaddrmsg` and the address.
fn address_message(kind: u16, index: u32, flags: u32, address: &str) -> Vec<u8> {
    let address: IpAddr = address.parse().unwrap();
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(attribute(IFA_ADDRESS, &bytes));
    body.extend(attribute(IFA_FLAGS, &flags.to_ne_bytes()));
    message(kind, &body)
}

const ON: u32 = IFF_UP | IFF_RUNNING;

fn fault(table: &InterfaceTable, name: &str) -> Option<&'static str> {
    table
        .named(name)
        .map_or(Some("not there"), Interface::fault)
}

#[test]
fn an_interface_is_of_use_once_it_is_up_and_has_a_carrier_and_an_address() {
    let mut table = InterfaceTable::default();
    assert_eq!(fault(&table, "wwan0"), Some("not there"));
    for (message, expected) in [
        (link_message(RTM_NEWLINK, 3, 0, "wwan0"), Some("it is down")),
        (
            link_message(RTM_NEWLINK, 3, IFF_UP, "wwan0"),
            Some("it has no carrier"),
        ),
        (
            link_message(RTM_NEWLINK, 3, ON, "wwan0"),
            Some("it has no address"),
        ),
        (address_message(RTM_NEWADDR, 3, 0, "10.64.0.2"), None),
        (
            address_message(RTM_DELADDR, 3, 0, "10.64.0.2"),
            Some("it has no address"),
        ),
        (address_message(RTM_NEWADDR, 3, 0, "2001:db8::2"), None),
        (link_message(RTM_DELLINK, 3, 0, "wwan0"), Some("not there")),
    ] {
        assert!(table.handle(&message).interfaces, "{expected:?}");
        assert_eq!(fault(&table, "wwan0"), expected);
        // What is known already is no news.
        assert!(!table.handle(&message).interfaces, "{expected:?}");
    }
}

#[test]
fn addresses_for_neighbours_and_those_that_may_be_anothers_do_not_count() {
    let mut table = InterfaceTable::default();
    table.handle(&link_message(RTM_NEWLINK, 3, ON, "wwan0"));
    for (address, flags) in [
        ("fe80::1", 0),
        ("169.254.7.7", 0),
        ("2001:db8::2", 0x40),
        ("2001:db8::3", 0x08),
    ] {
        let message = address_message(RTM_NEWADDR, 3, flags, address);
        assert!(!table.handle(&message).interfaces, "{address}");
    }
    assert_eq!(fault(&table, "wwan0"), Some("it has no address"));
    // The kernel says it again when it is sure.
    table.handle(&address_message(RTM_NEWADDR, 3, 0, "2001:db8::2"));
    assert_eq!(fault(&table, "wwan0"), None);
}

#[test]
fn of_a_link_between_two_points_the_near_address_counts() {
    let mut table = InterfaceTable::default();
    table.handle(&link_message(RTM_NEWLINK, 3, ON, "ppp0"));
    let mut body = vec![0; 4];
    body.extend(3_u32.to_ne_bytes());
    body.extend(attribute(IFA_ADDRESS, &[10, 64, 64, 64]));
    body.extend(attribute(IFA_LOCAL, &[10, 0, 0, 9]));
    table.handle(&message(RTM_NEWADDR, &body));
    let addresses = &table.named("ppp0").unwrap().addresses;
    assert_eq!(addresses, &BTreeSet::from(["10.0.0.9".parse().unwrap()]));
}

#[test]
fn one_that_is_renamed_or_made_anew_is_known_by_its_number() {
    let mut table = InterfaceTable::default();
    table.handle(&link_message(RTM_NEWLINK, 3, ON, "usb0"));
    table.handle(&link_message(RTM_NEWLINK, 3, ON, "wwan0"));
    assert_eq!(fault(&table, "usb0"), Some("not there"));
    let both = [
        link_message(RTM_DELLINK, 3, 0, "wwan0"),
        link_message(RTM_NEWLINK, 4, ON, "wwan0"),
    ];
    table.handle(&both.concat());
    assert_eq!(table.named("wwan0").unwrap().index, 4);
}

#[test]
fn what_is_cut_off_or_not_about_interfaces_changes_nothing() {
    let mut table = InterfaceTable::default();
    let whole = link_message(RTM_NEWLINK, 3, ON, "wwan0");
    for length in 0..whole.len() {
        assert_eq!(table.handle(&whole[..length]), News::default());
    }
    let mut of_a_bridge = whole.clone();
    of_a_bridge[HEADER_BYTES] = 7;
    assert_eq!(table.handle(&of_a_bridge), News::default());
    let mut long = whole.clone();
    long[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(table.handle(&long), News::default());
    assert_eq!(table.iter().count(), 0);
    assert!(table.handle(&message(24, &[0; 12])).other, "a route");
    assert!(table.handle(&message(NLMSG_DONE, &[0; 4])).answered);
}

#[test]
fn interfaces_and_addresses_are_bounded() {
    let mut table = InterfaceTable::default();
    for index in 1..=u32::try_from(INTERFACES_MAX).unwrap() + 1 {
        table.handle(&link_message(
            RTM_NEWLINK,
            index,
            ON,
            &format!("veth{index}"),
        ));
    }
    assert_eq!(table.iter().count(), INTERFACES_MAX);
    for host in 0..=ADDRESSES_MAX {
        table.handle(&address_message(
            RTM_NEWADDR,
            1,
            0,
            &format!("10.0.0.{host}"),
        ));
    }
    assert_eq!(table.named("veth1").unwrap().addresses.len(), ADDRESSES_MAX);
}
