//! Records that agents and controllers wrote: their export.

mod export;

pub use export::{ExportError, McapExport};
