//! Guests whose namespaces another one shares.

use hull_container::plan;
use hull_model::id::GuestId;
use hull_model::id_range::IdRange;
use hull_model::life::State;
use hull_model::namespace::{self, Ipc, Network, Share, Users};

use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::record::GuestRecord;

/// The partners of one guest, found and running.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partners {
    pub(crate) network: Option<Partner>,
    pid: Option<Partner>,
    ipc: Option<Partner>,
    user: Option<Partner>,
}

/// A running guest that another one shares something with.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    pub(crate) id: GuestId,
    pid: u32,
    ids: Option<IdRange>,
}

/// Under which host ids a guest with partners has to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ids {
    /// It has no partners: as it likes.
    Own,
    /// The partners'.
    Shared(IdRange),
    /// The partners are in the host's user namespace.
    Host,
}

impl Partners {
    /// Partners must agree: a guest has one user namespace.
    pub(crate) fn ids(&self) -> Result<Ids> {
        let all = [&self.network, &self.pid, &self.ipc, &self.user];
        let mut all = all.into_iter().flatten();
        let Some(first) = all.next() else { return Ok(Ids::Own) };
        if all.any(|other| other.ids != first.ids) {
            let text = "the containers whose namespaces are to be shared have different user \
                        namespaces; hint: start them with --userns=host";
            return Err(Error::new(Kind::Invalid, text));
        }
        Ok(first.ids.map_or(Ids::Host, Ids::Shared))
    }

    /// As the planner wants them.
    pub(crate) fn as_model(&self) -> plan::Partners {
        let model = |partner: &Option<Partner>| {
            partner.as_ref().map(|partner| namespace::Partner { id: partner.id, pid: partner.pid })
        };
        let (network, pid, ipc) = (model(&self.network), model(&self.pid), model(&self.ipc));
        plan::Partners { network, pid, ipc, user: model(&self.user) }
    }
}

/// Finds the partners that `record` names.
pub(crate) fn find(engine: &Inner, record: &GuestRecord) -> Result<Partners> {
    let namespaces = &record.spec.namespaces;
    let mut partners = Partners::default();
    if let Network::Guest(name) = &namespaces.network {
        partners.network = Some(partner(engine, record, name)?);
    }
    if let Share::Guest(name) = &namespaces.pid {
        partners.pid = Some(partner(engine, record, name)?);
    }
    if let Ipc::Guest(name) = &namespaces.ipc {
        let partner = partner(engine, record, name)?;
        let other = engine.index().find(name)?.record();
        if other.spec.namespaces.ipc != Ipc::Shareable {
            let text = format!("cannot join IPC of a non-shareable container: {name}");
            return Err(Error::new(Kind::Conflict, text));
        }
        partners.ipc = Some(partner);
    }
    if let Users::Guest(name) = &namespaces.user {
        partners.user = Some(partner(engine, record, name)?);
    }
    Ok(partners)
}

fn partner(engine: &Inner, asking: &GuestRecord, name: &str) -> Result<Partner> {
    let guest = engine.index().find(name)?;
    if guest.id() == asking.id {
        let text = "a container cannot share its own namespaces with itself";
        return Err(Error::new(Kind::Invalid, text));
    }
    let record = guest.record();
    match (record.state, record.pid) {
        (State::Running | State::Paused, Some(pid)) => {
            Ok(Partner { id: record.id, pid, ids: record.id_range })
        }
        _ => {
            let text =
                format!("cannot join the namespaces of a non running container: {}", record.id);
            Err(Error::new(Kind::Conflict, text))
        }
    }
}
