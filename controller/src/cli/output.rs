//! Data on stdout.

use std::io::{self, ErrorKind, Write};

/// Whether anybody still reads stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as is known.
    There,
    /// It has gone and has seen enough: a verb that prints on and on ends, successfully.
    Gone,
}

/// Writes lines to stdout. A reader that has gone is no error.
///
/// # Errors
/// When stdout cannot be written to for any other reason.
pub fn print<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> io::Result<Reader> {
    let mut stdout = io::stdout().lock();
    let written = lines
        .into_iter()
        .try_for_each(|line| writeln!(stdout, "{}", line.as_ref()))
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}
