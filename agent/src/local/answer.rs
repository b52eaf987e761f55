//! What the agent says to a client beside the words for a device. `docs/local-api.md` describes each.

use std::fmt;

use longrein_proto::wire::FunctionKind;
use serde::Serialize;

use super::board::PathLine;

/// The first message of every connection.
#[derive(Debug, Serialize)]
pub struct Hello<'a> {
    /// Grows when clients have to change.
    pub api: u32,
    pub vehicle: &'a str,
    pub level: &'static str,
    pub functions: Vec<FunctionLine<'a>>,
}

/// A function, as the first message tells it.
#[derive(Debug, Serialize)]
pub struct FunctionLine<'a> {
    pub name: &'a str,
    pub kind: &'static str,
    /// Whether this client may be its device.
    pub claimable: bool,
}

/// How the vehicle stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateLine {
    pub stopped: bool,
    pub functions: Vec<Standing>,
    /// When the network thread told leases and paths.
    pub network_boottime_us: u64,
    pub paths: Vec<PathLine>,
}

impl StateLine {
    /// Whether only times differ.
    pub fn says_the_same_as(&self, other: &StateLine) -> bool {
        self.stopped == other.stopped
            && self.functions == other.functions
            && self.paths == other.paths
    }
}

/// How a function stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub name: String,
    pub stage: String,
    /// Whether its device is there.
    pub device_up: bool,
    /// Who holds its lease.
    pub holder: Option<String>,
}

/// Why a client does not get what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is none of the messages that there are.
    Malformed(String),
    /// A message longer than any may be.
    TooLong,
    /// What this socket does not allow.
    NotAllowed,
    /// No function of this name.
    NoSuchFunction,
    /// The function has another adapter.
    NotLocal,
    /// Another client is the function's device.
    Taken,
    /// The client is not the function's device.
    NotClaimed,
    /// The telemetry is of the other kind than the function.
    WrongKind,
    /// The function has no watchdog, so nothing could resume.
    NoWatchdog,
    /// No hub is reached, or nothing is reported to it.
    NoHub,
    /// The client takes no letters, or has done with this one.
    NoSuchLetter,
    /// As many items are reported as may be, or a mailbox is full.
    Full,
    /// It is longer than it may be.
    TooLarge,
    /// Too much waits; later there may be room.
    Busy,
    /// The hub does not do it, and why.
    Refused(String),
    /// More messages than a client may send; the connection ends.
    TooOften,
    /// More clients than the socket has places for; the connection ends.
    TooMany,
}

impl Trouble {
    /// The word that programs look at.
    pub fn word(&self) -> &'static str {
        match self {
            Trouble::Malformed(_) => "malformed",
            Trouble::TooLong => "too_long",
            Trouble::NotAllowed => "not_allowed",
            Trouble::NoSuchFunction => "no_such_function",
            Trouble::NotLocal => "not_local",
            Trouble::Taken => "taken",
            Trouble::NotClaimed => "not_claimed",
            Trouble::WrongKind => "wrong_kind",
            Trouble::NoWatchdog => "no_watchdog",
            Trouble::NoHub => "no_hub",
            Trouble::NoSuchLetter => "no_such_letter",
            Trouble::Full => "full",
            Trouble::TooLarge => "too_large",
            Trouble::Busy => "busy",
            Trouble::Refused(_) => "refused",
            Trouble::TooOften => "too_often",
            Trouble::TooMany => "too_many",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trouble::Malformed(what) | Trouble::Refused(what) => what,
            Trouble::TooLong => "the message is longer than any may be",
            Trouble::NotAllowed => "this socket does not allow it",
            Trouble::NoSuchFunction => "there is no such function",
            Trouble::NotLocal => "the function's adapter is not \"local\"",
            Trouble::Taken => "another client is the function's device, or takes the letters",
            Trouble::NotClaimed => "this client is not the function's device",
            Trouble::WrongKind => {
                "\"telemetry\" is for kind drive, \"telemetry_hex\" for kind opaque"
            }
            Trouble::NoWatchdog => "the function has no watchdog, so nothing could resume it",
            Trouble::NoHub => "no hub is reached, or nothing is reported to it",
            Trouble::NoSuchLetter => "this client has no such letter",
            Trouble::Full => "as much is there as may be",
            Trouble::TooLarge => "it is longer than it may be",
            Trouble::Busy => "too much waits; try again later",
            Trouble::TooOften => "too many messages; the connection ends",
            Trouble::TooMany => "too many clients at this socket; the connection ends",
        })
    }
}

/// The first message.
pub fn hello(hello: &Hello<'_>) -> String {
    json(&Named { hello })
}

/// How the vehicle stands, at a moment.
pub fn state(at_boottime_us: u64, line: &StateLine) -> String {
    json(&State {
        state: Timed {
            at_boottime_us,
            line,
        },
    })
}

/// A request was done.
pub fn done(id: Option<u64>, word: &str) -> String {
    json(&Done { id, done: word })
}

/// Something was not done.
pub fn error(id: Option<u64>, trouble: &Trouble) -> String {
    let detail = trouble.to_string();
    json(&Failed {
        id,
        error: trouble.word(),
        detail,
    })
}

/// What a kind of function is called.
pub fn kind_name(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Drive => "drive",
        FunctionKind::Opaque => "opaque",
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Serialize)]
struct Named<'a> {
    hello: &'a Hello<'a>,
}

#[derive(Serialize)]
struct State<'a> {
    state: Timed<'a>,
}

#[derive(Serialize)]
struct Timed<'a> {
    at_boottime_us: u64,
    #[serde(flatten)]
    line: &'a StateLine,
}

#[derive(Serialize)]
struct Done<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    done: &'a str,
}

#[derive(Serialize)]
struct Failed {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    error: &'static str,
    detail: String,
}
