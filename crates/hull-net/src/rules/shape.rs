//! Chains, sets and rules as data, and as nfnetlink requests. Pure.

use super::expression::Expression;
use super::plan::Element;
use crate::mac::Mac;
use crate::names::{Instance, LinkName};
use crate::netlink::message::Message;
use crate::netlink::uapi::{
    NF_ACCEPT, NF_BR_PRE_ROUTING, NF_INET_FORWARD, NF_INET_POST_ROUTING, NF_INET_PRE_ROUTING,
    NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFPROTO_BRIDGE, NFPROTO_INET,
    NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWSET,
    NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE, NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY,
    NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE, NFTA_DATA_VALUE, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY,
    NFTA_LIST_ELEM, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_TABLE, NFTA_RULE_USERDATA,
    NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_FLAGS, NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE,
    NFTA_SET_NAME, NFTA_SET_TABLE, NFTA_SET_USERDATA, NFTA_TABLE_NAME, NLM_F_APPEND, NLM_F_CREATE,
};

/// Most elements in one request, so that its list fits in a 16-bit length.
const ELEMENTS_PER_REQUEST: usize = 512;
/// Kind of user data that is a comment (`NFTNL_UDATA_RULE_COMMENT`, libnftnl `udata.h`).
const COMMENT: u8 = 0;
/// Kind of user data that is a key's byte order (`NFTNL_UDATA_SET_KEYBYTEORDER`).
const KEY_BYTE_ORDER: u8 = 0;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// Frames on bridges.
    Bridge,
}

/// Where in a packet's way a chain is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hook {
    Prerouting,
    Forward,
    Postrouting,
}

/// A chain; what no rule decides it accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Chain {
    pub(super) family: Family,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) hook: Hook,
    pub(super) priority: i32,
}

/// A set of keys, each the concatenation of some fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Set {
    pub(super) family: Family,
    pub(super) name: &'static str,
    pub(super) key: &'static [field::Field],
}

/// A rule. Its comment tells people, and checks, which one it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rule {
    pub(super) family: Family,
    pub(super) chain: &'static str,
    pub(super) comment: &'static str,
    pub(super) steps: Vec<Expression>,
}

/// The fields of keys.
pub(super) mod field {
    use super::{LinkName, Mac};

    /// A field: the number by which `nft` knows its type (`include/datatype.h`), and its length,
    /// a multiple of four.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub(in super::super) struct Field {
        pub(super) number: u32,
        pub(super) len: u32,
    }

    pub(in super::super) const LINK: Field = Field { number: 41, len: 16 };
    pub(in super::super) const MAC: Field = Field { number: 9, len: 8 };
    pub(in super::super) const IPV4: Field = Field { number: 7, len: 4 };
    pub(in super::super) const IPV6: Field = Field { number: 8, len: 16 };

    /// A link's name as a key.
    pub(in super::super) fn link(name: &LinkName) -> Vec<u8> {
        let mut bytes = name.as_str().as_bytes().to_vec();
        bytes.resize(16, 0);
        bytes
    }

    /// A hardware address as a key.
    pub(in super::super) fn mac(mac: Mac) -> Vec<u8> {
        let mut bytes = mac.octets().to_vec();
        bytes.resize(8, 0);
        bytes
    }
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::Inet, Self::Bridge];

    fn number(self) -> u8 {
        match self {
            Self::Inet => NFPROTO_INET,
            Self::Bridge => NFPROTO_BRIDGE,
        }
    }

    /// A request of this family.
    pub(super) fn request(self, doing: String, kind: u16, flags: u16) -> Message {
        let kind = u16::from(NFNL_SUBSYS_NFTABLES) << 8 | kind;
        Message::new(doing, kind, flags, &[self.number(), 0, 0, 0])
    }
}

/// Requests as one transaction: all are done, or none.
pub(super) fn transaction(requests: Vec<Message>) -> Vec<Message> {
    let edge =
        |kind| Message::new("nftables transaction", kind, 0, &[0, 0, 0, NFNL_SUBSYS_NFTABLES]);
    let mut all = vec![edge(NFNL_MSG_BATCH_BEGIN)];
    let last = requests.len().saturating_sub(1);
    // A refusal is always sent; the last acknowledgement says that all is done.
    all.extend(
        requests
            .into_iter()
            .enumerate()
            .map(|(at, request)| if at == last { request.acknowledged() } else { request }),
    );
    all.push(edge(NFNL_MSG_BATCH_END));
    all
}

/// Makes the table unless it exists.
pub(super) fn add_table(family: Family, table: &Instance) -> Message {
    let doing = format!("add nftables table {table}");
    let mut message = family.request(doing, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    message.text(NFTA_TABLE_NAME, table.as_str());
    message
}

/// Removes the table and all in it.
pub(super) fn delete_table(family: Family, table: &Instance) -> Message {
    let doing = format!("remove nftables table {table}");
    let mut message = family.request(doing, NFT_MSG_DELTABLE, 0);
    message.text(NFTA_TABLE_NAME, table.as_str());
    message
}

impl Chain {
    pub(super) fn add(&self, table: &Instance) -> Message {
        let doing = format!("add nftables chain {table} {}", self.name);
        let mut message = self.family.request(doing, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        message.text(NFTA_CHAIN_TABLE, table.as_str());
        message.text(NFTA_CHAIN_NAME, self.name);
        message.nest(NFTA_CHAIN_HOOK, |hook| {
            hook.be32(NFTA_HOOK_HOOKNUM, self.hook.number(self.family));
            hook.be32(NFTA_HOOK_PRIORITY, self.priority.cast_unsigned());
        });
        message.be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
        message.text(NFTA_CHAIN_TYPE, self.kind);
        message
    }
}

impl Hook {
    fn number(self, family: Family) -> u32 {
        match (self, family) {
            (Self::Prerouting, Family::Inet) => NF_INET_PRE_ROUTING,
            (Self::Prerouting, Family::Bridge) => NF_BR_PRE_ROUTING,
            // The bridge hooks have the same numbers (linux/netfilter_bridge.h).
            (Self::Forward, _) => NF_INET_FORWARD,
            (Self::Postrouting, _) => NF_INET_POST_ROUTING,
        }
    }
}

impl Set {
    /// Makes the set. `id` must differ from that of others in the transaction.
    pub(super) fn add(&self, table: &Instance, id: u32) -> Message {
        let doing = format!("add nftables set {table} {}", self.name);
        let mut message = self.family.request(doing, NFT_MSG_NEWSET, NLM_F_CREATE);
        message.text(NFTA_SET_TABLE, table.as_str());
        message.text(NFTA_SET_NAME, self.name);
        message.be32(NFTA_SET_FLAGS, 0);
        // The kernel keeps the type for `nft list`; a concatenation's has six bits for each field.
        let kind = self.key.iter().fold(0, |kind, field| kind << 6 | field.number);
        message.be32(NFTA_SET_KEY_TYPE, kind);
        message.be32(NFTA_SET_KEY_LEN, self.key.iter().map(|field| field.len).sum());
        message.be32(NFTA_SET_ID, id);
        // Kept for `nft list` too, which would take a name for a number in network order.
        if self.key == [field::LINK] {
            let host_order = 1u32.to_ne_bytes();
            message.bytes(NFTA_SET_USERDATA, &[&[KEY_BYTE_ORDER, 4], &host_order[..]].concat());
        }
        message
    }

    /// Adds elements, those that exist excepted.
    pub(super) fn add_elements(&self, table: &Instance, elements: &[Element]) -> Vec<Message> {
        self.change(table, elements, (NFT_MSG_NEWSETELEM, NLM_F_CREATE))
    }

    /// Removes elements, which must exist.
    pub(super) fn delete_elements(&self, table: &Instance, elements: &[Element]) -> Vec<Message> {
        self.change(table, elements, (NFT_MSG_DELSETELEM, 0))
    }

    fn change(&self, table: &Instance, all: &[Element], (kind, flags): (u16, u16)) -> Vec<Message> {
        let keys = all.iter().filter(|(set, _)| *set == self.name).map(|(_, key)| key);
        let keys: Vec<&Vec<u8>> = keys.collect();
        let request = |keys: &[&Vec<u8>]| {
            let doing = format!("change elements of nftables set {table} {}", self.name);
            let mut message = self.family.request(doing, kind, flags);
            message.text(NFTA_SET_ELEM_LIST_TABLE, table.as_str());
            message.text(NFTA_SET_ELEM_LIST_SET, self.name);
            message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                for key in keys {
                    list.nest(NFTA_LIST_ELEM, |element| {
                        element.nest(NFTA_SET_ELEM_KEY, |k| k.bytes(NFTA_DATA_VALUE, key));
                    });
                }
            });
            message
        };
        keys.chunks(ELEMENTS_PER_REQUEST).map(request).collect()
    }
}

impl Rule {
    pub(super) fn add(&self, table: &Instance) -> Message {
        let doing = format!("add nftables rule {table} {} {:?}", self.chain, self.comment);
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        let mut message = self.family.request(doing, NFT_MSG_NEWRULE, flags);
        message.text(NFTA_RULE_TABLE, table.as_str());
        message.text(NFTA_RULE_CHAIN, self.chain);
        message.nest(NFTA_RULE_EXPRESSIONS, |list| {
            self.steps.iter().for_each(|step| step.write(list));
        });
        message.bytes(NFTA_RULE_USERDATA, &comment(self.comment));
        message
    }
}

/// A comment as `nft` writes it: kind, length, text, NUL.
fn comment(text: &str) -> Vec<u8> {
    // Ours are all short; a longer one would be cut where its length byte ends.
    let text = &text.as_bytes()[..text.len().min(127)];
    let len = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    [&[COMMENT, len], text, &[0]].concat()
}

/// The comment in a rule's user data.
pub(super) fn read_comment(userdata: &[u8]) -> Option<String> {
    let len = usize::from(*userdata.get(1)?);
    let text = userdata.get(2..2 + len).filter(|_| userdata[0] == COMMENT)?;
    Some(crate::netlink::attribute::text(text))
}
