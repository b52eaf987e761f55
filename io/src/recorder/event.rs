//! What is recorded.

use longrein_proto::base::NodeName;
use longrein_proto::role::ClockDifference;
use longrein_proto::wire::{DecodeError, News, Reader, Writer};
use serde::Serialize;

use super::field::{Commanded, Field, Fingerprint, Hex, Told};

/// One kind of entry: its number, its name, and its fields with their types in JSON schema.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// On disk.
    pub number: u8,
    /// In JSON.
    pub name: &'static str,
    /// Names and schemas.
    pub fields: &'static [(&'static str, &'static str)],
}

/// From one list: the enum, its bytes and its schema.
macro_rules! events {
    ($($(#[$doc:meta])* $number:literal $name:literal $variant:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {
        /// What is recorded. Its JSON has the kind's name as `kind`, and the fields.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(tag = "kind")]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $name)] $variant { $($(#[$field_doc])* $field: $type,)* },)*
            /// Of a kind that this version does not know.
            #[serde(rename = "unknown")]
            Unknown {
                /// Its number.
                number: u64,
                /// What is in it.
                fields: Hex,
            },
        }

        impl Event {
            /// All kinds that this version knows.
            pub const KINDS: &[Kind] = &[$(Kind {
                number: $number,
                name: $name,
                fields: &[$((stringify!($field), <$type as Field>::SCHEMA),)*],
            },)*];

            /// The kind's number.
            pub(super) fn number(&self) -> u8 {
                match self {
                    $(Event::$variant { .. } => $number,)*
                    Event::Unknown { number, .. } => u8::try_from(*number).unwrap_or(u8::MAX),
                }
            }

            /// The kind's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Event::$variant { .. } => $name,)*
                    Event::Unknown { .. } => "unknown",
                }
            }

            pub(super) fn write(&self, writer: &mut Writer) {
                match self {
                    $(Event::$variant { $($field),* } => { $($field.write(writer);)* })*
                    Event::Unknown { fields, .. } => writer.bytes(&fields.0),
                }
            }

            fn read_known(number: u8, reader: &mut Reader<'_>) -> Result<Option<Event>, DecodeError> {
                Ok(Some(match number {
                    $($number => Event::$variant { $($field: Field::read(reader)?,)* },)*
                    _ => return Ok(None),
                }))
            }
        }
    };
}

// Numbers are never used for anything else, and fields are only added, at a kind's end: a reader leaves what it does not know.
events! {
    /// A signature over everything before.
    1 "checkpoint" Checkpoint {
        /// Over the context, the hash before this entry and its time; empty when the key could not be used.
        signature: Hex,
    }
    /// The segment ends as it should; a signature over everything before.
    2 "seal" Seal {
        /// As of a checkpoint.
        signature: Hex,
    }
    /// Entries are missing here, as the queue was full or the disk took nothing.
    3 "dropped" Dropped {
        /// How many.
        entries: u64,
    }
    /// The wall clock moved against the monotonic one.
    4 "clock" Clock {
        /// Milliseconds since 1970.
        wall_ms: u64,
        /// How far it may be wrong, in ms, when that is known.
        error_ms: Option<u64>,
        /// How far it moved, in ms.
        jump_ms: i64,
    }
    /// A program started.
    16 "start" Start {
        /// Which node.
        node: String,
        /// Program and version.
        version: String,
        /// Of its certificate.
        fingerprint: Fingerprint,
    }
    /// A session stands.
    17 "session_begun" SessionBegun {
        /// Its number.
        session: u64,
        /// With whom.
        peer: String,
        /// SHA-256 of the certificate that was seen (DER), hexadecimal; none where the program is not told.
        certificate: Option<String>,
    }
    /// A session has ended.
    18 "session_ended" SessionEnded {
        /// Its number.
        session: u64,
        /// With whom.
        peer: String,
        /// Why.
        why: String,
    }
    /// The other end of a session has shown a newer certificate.
    19 "session_renewed" SessionRenewed {
        /// Its number.
        session: u64,
        /// With whom.
        peer: String,
        /// Of the newer certificate.
        certificate: Fingerprint,
    }
    /// A newer list of revocations counts from now on.
    20 "revocations" Revocations {
        /// Its number.
        list: u64,
    }
    /// The other end of a session has told what its wall clock shows.
    21 "peer_clock" PeerClock {
        /// Whose it is.
        peer: String,
        /// How far it is ahead of the own one, in ms.
        ahead_ms: i64,
        /// How far that may be wrong, in ms.
        error_ms: u64,
    }
    /// A lease is granted.
    32 "lease_granted" LeaseGranted {
        /// Of which function.
        function: String,
        /// To whom.
        holder: String,
        /// The fencing token.
        token: u64,
    }
    /// A lease has ended.
    33 "lease_ended" LeaseEnded {
        /// Of which function.
        function: String,
        /// Who held it.
        holder: String,
        /// The fencing token.
        token: u64,
        /// Why.
        why: String,
    }
    /// A lease moves on to another holder without an end between.
    34 "handover" Handover {
        /// Of which function.
        function: String,
        /// Who held it.
        from: String,
        /// Who holds it now.
        to: String,
        /// The new fencing token.
        token: u64,
    }
    /// Somebody did not get what he asked for.
    35 "refused" Refused {
        /// Who.
        peer: String,
        /// What: `command`, `take`, `release`, `reset` and so on.
        asked: String,
        /// Of which function.
        function: Option<String>,
        /// The command's number in its flow.
        number: Option<u64>,
        /// Why not.
        why: String,
    }
    /// A vehicle tells a node something of a lease: an offer, what became of it, that the lease was taken away.
    36 "news" News {
        /// Of which function.
        function: String,
        /// Who is told; at a controller who tells it.
        node: String,
        /// The offer's number.
        offer: Option<u64>,
        /// What.
        what: String,
    }
    /// A stage was entered.
    48 "stage" Stage {
        /// By which function.
        function: String,
        /// Which.
        stage: String,
    }
    /// The emergency stop is latched.
    49 "stop" Stop {
        /// Who said it; none when it was latched before the start.
        author: Option<String>,
        /// The generation that it stops.
        generation: u64,
    }
    /// The emergency stop is reset.
    50 "reset" Reset {
        /// Who reset it.
        author: String,
        /// The generation that begins.
        generation: u64,
    }
    /// A limit changed a drive command.
    51 "limit" Limit {
        /// Of which function.
        function: String,
        /// The command's number in its flow.
        number: u64,
        /// The speed that is left, in mm/s.
        speed_mm_s: i64,
        /// The curvature that is left, in 1/km.
        curvature_per_km: i64,
    }
    /// A device is there, or not any more.
    52 "device" Device {
        /// Of which function.
        function: String,
        /// `up` or `down`.
        state: String,
    }
    /// A command, with what became of it.
    64 "command" Command {
        /// To which function.
        function: String,
        /// The promise of its flow.
        class: String,
        /// Its number in its flow.
        number: u64,
        /// How old it was at its arrival, in µs; none without a sample of the sender's clock.
        age_us: Option<u64>,
        /// How far that may be wrong, in µs.
        error_us: Option<u64>,
        /// `applied`, `refused`, `expired`; at a controller `sent`.
        verdict: String,
        /// Why it was refused.
        why: Option<String>,
        /// The command itself; its token says under which lease it came.
        command: Commanded,
    }
    /// What a device told.
    65 "telemetry" Telemetry {
        /// Of which function.
        function: String,
        /// What.
        telemetry: Told,
    }
    /// What became of a command, as its sender was told.
    66 "receipt" Receipt {
        /// To which function.
        function: String,
        /// Its number in its flow.
        number: u64,
        /// What became of it.
        outcome: String,
    }
    /// Anything else.
    96 "note" Note {
        /// Its subject.
        subject: String,
        /// What there is to say.
        text: String,
    }
}

impl Event {
    /// News of a lease, told to or by a node.
    pub fn news(function: String, node: &NodeName, news: &News) -> Event {
        Event::News {
            function,
            node: node.to_string(),
            offer: news.offer().map(|offer| offer.0.into()),
            what: news.to_string(),
        }
    }

    /// How far a node's wall clock is ahead of the own one.
    pub fn peer_clock(peer: &NodeName, difference: ClockDifference) -> Event {
        Event::PeerClock {
            peer: peer.to_string(),
            ahead_ms: difference.ahead_ms,
            error_ms: u64::try_from(difference.error.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The event of this kind with these fields. What cannot be read is unknown, and what follows its fields is left: a later
    /// version has written it.
    pub(super) fn read(number: u8, fields: &[u8]) -> Event {
        let known = Reader::new(fields, fields.len())
            .and_then(|mut reader| Event::read_known(number, &mut reader));
        known.ok().flatten().unwrap_or_else(|| Event::Unknown {
            number: number.into(),
            fields: Hex(fields.to_vec()),
        })
    }
}
