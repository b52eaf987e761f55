//! A connection that only reads, beside the one that writes.

use longrein_proto::hub::{Page, Query};
use rusqlite::Connection;

use super::file::StoreFile;
use super::limits::READER_CACHE_KIB;
use super::pages::read_page;
use super::{StoreError, StoreReader, Sync};

/// Reads pages; sees whatever was committed before it begins one.
pub(super) struct SqliteReader {
    file: StoreFile,
    /// None after a failure that may have been the connection's.
    connection: Option<Connection>,
}

impl SqliteReader {
    pub(super) fn open(file: StoreFile) -> Result<SqliteReader, StoreError> {
        let connection = Some(connect(&file)?);
        Ok(SqliteReader { file, connection })
    }
}

impl StoreReader for SqliteReader {
    fn read(&mut self, query: &Query) -> Result<Page, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.file)?,
        };
        let page = read_page(&mut connection, query)?;
        self.connection = Some(connection);
        Ok(page)
    }
}

fn connect(file: &StoreFile) -> Result<Connection, StoreError> {
    let connection = file.connect(READER_CACHE_KIB, Sync::Normal)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}
