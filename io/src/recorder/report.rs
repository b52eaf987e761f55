//! What a look at a record finds.

use std::collections::BTreeSet;
use std::fmt;

use longrein_proto::base::NodeName;
use longrein_proto::crypto::CertificateError;
use serde::{Serialize, Serializer};

use super::field::{Fingerprint, hex};

/// What a look at a record finds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Segment files that are there.
    pub segments: u64,
    /// Entries that are as they were written.
    pub entries: u64,
    /// The number of the first one; those before it gave way.
    pub first: Option<u64>,
    /// The last one.
    pub head: Option<Head>,
    /// Entries at the end that no signature covers yet: whoever can write to the folder can have changed them.
    pub unsigned: u64,
    /// Whether the end is sealed: the program ended in good order and nothing was cut off.
    pub sealed: bool,
    /// Entries that the recorder had to drop, as it says itself.
    pub dropped: u64,
    /// Whose signatures these are; none without the fleet's authority to ask.
    #[serde(serialize_with = "as_text")]
    pub node: Option<NodeName>,
    /// Certificates whose keys signed.
    pub signers: BTreeSet<Fingerprint>,
    /// Ends that no seal marks: the program was killed, the disk was full, or it still runs.
    pub cuts: Vec<Cut>,
    /// What nobody but a forger or a broken disk does; of many the first ones.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub faults_in_all: u64,
}

impl Report {
    /// Whether nothing was removed, changed or reordered, as far as that can be known.
    pub fn is_good(&self) -> bool {
        self.faults_in_all == 0
    }
}

/// The last entry of a record. Whoever notes it elsewhere can tell later that nothing before it was cut back.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    /// Its number.
    pub entry: u64,
    /// The hash of everything up to it, hexadecimal.
    pub hash: String,
}

impl Head {
    pub(super) fn new(entry: u64, hash: &[u8]) -> Head {
        let hash = hex(hash);
        Head { entry, hash }
    }
}

/// A segment that ends without a seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Which.
    pub segment: u64,
    /// The number that the entry behind it would have had.
    pub entry: u64,
    /// Bytes of an entry that was not written to its end.
    pub bytes: u64,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// In which segment.
    pub segment: u64,
    /// At which entry.
    pub entry: Option<u64>,
    /// What.
    #[serde(serialize_with = "as_words")]
    pub flaw: Flaw,
}

/// What is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A file is gone that had not given way.
    #[error("the segment is missing")]
    Missing,
    /// The file is longer than any that a recorder writes.
    #[error("the segment is too long")]
    TooLong,
    /// The beginning of the file is no header.
    #[error("the header is damaged")]
    Header,
    /// The file is another one.
    #[error("the file holds segment {0}")]
    Number(u64),
    /// The header's signature does not fit.
    #[error("the header's signature is not that of its certificate")]
    HeaderSignature,
    /// The certificate is not of the fleet.
    #[error("the certificate is not to be believed: {0}")]
    Certificate(CertificateError),
    /// The certificate is of another node.
    #[error("signed by {0}, and not by the node of the segments before")]
    Node(NodeName),
    /// The header names another end of the segment before.
    #[error(
        "it does not go on where the segment before ends: entries are missing or changed there"
    )]
    NotContinued,
    /// An entry is not what it was.
    #[error(
        "the entry is damaged or does not belong here; nothing behind it in the segment can be believed"
    )]
    Entry,
    /// A checkpoint's or seal's signature does not fit.
    #[error("the signature over all entries before is not that of the segment's certificate")]
    Signature,
    /// More entries than a recorder leaves unsigned.
    #[error("more entries without a signature than a recorder leaves")]
    Unsigned,
    /// A sealed segment goes on.
    #[error("there are entries behind the seal")]
    BehindSeal,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}", self.segment)?;
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        write!(f, ": {}", self.flaw)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut {
            segment,
            entry,
            bytes,
        } = self;
        write!(
            f,
            "segment {segment} ends before entry {entry} without a seal"
        )?;
        match bytes {
            0 => Ok(()),
            _ => write!(
                f,
                ", with {bytes} bytes of an entry that was not written to its end"
            ),
        }
    }
}

fn as_text<S: Serializer>(node: &Option<NodeName>, serializer: S) -> Result<S::Ok, S::Error> {
    match node {
        Some(node) => serializer.collect_str(node),
        None => serializer.serialize_none(),
    }
}

fn as_words<S: Serializer>(flaw: &Flaw, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(flaw)
}
