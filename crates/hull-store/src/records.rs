//! Small rows that survive a `kill -9`: tables of keys and bytes, changed several at a time.
//!
//! SQLite with a write-ahead log that is not flushed at each commit. A commit costs some tens of
//! microseconds; once it returns, the death of this process cannot undo it. A power loss may take
//! the last commits, whole ones and in order, and never damages what is older. Measured against
//! redb in `docs/decisions/0001-records.md`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};

use crate::error::Kind;

/// A table's name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Table(&'static str);

impl Table {
    /// The table called `name`. It exists without being made; names beginning with `store.` are
    /// this crate's own.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

/// One change of a batch.
#[derive(Clone, Debug)]
pub enum Change {
    /// Writes a row, over an older one with that key.
    Put(Table, String, Vec<u8>),
    /// Removes a row; none with that key is no error.
    Delete(Table, String),
}

/// The database failed.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// Written by a newer hull.
    #[error(
        "{} has version {found} and this hull knows up to {}\nhint: use the hull that wrote it, or a newer one",
        path.display(), Records::VERSION
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Not hull's.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// A value does not read back.
    #[error("read {table} {key}")]
    Value {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What the decoder said.
        source: serde_json::Error,
    },
    /// SQLite said no.
    #[error("{doing} in {}", path.display())]
    Database {
        /// What was attempted.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
}

impl RecordsError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } | Self::Foreign { .. } => Kind::Invalid,
            Self::Value { .. } => Kind::Corrupt,
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Kind::Full,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Corrupt,
                _ => Kind::Host,
            },
        }
    }
}

/// The rows of one store.
pub struct Records {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Records {
    /// The version of the schema this code writes.
    const VERSION: u32 = 1;
    /// "hull" in ASCII, so that `file` and we know our own.
    const APPLICATION: u32 = 0x6875_6c6c;

    /// Opens or makes the database. One process at a time: another one's attempt fails.
    pub fn open(path: &Path) -> Result<Self, RecordsError> {
        let failed = |doing| {
            let path = path.to_owned();
            move |source| RecordsError::Database { doing, path, source }
        };
        let connection = Connection::open(path).map_err(failed("open the database"))?;
        // Exclusive before the journal mode: the log's index is then in memory, not in a file.
        // The cache is 512 KiB; these tables are small and read at start.
        connection
            .execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512;
                 PRAGMA journal_size_limit = 1048576;",
            )
            .map_err(failed("configure the database"))?;
        let pragma = |name: &str| connection.query_row(name, (), |row| row.get::<_, u32>(0));
        let found = pragma("PRAGMA user_version").map_err(failed("read the version"))?;
        let application = pragma("PRAGMA application_id").map_err(failed("read the owner"))?;
        let tables = pragma("SELECT count(*) FROM sqlite_schema").map_err(failed("read tables"))?;
        if tables > 0 && application != Self::APPLICATION {
            return Err(RecordsError::Foreign { path: path.to_owned() });
        }
        if found > Self::VERSION {
            return Err(RecordsError::Newer { path: path.to_owned(), found });
        }
        if found == 0 {
            connection.execute_batch(&schema()).map_err(failed("make tables"))?;
        }
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// Writes one row.
    pub fn put(&self, table: Table, key: &str, value: &[u8]) -> Result<(), RecordsError> {
        let done = put(&self.lock(), table, key, value);
        done.map_err(|e| self.failed("write a row", e))
    }

    /// The value at `key`.
    pub fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        let connection = self.lock();
        connection
            .prepare_cached("SELECT value FROM record WHERE kind = ?1 AND key = ?2")
            .and_then(|mut rows| rows.query_row((table.0, key), |row| row.get(0)).optional())
            .map_err(|e| self.failed("read a row", e))
    }

    /// Removes one row; returns whether there was one.
    pub fn delete(&self, table: Table, key: &str) -> Result<bool, RecordsError> {
        let removed = delete(&self.lock(), table, key);
        removed.map_err(|e| self.failed("remove a row", e))
    }

    /// Every row of `table`, by key.
    pub fn list(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, RecordsError> {
        let connection = self.lock();
        connection
            .prepare_cached("SELECT key, value FROM record WHERE kind = ?1 ORDER BY key")
            .and_then(|mut rows| {
                rows.query_map([table.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(|e| self.failed("list rows", e))
    }

    /// Carries out all of `changes`, or none.
    pub fn batch(&self, changes: &[Change]) -> Result<(), RecordsError> {
        let mut connection = self.lock();
        let mut all = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for change in changes {
                match change {
                    Change::Put(table, key, value) => put(&transaction, *table, key, value)?,
                    Change::Delete(table, key) => {
                        delete(&transaction, *table, key)?;
                    }
                }
            }
            transaction.commit()
        };
        all().map_err(|e| self.failed("write rows", e))
    }

    /// Every row of `table`, read as JSON.
    pub(crate) fn read_all<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
    ) -> Result<Vec<(String, T)>, RecordsError> {
        self.list(table)?
            .into_iter()
            .map(|(key, value)| match serde_json::from_slice(&value) {
                Ok(value) => Ok((key, value)),
                Err(source) => Err(RecordsError::Value { table: table.0, key, source }),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding it has rolled its transaction back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &'static str, source: rusqlite::Error) -> RecordsError {
        RecordsError::Database { doing, path: self.path.clone(), source }
    }
}

fn put(db: &Connection, table: Table, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO record (kind, key, value) VALUES (?1, ?2, ?3)")?
        .execute((table.0, key, value))?;
    Ok(())
}

fn delete(db: &Connection, table: Table, key: &str) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached("DELETE FROM record WHERE kind = ?1 AND key = ?2")?;
    Ok(statement.execute((table.0, key))? > 0)
}

fn schema() -> String {
    format!(
        "BEGIN;
         CREATE TABLE record (
             kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
             PRIMARY KEY (kind, key)
         ) WITHOUT ROWID;
         PRAGMA application_id = {};
         PRAGMA user_version = {};
         COMMIT;",
        Records::APPLICATION,
        Records::VERSION
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Table = Table::new("a");
    const B: Table = Table::new("b");

    fn records() -> (tempfile::TempDir, Records) {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(&dir.path().join("hull.db")).unwrap();
        (dir, records)
    }

    #[test]
    fn rows_are_written_read_listed_and_removed() {
        let (_dir, records) = records();
        records.put(A, "k", b"1").unwrap();
        records.put(A, "k", b"2").unwrap();
        records.put(B, "k", b"3").unwrap();
        assert_eq!(records.get(A, "k").unwrap(), Some(b"2".to_vec()));
        assert_eq!(records.list(A).unwrap(), [("k".to_owned(), b"2".to_vec())]);
        assert!(records.delete(A, "k").unwrap() && !records.delete(A, "k").unwrap());
        assert_eq!(records.get(B, "k").unwrap(), Some(b"3".to_vec()));
    }

    #[test]
    fn rows_survive_reopening_and_a_batch_is_whole() {
        let (dir, records) = records();
        records
            .batch(&[
                Change::Put(A, "1".into(), vec![1]),
                Change::Put(A, "2".into(), vec![2]),
                Change::Delete(A, "1".into()),
            ])
            .unwrap();
        drop(records);
        let records = Records::open(&dir.path().join("hull.db")).unwrap();
        assert_eq!(records.list(A).unwrap(), [("2".to_owned(), vec![2])]);
    }

    #[test]
    fn what_is_newer_foreign_damaged_or_taken_is_refused() {
        let (dir, records) = records();
        let path = dir.path().join("hull.db");
        assert_eq!(Records::open(&path).err().unwrap().kind(), Kind::Host);
        records.lock().execute_batch("PRAGMA user_version = 99").unwrap();
        drop(records);
        let newer = Records::open(&path).err().unwrap();
        assert!(newer.to_string().contains("version 99"), "{newer}");

        let other = dir.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(Records::open(&other), Err(RecordsError::Foreign { .. })));

        let junk = dir.path().join("junk.db");
        std::fs::write(&junk, vec![b'x'; 8192]).unwrap();
        assert_eq!(Records::open(&junk).err().unwrap().kind(), Kind::Corrupt);
    }
}
