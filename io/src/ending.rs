//! Why a connection ended or never came to be.

use quinn_proto::{ConnectionError, TransportErrorCode};
use std::fmt;

/// Why a connection is over, as far as its owner acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// This side closed it.
    Here,
    /// The interface or the address that it left by is gone.
    LinkGone,
    /// The far side closed it: it shuts down, or replaced the connection.
    There,
    /// The far side started anew and does not know the connection.
    Restarted,
    /// Nothing arrived for too long.
    Silent,
    /// The far side takes no more connections.
    Full,
    /// This side does not accept the far side's certificate.
    RefusedThem(CertificateFault),
    /// The far side does not accept this side's certificate.
    RefusedUs(CertificateFault),
    /// The far side speaks another protocol, or breaks this one.
    Protocol,
}

impl Ending {
    /// Whether trying again soon is of no use.
    pub fn is_refusal(self) -> bool {
        matches!(self, Ending::RefusedThem(_) | Ending::RefusedUs(_))
    }
}

impl From<&ConnectionError> for Ending {
    fn from(error: &ConnectionError) -> Ending {
        match error {
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => Ending::Here,
            ConnectionError::ApplicationClosed(_) => Ending::There,
            ConnectionError::Reset => Ending::Restarted,
            ConnectionError::TimedOut => Ending::Silent,
            ConnectionError::VersionMismatch => Ending::Protocol,
            ConnectionError::TransportError(error) => {
                alert(error.code).map_or(Ending::Protocol, |alert| {
                    CertificateFault::from_alert(alert)
                        .map_or(Ending::Protocol, Ending::RefusedThem)
                })
            }
            ConnectionError::ConnectionClosed(close) => match close.error_code {
                TransportErrorCode::CONNECTION_REFUSED => Ending::Full,
                TransportErrorCode::NO_ERROR | TransportErrorCode::APPLICATION_ERROR => {
                    Ending::There
                }
                code => alert(code)
                    .and_then(CertificateFault::from_alert)
                    .map_or(Ending::Protocol, Ending::RefusedUs),
            },
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Here => f.write_str("closed here"),
            Ending::LinkGone => f.write_str("the link's interface or address is gone"),
            Ending::There => f.write_str("closed by the far side"),
            Ending::Restarted => f.write_str("the far side was restarted"),
            Ending::Silent => f.write_str("nothing arrived"),
            Ending::Full => f.write_str("the far side takes no more connections"),
            Ending::RefusedThem(fault) => write!(f, "its certificate is refused: {fault}"),
            Ending::RefusedUs(fault) => write!(f, "it refuses this node's certificate: {fault}"),
            Ending::Protocol => f.write_str("the far side does not speak this protocol"),
        }
    }
}

/// What is wrong with a certificate: the reasons that a TLS alert can tell apart (RFC 8446 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateFault {
    /// There is none.
    Missing,
    /// It cannot be read or its signature is wrong.
    Broken,
    /// It is over, or does not begin yet.
    NotValidNow,
    /// It is revoked.
    Revoked,
    /// Another authority signed it.
    OtherAuthority,
    /// It names another node, fleet or kind of node than this place is for.
    OtherNode,
}

impl CertificateFault {
    /// The fault behind a TLS alert's number; none when the alert is not about a certificate.
    fn from_alert(alert: u8) -> Option<CertificateFault> {
        match alert {
            42 | 43 | 46 | 51 => Some(CertificateFault::Broken),
            44 => Some(CertificateFault::Revoked),
            45 => Some(CertificateFault::NotValidNow),
            48 => Some(CertificateFault::OtherAuthority),
            49 => Some(CertificateFault::OtherNode),
            116 => Some(CertificateFault::Missing),
            _ => None,
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertificateFault::Missing => "there is none",
            CertificateFault::Broken => "it cannot be read or verified",
            CertificateFault::NotValidNow => "it is expired or not yet valid",
            CertificateFault::Revoked => "it is revoked",
            CertificateFault::OtherAuthority => "it is from another authority than the fleet's",
            CertificateFault::OtherNode => "it names another node, fleet or kind of node",
        })
    }
}

/// The TLS alert inside a QUIC error code (RFC 9001 §4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    code.checked_sub(0x100)
        .and_then(|alert| u8::try_from(alert).ok())
}
