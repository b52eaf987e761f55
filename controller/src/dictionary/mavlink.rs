//! Streams of MAVLink frames, as ground stations record them.

/// The frames in a stream of MAVLink 1 and 2: raw, or a `.tlog`, which has eight bytes of time before each frame. What
/// stands between frames is left out.
pub fn frames(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((_, rest)) = stream.split_first() {
        let whole = frame_bytes(stream).and_then(|bytes| stream.split_at_checked(bytes));
        match whole {
            // Checksums need the definition of each message: that another frame follows is proof enough.
            Some((frame, after)) if is_between_frames(after) => {
                frames.push(frame);
                stream = after;
            }
            Some(_) | None => stream = rest,
        }
    }
    frames
}

/// Length of the frame that begins here, if one does.
fn frame_bytes(stream: &[u8]) -> Option<usize> {
    let (&magic, rest) = stream.split_first()?;
    let (&payload, rest) = rest.split_first()?;
    let payload = usize::from(payload);
    match magic {
        MAGIC_1 => Some(payload + 8),
        MAGIC_2 => {
            let signed = rest.first()? & SIGNED != 0;
            Some(payload + 12 + if signed { 13 } else { 0 })
        }
        _ => None,
    }
}

/// Whether the stream ends here, or another frame begins at once or after a time.
fn is_between_frames(stream: &[u8]) -> bool {
    let begins = |stream: &[u8]| matches!(stream.first(), Some(&(MAGIC_1 | MAGIC_2)));
    stream.is_empty() || begins(stream) || stream.get(TIME_BYTES..).is_some_and(begins)
}

const MAGIC_1: u8 = 0xfe;
const MAGIC_2: u8 = 0xfd;
/// Bit of the incompatibility flags of MAVLink 2: a signature of 13 bytes follows.
const SIGNED: u8 = 0x01;
/// What a `.tlog` has before each frame.
const TIME_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(magic: u8, flags: u8, payload: u8) -> Vec<u8> {
        let mut frame = vec![7; frame_bytes(&[magic, payload, flags]).unwrap()];
        frame[..3].copy_from_slice(&[magic, payload, flags]);
        frame
    }

    fn example() -> [Vec<u8>; 4] {
        [
            frame(MAGIC_2, 0, 9),
            frame(MAGIC_1, 0, 28),
            frame(MAGIC_2, SIGNED, 31),
            frame(MAGIC_2, 0, 0),
        ]
    }

    #[test]
    fn raw_and_recorded_streams_are_cut_at_their_frames() {
        let example = example();
        assert_eq!(
            example.iter().map(Vec::len).collect::<Vec<_>>(),
            [21, 36, 56, 12]
        );
        assert_eq!(frames(&example.concat()), example);
        let time = |frame: &Vec<u8>| [&[0, 6, 0x2b, 0xfd, 1, 2, 3, 4][..], frame].concat();
        let recorded: Vec<u8> = example.iter().flat_map(time).collect();
        assert_eq!(frames(&recorded), example);
    }

    #[test]
    fn what_is_no_frame_is_left_out() {
        let example = example();
        let mut noisy = b"noise".to_vec();
        noisy.extend(example.concat());
        noisy.extend(&example[2][..20]);
        // The last whole frame is followed by a torn one, which begins as a frame does.
        assert_eq!(frames(&noisy), example);
        assert_eq!(frames(b"{\"no\":\"frames\"}"), Vec::<&[u8]>::new());
        assert_eq!(frames(&[MAGIC_2]), Vec::<&[u8]>::new());
    }
}
