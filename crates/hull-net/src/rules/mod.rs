//! The firewall of an instance: two nftables tables named after it, one for IP packets (`inet`), one
//! for frames (`bridge`). Tables of others are never touched.

mod expression;
mod observe;
mod plan;
mod shape;

pub use observe::{Observed, observe};

use crate::names::Instance;
use crate::netlink::NetlinkError;
use crate::netlink::message::Message;
use crate::netlink::socket::Socket;
use crate::ruleset::{Guard, Ruleset};
use plan::{CHAINS, Element, SETS};
use shape::{Family, Set};

/// The firewall could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The kernel refused. Nothing was changed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The tables are not there: never applied, or flushed by somebody.
    #[error("the nftables tables {instance} are missing or not ours (hint: apply the rules again)")]
    Missing {
        /// Whose.
        instance: Instance,
        /// What the kernel said.
        source: NetlinkError,
    },
}

/// Makes the kernel's rules those of the ruleset, in one transaction: there is no moment without.
///
/// Whatever was in the instance's tables is replaced. Connections go on.
pub fn apply(ruleset: &Ruleset) -> Result<(), RulesError> {
    Ok(commit(replacement(ruleset))?)
}

/// Removes the instance's tables, if they exist.
pub fn remove(instance: &Instance) -> Result<(), RulesError> {
    let requests = Family::ALL.iter().flat_map(|family| clear(*family, instance));
    Ok(commit(requests.collect())?)
}

/// Lets one more endpoint's packets through. Repeating it changes nothing.
pub(crate) fn admit(instance: &Instance, guard: &Guard) -> Result<(), RulesError> {
    let elements = plan::admissions(guard);
    let requests = SETS.iter().flat_map(|set| set.add_elements(instance, &elements)).collect();
    commit(requests).map_err(|error| missing(instance, error))
}

/// Takes one endpoint's packets off the list again. An endpoint that is not on it is no error.
pub(crate) fn expel(instance: &Instance, guard: &Guard) -> Result<(), RulesError> {
    let elements = plan::admissions(guard);
    // What is not there cannot be deleted, and would fail the whole transaction.
    let change = |set: &Set, elements: &[Element]| {
        let mut requests = set.add_elements(instance, elements);
        requests.extend(set.delete_elements(instance, elements));
        requests
    };
    let requests = SETS.iter().flat_map(|set| change(set, &elements)).collect();
    match commit(requests) {
        Err(error) if error.is(rustix::io::Errno::NOENT) => Ok(()),
        done => Ok(done?),
    }
}

fn missing(instance: &Instance, error: NetlinkError) -> RulesError {
    if error.is(rustix::io::Errno::NOENT) {
        return RulesError::Missing { instance: instance.clone(), source: error };
    }
    error.into()
}

fn commit(requests: Vec<Message>) -> Result<(), NetlinkError> {
    Socket::netfilter()?.transact(&shape::transaction(requests))
}

/// An empty slate, whatever was there: what does not exist cannot be deleted, so it is made first.
fn clear(family: Family, table: &Instance) -> [Message; 2] {
    [shape::add_table(family, table), shape::delete_table(family, table)]
}

/// The whole ruleset as requests. Pure.
fn replacement(ruleset: &Ruleset) -> Vec<Message> {
    let table = &ruleset.instance;
    let elements = plan::elements(ruleset);
    let mut requests = Vec::new();
    for family in Family::ALL {
        requests.extend(clear(family, table));
        requests.push(shape::add_table(family, table));
    }
    requests.extend((1..).zip(&SETS).map(|(id, set)| set.add(table, id)));
    requests.extend(SETS.iter().flat_map(|set| set.add_elements(table, &elements)));
    requests.extend(CHAINS.iter().map(|chain| chain.add(table)));
    requests.extend(plan::rules().iter().map(|rule| rule.add(table)));
    requests
}
