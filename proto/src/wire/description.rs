//! What an agent is and does, and what it lets the reader do.

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::FUNCTIONS_MAX;
use crate::base::{Name, Rights};

/// What an agent is and does, and what it lets the reader do.
///
/// ```text
/// offset  bytes
///      0  1      rights with the whole vehicle: bit 2 stop, bit 3 reset, others zero
///      1  1      count of functions, at most 62
///      2  ..     functions: 1 kind (1 drive, 2 opaque), 1 rights (bit 0 observe, 1 command, 4 supervise), 2+ name
///
/// 03 0c 02 01 03 05 6472697665 02 00 06 6c6967687473
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Of these only stop and reset have a meaning for the whole vehicle.
    pub rights: Rights,
    /// The functions; the first one is channel 1.
    pub functions: Vec<FunctionDescription>,
}

/// A function of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDescription {
    /// What it is called.
    pub name: Name,
    /// What commands it takes.
    pub kind: FunctionKind,
    /// What the reader may do with it.
    pub rights: Rights,
}

/// What commands a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// [`super::Drive`], clamped by the agent.
    Drive = 1,
    /// Bytes.
    Opaque = 2,
}

impl Description {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.rights(self.rights);
        writer.count(self.functions.len());
        for function in &self.functions {
            writer.u8(function.kind as u8);
            writer.rights(function.rights);
            writer.name(&function.name);
        }
    }

    // [WIRE-23]
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Description, DecodeError> {
        let rights = reader.rights()?;
        let count = reader.count(FUNCTIONS_MAX)?;
        let mut functions = Vec::new();
        for _ in 0..count {
            let kind = match reader.u8()? {
                1 => FunctionKind::Drive,
                2 => FunctionKind::Opaque,
                _ => return Err(UNKNOWN_KIND),
            };
            functions.push(FunctionDescription {
                kind,
                rights: reader.rights()?,
                name: reader.name()?,
            });
        }
        Ok(Description { rights, functions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Right;
    use crate::wire::SessionMessage;
    use crate::wire::vector::assert_messages;

    #[test]
    fn a_description_looks_like_its_picture() {
        // [WIRE-23]
        let drive = FunctionDescription {
            name: "drive".parse().unwrap(),
            kind: FunctionKind::Drive,
            rights: [Right::Observe, Right::Command].into_iter().collect(),
        };
        let lights = FunctionDescription {
            name: "lights".parse().unwrap(),
            kind: FunctionKind::Opaque,
            rights: Rights::NONE,
        };
        assert_messages([(
            "03 0c 02 01 03 05 6472697665 02 00 06 6c6967687473",
            SessionMessage::Description(Description {
                rights: [Right::Stop, Right::Reset].into_iter().collect(),
                functions: vec![drive, lights],
            }),
        )]);
    }
}
