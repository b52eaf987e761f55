//! The tables, and how those of an older program become those of this one.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// What each version adds to the one before; the first begins with an empty file. Entries are never changed once released.
pub(super) const MIGRATIONS: [&str; 1] = [
    // `store` is one row. The messages of a journal lie together in the order of their numbers; its head is in `journal`, so that
    // nothing has to be counted at the start. `time_ms` is the greatest `at_ms` up to this message: it never goes back, so reading
    // by time finds its place by halving, and needs no index that each message would have to be written to.
    "CREATE TABLE store (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        starts INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE record (
        kind INTEGER NOT NULL,
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT;
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        first INTEGER NOT NULL,
        next INTEGER NOT NULL,
        count INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        time_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE entry (
        journal INTEGER NOT NULL,
        number INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        id BLOB NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (journal, number)
    ) STRICT, WITHOUT ROWID;",
];

/// Marks a file as a hub's store: `LRHB`.
pub(super) const APPLICATION_ID: i64 = 0x4c52_4842;

/// What a file is, before anything of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing yet.
    Empty,
    /// A store with this schema.
    Store(i64),
    /// Something else.
    Foreign,
}

/// Looks at a file's marks.
pub(super) fn kind(connection: &Connection) -> Result<Kind, StoreError> {
    let application = number(connection, "application_id")?;
    let schema = number(connection, "user_version")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(match (application, schema, tables) {
        (APPLICATION_ID, 1.., _) => Kind::Store(schema),
        (0, 0, 0) => Kind::Empty,
        _ => Kind::Foreign,
    })
}

/// Brings a store of this schema to the newest, each version in a transaction of its own.
pub(super) fn migrate(
    connection: &mut Connection,
    from: i64,
    migrations: &[&str],
) -> Result<(), StoreError> {
    for (version, migration) in (1_i64..).zip(migrations) {
        if version <= from {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The newest schema.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn number(connection: &Connection, pragma: &str) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, pragma, |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement.query_map((), |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn a_store_of_each_older_schema_becomes_the_same_as_a_new_one() {
        let mut new = Connection::open_in_memory().unwrap();
        assert_eq!(kind(&new), Ok(Kind::Empty));
        migrate(&mut new, 0, &MIGRATIONS).unwrap();
        assert_eq!(kind(&new), Ok(Kind::Store(newest())));
        for version in 0..MIGRATIONS.len() {
            let mut old = Connection::open_in_memory().unwrap();
            migrate(&mut old, 0, &MIGRATIONS[..version]).unwrap();
            let from = i64::try_from(version).unwrap();
            migrate(&mut old, from, &MIGRATIONS).unwrap();
            assert_eq!(tables(&old), tables(&new), "from schema {version}");
            assert_eq!(kind(&old), Ok(Kind::Store(newest())));
        }
    }

    #[test]
    fn a_migration_that_fails_leaves_the_schema_of_before() {
        let later = [
            "CREATE TABLE a (x INTEGER)",
            "ALTER TABLE a ADD COLUMN y INTEGER",
            "CREATE TABLE b (x INTEGER); INSERT INTO c VALUES (1)",
        ];
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection, 0, &later).is_err());
        assert_eq!(kind(&connection), Ok(Kind::Store(2)));
        assert_eq!(
            tables(&connection),
            ["CREATE TABLE a (x INTEGER, y INTEGER)"]
        );
    }

    #[test]
    fn another_programs_database_is_foreign() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE a (x)").unwrap();
        assert_eq!(kind(&connection), Ok(Kind::Foreign));
        connection.execute_batch("PRAGMA user_version = 1").unwrap();
        assert_eq!(kind(&connection), Ok(Kind::Foreign));
    }
}
