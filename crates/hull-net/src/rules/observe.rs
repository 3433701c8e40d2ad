//! What the kernel enforces, to be compared with what it should.

use std::collections::BTreeSet;

use super::plan::{self, SETS};
use super::shape::{Family, Set, read_comment};
use crate::names::Instance;
use crate::netlink::NetlinkError;
use crate::netlink::attribute;
use crate::netlink::socket::Socket;
use crate::netlink::uapi::{
    NFT_MSG_GETRULE, NFT_MSG_GETSETELEM, NFTA_DATA_VALUE, NFTA_RULE_CHAIN, NFTA_RULE_TABLE,
    NFTA_RULE_USERDATA, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_TABLE,
};
use crate::ruleset::Ruleset;

/// Length of `struct nfgenmsg`.
const FIXED_LEN: usize = 4;

/// The rules and elements of an instance's tables. Two are equal if they enforce the same, as far
/// as rules are what their comments say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// Chain and comment of each rule, in order.
    rules: Vec<(Family, String, String)>,
    elements: BTreeSet<(&'static str, Vec<u8>)>,
}

impl Observed {
    /// What should be observed once this ruleset is applied.
    pub fn expected(ruleset: &Ruleset) -> Self {
        let rules = plan::rules().into_iter();
        Self {
            rules: rules.map(|r| (r.family, r.chain.to_owned(), r.comment.to_owned())).collect(),
            elements: plan::elements(ruleset).into_iter().collect(),
        }
    }

    /// Whether there is nothing: never applied, flushed, or removed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.elements.is_empty()
    }
}

/// Reads the instance's tables.
pub fn observe(instance: &Instance) -> Result<Observed, NetlinkError> {
    let mut socket = Socket::netfilter()?;
    let mut observed = Observed::default();
    for family in Family::ALL {
        observed.rules.extend(rules(&mut socket, family, instance)?);
    }
    for set in &SETS {
        match keys(&mut socket, set, instance) {
            Ok(keys) => observed.elements.extend(keys.into_iter().map(|key| (set.name, key))),
            Err(error) if error.is(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(observed)
}

type FoundRule = (Family, String, String);

fn rules(
    socket: &mut Socket,
    family: Family,
    table: &Instance,
) -> Result<Vec<FoundRule>, NetlinkError> {
    let replies = socket.dump(|flags| {
        let doing = format!("list rules of nftables table {table}");
        let mut message = family.request(doing, NFT_MSG_GETRULE, flags);
        message.text(NFTA_RULE_TABLE, table.as_str());
        message
    })?;
    let read = |body: &[u8]| {
        let attributes = body.get(FIXED_LEN..)?;
        let chain = attribute::find(attributes, NFTA_RULE_CHAIN).map(attribute::text)?;
        let comment = attribute::find(attributes, NFTA_RULE_USERDATA).and_then(read_comment);
        Some((family, chain, comment.unwrap_or_default()))
    };
    Ok(replies.iter().filter_map(|(_, body)| read(body)).collect())
}

fn keys(socket: &mut Socket, set: &Set, table: &Instance) -> Result<Vec<Vec<u8>>, NetlinkError> {
    let replies = socket.dump(|flags| {
        let doing = format!("list elements of nftables set {table} {}", set.name);
        let mut message = set.family.request(doing, NFT_MSG_GETSETELEM, flags);
        message.text(NFTA_SET_ELEM_LIST_TABLE, table.as_str());
        message.text(NFTA_SET_ELEM_LIST_SET, set.name);
        message
    })?;
    let mut found = Vec::new();
    for (_, body) in &replies {
        let attributes = body.get(FIXED_LEN..).unwrap_or_default();
        let list = attribute::find(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or_default();
        found.extend(attribute::all(list).filter_map(|(_, element)| {
            let key = attribute::find(element, NFTA_SET_ELEM_KEY)?;
            attribute::find(key, NFTA_DATA_VALUE).map(<[u8]>::to_vec)
        }));
    }
    Ok(found)
}
