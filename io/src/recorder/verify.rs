//! Reads a record, and finds what was removed, changed or reordered.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use longrein_proto::base::MonoTime;
use longrein_proto::crypto::{CertificateError, Fleet, verify_signature};
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use serde::Serialize;

use super::chain::{CHECKPOINT, Chain, SEAL};
use super::field::Fingerprint;
use super::frame::{self, Next};
use super::header::{Header, SignedHeader};
use super::limits::{FAULTS_TOLD_MAX, SEGMENT_BYTES_MAX, UNSIGNED_MAX};
use super::report::{Cut, Fault, Flaw, Head, Report};
use super::{Event, segments};
use crate::files::FileError;
use crate::keys::fleet_of;

/// An entry of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The segment that it is in.
    pub segment: u64,
    /// Its number in the record.
    pub entry: u64,
    /// When, on the machine's monotonic clock in µs, which begins anew with each boot.
    pub at_us: u64,
    /// When, by the wall clock as it stood then, in µs since 1970.
    pub wall_us: u64,
    /// How far that may be wrong, in ms, when it is known.
    pub wall_error_ms: Option<u64>,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Why a record cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is none.
    #[error("{} holds no record: it has no *.record files", .directory.display())]
    Empty {
        /// The folder.
        directory: PathBuf,
    },
}

/// Looks at the record in this folder, and gives each entry that is as it was written, in order, until `on_entry` breaks off.
/// With the certificates of a fleet's authorities it also finds records that somebody else signed.
///
/// # Errors
/// When there is no record or it cannot be read. What is wrong in it is in the report.
pub fn verify(
    directory: &Path,
    authorities: Option<&[CertificateDer<'static>]>,
    on_entry: &mut dyn FnMut(&Recorded) -> ControlFlow<()>,
) -> Result<Report, RecordError> {
    let failed = |file: &Path, source| FileError {
        file: file.to_path_buf(),
        doing: "read",
        source,
    };
    let found = segments::list(directory).map_err(|error| failed(directory, error))?;
    if found.is_empty() {
        return Err(RecordError::Empty {
            directory: directory.to_path_buf(),
        });
    }
    let mut verifier = Verifier {
        report: Report::default(),
        authorities,
        fleet: None,
        on_entry,
        left: false,
        before: None,
        kept_from: 1,
        present: BTreeSet::new(),
    };
    for (number, bytes) in found {
        if bytes > FILE_BYTES_MAX {
            verifier.present.insert(number);
            verifier.fault(number, None, Flaw::TooLong);
            continue;
        }
        let path = segments::path(directory, number);
        match fs::read(&path) {
            Ok(file) => verifier.on_segment(number, &file),
            // It gave way just now.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, error).into()),
        }
        if verifier.left {
            return Ok(verifier.report);
        }
    }
    Ok(verifier.finish())
}

struct Verifier<'a> {
    report: Report,
    authorities: Option<&'a [CertificateDer<'static>]>,
    /// As the first certificate calls it: whether it is believed is for the authorities.
    fleet: Option<Fleet>,
    on_entry: &'a mut dyn FnMut(&Recorded) -> ControlFlow<()>,
    /// Nobody wants more entries.
    left: bool,
    /// The segment before and how it ends, when that is known.
    before: Option<(u64, Chain)>,
    /// As the newest header says.
    kept_from: u64,
    present: BTreeSet<u64>,
}

/// The wall clock at a moment.
#[derive(Clone, Copy)]
struct Wall {
    at: MonoTime,
    wall_ms: u64,
    error_ms: Option<u64>,
}

impl Verifier<'_> {
    fn on_segment(&mut self, number: u64, file: &[u8]) {
        self.present.insert(number);
        self.report.segments += 1;
        self.report.sealed = false;
        let signed = match Header::read(file) {
            Ok(signed) => signed,
            Err(_) => return self.on_no_header(number, file),
        };
        self.look_at_header(number, &signed);
        let mut chain = signed.header.chain;
        chain.on_header(signed.bytes);
        self.before = self
            .read_entries(number, &signed, chain)
            .map(|chain| (number, chain));
    }

    /// A file that was never filled holds nothing, if the next one goes on where the one before ends.
    fn on_no_header(&mut self, number: u64, file: &[u8]) {
        let end = match self.before {
            Some((before, chain)) if before + 1 == number => Some(chain),
            None if number == 1 => Some(Chain::START),
            Some(_) | None => None,
        };
        let cut = end.filter(|_| Header::is_cut(file));
        self.before = cut.map(|chain| (number, chain));
        match cut {
            Some(chain) => self.cut(number, chain, file),
            None => self.fault(number, None, Flaw::Header),
        }
    }

    fn look_at_header(&mut self, number: u64, signed: &SignedHeader<'_>) {
        let header = &signed.header;
        if header.number != number {
            self.fault(number, None, Flaw::Number(header.number));
        }
        if signed.is_genuine() {
            self.report.unsigned = 0;
        } else {
            self.fault(number, None, Flaw::HeaderSignature);
        }
        self.look_at_signer(number, header);
        let expected = match self.before {
            Some((before, chain)) if before + 1 == number => Some(chain),
            None if number == 1 => Some(Chain::START),
            Some(_) | None => None,
        };
        if expected.is_some_and(|expected| expected != header.chain) {
            self.fault(number, None, Flaw::NotContinued);
        }
        self.kept_from = header.kept_from;
    }

    fn look_at_signer(&mut self, number: u64, header: &Header) {
        let mut fingerprint = Fingerprint([0; 32]);
        let sum = digest(&SHA256, &header.certificate);
        fingerprint.0.copy_from_slice(sum.as_ref());
        self.report.signers.insert(fingerprint);
        let Some(authorities) = self.authorities else {
            return;
        };
        if self.fleet.is_none() {
            let name = fleet_of(&CertificateDer::from(header.certificate.as_slice()));
            self.fleet = name.and_then(|name| Fleet::new(name, authorities.to_vec()).ok());
        }
        let verified = match &self.fleet {
            // The node's clock may have been wrong.
            Some(fleet) => fleet.verify_undated(&header.certificate),
            None => Err(CertificateError::Name),
        };
        match verified {
            Err(why) => self.fault(number, None, Flaw::Certificate(why)),
            Ok(peer) => match &self.report.node {
                None => self.report.node = Some(peer.node),
                Some(node) if *node == peer.node => {}
                Some(_) => self.fault(number, None, Flaw::Node(peer.node)),
            },
        }
    }

    /// Where the chain ends, when that is known.
    fn read_entries(
        &mut self,
        number: u64,
        signed: &SignedHeader<'_>,
        mut chain: Chain,
    ) -> Option<Chain> {
        let header = &signed.header;
        let mut wall = Wall {
            at: header.at,
            wall_ms: header.wall_ms,
            error_ms: header.error_ms.map(u64::from),
        };
        let (mut rest, mut sealed) = (signed.rest, false);
        loop {
            let before = chain;
            match frame::next(rest, &mut chain) {
                Next::Entry { body, rest: behind } => {
                    rest = behind;
                    if sealed {
                        self.fault(number, Some(before.next), Flaw::BehindSeal);
                    }
                    sealed = self.on_entry(number, header, before, &mut wall, body);
                    self.report.head = Some(Head::new(before.next, &chain.hash));
                    if self.left {
                        return None;
                    }
                }
                Next::End if sealed => {
                    self.report.sealed = true;
                    return Some(chain);
                }
                Next::End | Next::Cut => {
                    self.cut(number, chain, rest);
                    return Some(chain);
                }
                Next::Damaged => {
                    self.fault(number, Some(chain.next), Flaw::Entry);
                    return None;
                }
            }
        }
    }

    /// Whether it is a seal.
    fn on_entry(
        &mut self,
        segment: u64,
        header: &Header,
        before: Chain,
        wall: &mut Wall,
        body: &[u8],
    ) -> bool {
        let number = before.next;
        let Some((kind, rest)) = body.split_first() else {
            return false;
        };
        let (time, fields) = rest.split_at_checked(6).unwrap_or((rest, &[]));
        let us = time.iter().fold(0, |us, byte| us << 8 | u64::from(*byte));
        let at = MonoTime::from_us(us);
        let event = Event::read(*kind, fields);
        let signature = if let Event::Checkpoint { signature } = &event {
            Some((CHECKPOINT, signature))
        } else if let Event::Seal { signature } = &event {
            Some((SEAL, signature))
        } else {
            None
        };
        self.report.unsigned += 1;
        if let Some((context, signature)) = signature.filter(|(_, it)| !it.0.is_empty()) {
            let words = before.words(context, at);
            match verify_signature(&header.certificate, &words, &signature.0) {
                Ok(()) => self.report.unsigned = 0,
                Err(_) => self.fault(segment, Some(number), Flaw::Signature),
            }
        }
        if self.report.unsigned == UNSIGNED_MAX + 1 {
            self.fault(segment, Some(number), Flaw::Unsigned);
        }
        if let Event::Clock {
            wall_ms, error_ms, ..
        } = event
        {
            *wall = Wall {
                at,
                wall_ms,
                error_ms,
            };
        }
        if let Event::Dropped { entries } = event {
            self.report.dropped = self.report.dropped.saturating_add(entries);
        }
        self.report.entries += 1;
        self.report.first.get_or_insert(number);
        let sealed = matches!(event, Event::Seal { .. });
        let given = (self.on_entry)(&Recorded {
            segment,
            entry: number,
            at_us: us,
            wall_us: wall.us_at(at),
            wall_error_ms: wall.error_ms,
            event,
        });
        self.left = given.is_break();
        sealed
    }

    fn finish(mut self) -> Report {
        let last = self.present.last().copied().unwrap_or(0);
        let missing = (self.kept_from..=last).filter(|number| !self.present.contains(number));
        for number in missing.take(FAULTS_TOLD_MAX).collect::<Vec<_>>() {
            self.fault(number, None, Flaw::Missing);
        }
        self.report
    }

    fn cut(&mut self, segment: u64, chain: Chain, rest: &[u8]) {
        self.report.cuts.push(Cut {
            segment,
            entry: chain.next,
            bytes: rest.len() as u64,
        });
    }

    fn fault(&mut self, segment: u64, entry: Option<u64>, flaw: Flaw) {
        self.report.faults_in_all += 1;
        if self.report.faults.len() < FAULTS_TOLD_MAX {
            self.report.faults.push(Fault {
                segment,
                entry,
                flaw,
            });
        }
    }
}

impl Wall {
    fn us_at(&self, at: MonoTime) -> u64 {
        let then = self
            .wall_ms
            .saturating_mul(1_000)
            .saturating_add(at.as_us());
        then.saturating_sub(self.at.as_us())
    }
}

/// Bytes of a segment that is read at all.
const FILE_BYTES_MAX: u64 = SEGMENT_BYTES_MAX + 4_096;
