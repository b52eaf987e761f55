//! Pages of a journal.

use longrein_proto::hub::{Entry, Page, Query, ReadFrom};
use longrein_proto::wire::hub::MessageId;
use rusqlite::{Connection, OptionalExtension, Row};

use super::StoreError;
use super::limits::{PAGE_BYTES_MAX, PAGE_COUNT_MAX};

/// Reads a page as the journal stands in one moment. The time that it takes grows with the page, and not with the journal.
pub(super) fn read_page(connection: &mut Connection, query: &Query) -> Result<Page, StoreError> {
    let transaction = connection.transaction()?;
    let id: Option<i64> = transaction
        .prepare_cached(ID)?
        .query_row((&*query.journal,), |row| row.get(0))
        .optional()?;
    let Some(id) = id else {
        return Ok(Page::default());
    };
    let from = match (query.from, query.backwards) {
        (ReadFrom::Number(number), _) => signed(number),
        (ReadFrom::Time(ms), false) => first_at(&transaction, id, signed(ms))?,
        // Behind all of this time.
        (ReadFrom::Time(ms), true) => {
            first_at(&transaction, id, signed(ms).saturating_add(1))?.saturating_sub(1)
        }
    };
    let count_max = query.count_max.clamp(1, PAGE_COUNT_MAX);
    let bytes_max = query.bytes_max.min(PAGE_BYTES_MAX);
    let sql = if query.backwards { BACKWARDS } else { FORWARDS };
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query((id, from))?;
    let (mut page, mut bytes) = (Page::default(), 0);
    while let Some(row) = rows.next()? {
        bytes += row.get::<_, usize>(4)?;
        let is_full = page.entries.len() == count_max || bytes > bytes_max;
        if is_full && !page.entries.is_empty() {
            page.more = true;
            break;
        }
        page.entries.push(entry(row)?);
    }
    Ok(page)
}

/// The number of the first message whose time is this or later, or the highest number when there is none. Times grow with numbers, so
/// it is found by halving: at most 63 looks, each at one message.
fn first_at(connection: &Connection, id: i64, ms: i64) -> Result<i64, StoreError> {
    let mut bounds = connection.prepare_cached(BOUNDS)?;
    let (lowest, highest): (Option<i64>, Option<i64>) =
        bounds.query_row((id,), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(mut low), Some(mut high)) = (lowest, highest) else {
        return Ok(i64::MAX);
    };
    let mut look = connection.prepare_cached(TIME)?;
    let mut found = i64::MAX;
    while low <= high {
        let middle = low + (high - low) / 2;
        // There is one, as the highest is not below.
        let (number, time_ms): (i64, i64) =
            look.query_row((id, middle), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if time_ms >= ms {
            found = number;
            high = middle - 1;
        } else {
            low = number + 1;
        }
    }
    Ok(found)
}

fn entry(row: &Row<'_>) -> Result<Entry, rusqlite::Error> {
    Ok(Entry {
        number: row.get(0)?,
        at_ms: row.get(1)?,
        id: MessageId(row.get(2)?),
        bytes: row.get(3)?,
    })
}

/// SQLite has no numbers above the greatest of these.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const ID: &str = "SELECT id FROM journal WHERE name = ?1";
// The lowest and the highest each by one look; asked for together, all would be read.
const BOUNDS: &str = "SELECT (SELECT min(number) FROM entry WHERE journal = ?1),
    (SELECT max(number) FROM entry WHERE journal = ?1)";
const TIME: &str = "SELECT number, time_ms FROM entry WHERE journal = ?1 AND number >= ?2
    ORDER BY number LIMIT 1";
const FORWARDS: &str = "SELECT number, at_ms, id, body, length(body) FROM entry
    WHERE journal = ?1 AND number >= ?2 ORDER BY number";
const BACKWARDS: &str = "SELECT number, at_ms, id, body, length(body) FROM entry
    WHERE journal = ?1 AND number <= ?2 ORDER BY number DESC";

/// The statements that read messages, for the test that looks at their plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [BOUNDS, TIME, FORWARDS, BACKWARDS];
