//! Takes fields off bytes from the network or a file.

/// Why bytes are no packet, parcel or message. Whoever reads them counts the cause and drops them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A packet of another protocol version: one of the two programs must be updated.
    #[error("protocol version {0} is not spoken here")]
    Version(u8),
    /// No encoder writes these bytes: the sender is broken or hostile. Says which rule they break.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

/// Takes fields off the front of bytes; numbers are in network byte order.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the front of `bytes`.
    ///
    /// # Errors
    /// There are more than `bytes_max`.
    pub fn new(bytes: &'a [u8], bytes_max: usize) -> Result<Reader<'a>, DecodeError> {
        if bytes.len() > bytes_max {
            return Err(TOO_LONG);
        }
        Ok(Reader { rest: bytes })
    }

    /// Whether all bytes are taken.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// All bytes that are left.
    ///
    /// # Errors
    /// They are more than `bytes_max`.
    pub fn rest(&mut self, bytes_max: usize) -> Result<&'a [u8], DecodeError> {
        if self.rest.len() > bytes_max {
            return Err(TOO_LONG);
        }
        Ok(std::mem::take(&mut self.rest))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// One byte that is 0 or 1.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Malformed("a truth value is 0 or 1")),
        }
    }

    /// One byte of which only the bits of `known` may be set.
    // [WIRE-2]
    pub fn bits(&mut self, known: u8) -> Result<u8, DecodeError> {
        let byte = self.u8()?;
        if byte & !known == 0 {
            Ok(byte)
        } else {
            Err(RESERVED)
        }
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Two bytes, two's complement.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Three bytes.
    pub fn u24(&mut self) -> Result<u32, DecodeError> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Four bytes, two's complement.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Six bytes.
    pub fn u48(&mut self) -> Result<u64, DecodeError> {
        let [a, b, c, d, e, f] = self.array()?;
        Ok(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// An unsigned LEB128 number of at most 64 bits in its shortest form.
    // [WIRE-1]
    pub fn leb(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(TOO_LARGE);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(DecodeError::Malformed(
                        "a number is not in its shortest form",
                    ))
                } else {
                    Ok(value)
                };
            }
        }
        Err(TOO_LARGE)
    }

    /// As [`Reader::leb`], and at most `max`.
    pub fn leb_u32(&mut self, max: u32) -> Result<u32, DecodeError> {
        let value = u32::try_from(self.leb()?).map_err(|_| TOO_LARGE)?;
        if value <= max {
            Ok(value)
        } else {
            Err(TOO_LARGE)
        }
    }

    /// One byte that counts what follows, at most `max`.
    // [WIRE-4]
    pub fn count(&mut self, max: usize) -> Result<usize, DecodeError> {
        let count = usize::from(self.u8()?);
        if count <= max {
            Ok(count)
        } else {
            Err(TOO_MANY)
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Bytes are left.
    // [WIRE-3]
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(TRAILING)
        }
    }
}

/// Bytes are missing.
pub(super) const TOO_SHORT: DecodeError = DecodeError::Malformed("too short");
/// More bytes than a limit allows.
pub(super) const TOO_LONG: DecodeError = DecodeError::Malformed("too long");
/// A number is larger than its field or a limit allows.
pub(super) const TOO_LARGE: DecodeError = DecodeError::Malformed("a number is too large");
/// More elements than a limit allows.
pub(super) const TOO_MANY: DecodeError = DecodeError::Malformed("too many elements");
/// Bits that mean nothing are set.
pub(super) const RESERVED: DecodeError = DecodeError::Malformed("reserved bits are set");
/// Bytes follow where nothing may follow.
pub(super) const TRAILING: DecodeError = DecodeError::Malformed("trailing bytes");
/// A number that names a variant names none.
pub(super) const UNKNOWN_KIND: DecodeError = DecodeError::Malformed("unknown kind");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::writer::Writer;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, usize::MAX).unwrap()
    }

    #[test]
    fn a_number_has_one_form_and_64_bits() {
        // [WIRE-1]
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x7f], 127),
            (&[0x80, 0x01], 128),
            (&[0xa0, 0xfe, 0x0a], 180_000),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                u64::MAX,
            ),
        ] {
            assert_eq!(reader(bytes).leb(), Ok(value));
            let mut writer = Writer::new();
            writer.leb(value);
            assert_eq!(writer.into_vec(), bytes);
        }
        for wrong in [
            &[0x80, 0x00][..],
            &[0xff, 0x80, 0x00],
            &[0x80],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[0x80; 11],
        ] {
            assert!(reader(wrong).leb().is_err(), "{wrong:x?}");
        }
        assert_eq!(reader(&[0x80, 0x01]).leb_u32(127), Err(TOO_LARGE));
    }

    #[test]
    fn unknown_bits_and_trailing_bytes_are_refused() {
        // [WIRE-2] [WIRE-3]
        assert_eq!(reader(&[0b101]).bits(0b101), Ok(0b101));
        assert_eq!(reader(&[0b100]).bits(0b011), Err(RESERVED));
        assert_eq!(reader(&[0]).finish(), Err(TRAILING));
        assert_eq!(reader(&[]).finish(), Ok(()));
    }

    #[test]
    fn counts_and_lengths_over_their_limit_are_refused() {
        // [WIRE-4]
        assert_eq!(reader(&[3]).count(2), Err(TOO_MANY));
        assert_eq!(reader(&[1, 2]).rest(1), Err(TOO_LONG));
        assert!(Reader::new(&[1, 2], 1).is_err());
        assert_eq!(reader(&[1, 2]).bytes(3), Err(TOO_SHORT));
    }
}
