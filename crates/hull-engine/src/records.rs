//! The guests' records on disk.

use std::sync::Arc;

use hull_model::id::GuestId;
use hull_store::Store;
use hull_store::records::{RecordsError, Table};

use crate::error::{Error, Kind, Result};
use crate::record::GuestRecord;

const GUESTS: Table = Table::new("guests");

/// Reads and writes guests' records.
#[derive(Clone)]
pub(crate) struct GuestRecords(pub(crate) Arc<Store>);

impl GuestRecords {
    /// Writes the record; once this returns, killing the daemon does not undo it.
    pub(crate) async fn save(&self, record: &GuestRecord) -> Result<()> {
        let key = record.id.to_string();
        let value = encode(record)?;
        self.change(move |store| store.records.put(GUESTS, &key, &value)).await
    }

    /// As [`Self::save`], for a thread that may block.
    pub(crate) fn save_blocking(&self, record: &GuestRecord) -> Result<()> {
        let value = encode(record)?;
        let saved = self.0.records.put(GUESTS, &record.id.to_string(), &value);
        saved.map_err(of_records("write a guest's record"))
    }

    /// As [`Self::delete`], for a thread that may block.
    pub(crate) fn delete_blocking(&self, id: &GuestId) -> Result<()> {
        let deleted = self.0.records.delete(GUESTS, &id.to_string());
        deleted.map(drop).map_err(of_records("remove a guest's record"))
    }

    /// Removes the record; none is no error.
    pub(crate) async fn delete(&self, id: &GuestId) -> Result<()> {
        let key = id.to_string();
        self.change(move |store| store.records.delete(GUESTS, &key).map(drop)).await
    }

    /// All of them. One that cannot be read is an error: going on would leak its guest.
    pub(crate) fn load(&self) -> Result<Vec<GuestRecord>> {
        let rows = self.0.records.list(GUESTS).map_err(of_records("read the guests' records"))?;
        rows.iter()
            .map(|(key, value)| {
                serde_json::from_slice(value)
                    .map_err(Error::internal(format!("read the record of guest {key}")))
            })
            .collect()
    }

    async fn change(
        &self,
        change: impl FnOnce(&Store) -> Result<(), RecordsError> + Send + 'static,
    ) -> Result<()> {
        let store = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || change(&store)).await;
        done.map_err(Error::internal("write a record"))?.map_err(of_records("write a record"))
    }
}

fn encode(record: &GuestRecord) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(Error::internal("write a guest's record"))
}

pub(crate) fn of_records(doing: &'static str) -> impl FnOnce(RecordsError) -> Error {
    move |error| of_store(doing)(error.into())
}

/// The store's failures in the engine's terms. Where the store's text is Docker's, nothing is put
/// before it.
pub(crate) fn of_store(doing: impl Into<String>) -> impl FnOnce(hull_store::Error) -> Error {
    use hull_store::Kind as Store;
    let doing = doing.into();
    move |error| match error.kind() {
        Store::Missing => Error::new(Kind::Missing, chain(&error)),
        Store::Invalid => Error::new(Kind::Invalid, chain(&error)),
        Store::Conflict => Error::new(Kind::Conflict, chain(&error)),
        Store::Full => Error::caused(Kind::Unavailable, doing, error),
        Store::Corrupt | Store::Host => Error::caused(Kind::Internal, doing, error),
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
