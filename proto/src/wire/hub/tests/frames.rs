//! Frames: example bytes, and what is none.

use super::*;
use crate::base::Class;
use crate::base::limits::{FRAGMENT_BYTES_MAX, HUB_FRAGMENTS_MAX};
use crate::wire::{FragmentOf, Parcel, ParcelHead};

#[test]
fn every_kind_of_frame_has_its_bytes() {
    let frame = |class, line, number, place, bytes| Frame {
        class,
        line: Line(line),
        number,
        place,
        bytes,
    };
    let place = |index, count| Some(FragmentOf { index, count });
    let most = HUB_FRAGMENTS_MAX as u8;
    let vectors = [
        (
            "06 02 00000000 01 82070c",
            frame(Class::Reliable, 0, 1, None, &[0x82, 7, 12][..]),
        ),
        (
            "06 05 0000002a a0fe0a 0102 aabb",
            frame(Class::Unordered, 42, 180_000, place(1, 2), &[0xaa, 0xbb]),
        ),
        (
            "06 01 ffffffff ffffffffffffffffff01 00",
            frame(Class::Unordered, u32::MAX, u64::MAX, None, &[0]),
        ),
        (
            "06 06 00000000 02 4546 ff",
            frame(Class::Reliable, 0, 2, place(most - 1, most), &[0xff]),
        ),
    ];
    for (digits, frame) in vectors {
        let parcel = frame.encode_parcel();
        assert_eq!(parcel, hex(digits).into(), "{parcel:02x?}");
        let Ok(Parcel::Hub(inside)) = Parcel::decode(&parcel) else {
            panic!("{digits}");
        };
        assert_eq!(Parcel::Hub(inside.clone()).encode(), parcel, "{digits}");
        assert_eq!(Parcel::peek(&parcel), Ok(ParcelHead::Hub(frame.class)));
        assert_eq!(Frame::decode(&inside), Ok(frame), "{digits}");
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    for wrong in [
        // Nothing, and cut anywhere.
        "",
        "02",
        "02 000000",
        "02 00000000",
        "02 00000000 80",
        "02 00000000 01",
        "06 00000000 01 0002",
        "06 00000000 01 00",
        // Of the latest, a stop, and bits that mean nothing.
        "00 00000000 01 aa",
        "03 00000000 01 aa",
        "07 00000000 01 0002 aa",
        "0a 00000000 01 aa",
        "82 00000000 01 aa",
        // Number 0, a number written longer than it is, and one above 64 bits.
        "02 00000000 00 aa",
        "02 00000000 8100 aa",
        "02 00000000 ffffffffffffffffff02 aa",
        // Not cut, behind the last piece, and more pieces than a message has.
        "06 00000000 01 0001 aa",
        "06 00000000 01 0000 aa",
        "06 00000000 01 0202 aa",
        "06 00000000 01 0047 aa",
    ] {
        assert!(Frame::decode(&hex(wrong)).is_err(), "{wrong}");
        let parcel = [&[HUB], &hex(wrong)[..]].concat();
        assert!(Parcel::decode(&parcel).is_err(), "{wrong}");
    }
    assert!(Parcel::decode(&hex("16 02 00000000 01 aa")).is_err());
}

#[test]
fn a_frame_has_so_many_bytes_and_no_more() {
    let front = hex("02 00000000 01");
    let with = |count| [&front[..], &vec![0; count]].concat();
    assert!(Frame::decode(&with(FRAGMENT_BYTES_MAX)).is_ok());
    assert!(Frame::decode(&with(FRAGMENT_BYTES_MAX + 1)).is_err());
    assert!(Frame::decode(&with(100_000)).is_err());
}
