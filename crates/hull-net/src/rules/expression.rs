//! The kernel's rule expressions that we use, and how they are written in a message. Pure.

use crate::netlink::message::Message;
use crate::netlink::uapi::{
    NFT_CMP_EQ, NFT_CMP_NEQ, NFT_CT_STATE, NFT_CT_STATUS, NFT_LOOKUP_F_INV, NFT_META_IIFNAME,
    NFT_META_L4PROTO, NFT_META_NFPROTO, NFT_META_OIFNAME, NFT_PAYLOAD_LL_HEADER,
    NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_VERDICT, NFT_REG32_00,
    NFTA_BITWISE_DREG, NFTA_BITWISE_LEN, NFTA_BITWISE_MASK, NFTA_BITWISE_SREG, NFTA_BITWISE_XOR,
    NFTA_CMP_DATA, NFTA_CMP_OP, NFTA_CMP_SREG, NFTA_CT_DREG, NFTA_CT_KEY, NFTA_DATA_VALUE,
    NFTA_DATA_VERDICT, NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG,
    NFTA_LIST_ELEM, NFTA_LOOKUP_FLAGS, NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_META_DREG,
    NFTA_META_KEY, NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET,
    NFTA_VERDICT_CODE,
};

/// A place in the rule's memory: sixteen words of four bytes.
pub(super) type Register = u32;

/// A property of the packet that is not in its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meta {
    /// The link it came by, 16 bytes.
    InLink,
    /// The link it leaves by, 16 bytes.
    OutLink,
    /// IPv4 or IPv6, one byte.
    Family,
    /// TCP, UDP, …, one byte.
    Transport,
}

/// Where bytes of the packet are counted from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Header {
    Link,
    Network,
    Transport,
}

/// What connection tracking knows of the packet, four bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Connection {
    State,
    Status,
}

/// Where a rule ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Accept,
    Drop,
}

/// One step of a rule. A comparison or lookup that fails ends the rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expression {
    Load(Meta, Register),
    Payload {
        header: Header,
        offset: u32,
        len: u32,
        to: Register,
    },
    Track(Connection, Register),
    /// Keeps these bits, and goes on if any is left.
    AnyBit {
        register: Register,
        mask: u32,
    },
    Equal {
        register: Register,
        value: Vec<u8>,
    },
    In {
        set: &'static str,
        register: Register,
    },
    NotIn {
        set: &'static str,
        register: Register,
    },
    Masquerade,
    End(Verdict),
}

impl Expression {
    /// Writes it as an element of a list of expressions.
    pub(super) fn write(&self, list: &mut Message) {
        match self {
            Self::Load(key, to) => element(list, "meta", |data| {
                data.be32(NFTA_META_KEY, key.number());
                data.be32(NFTA_META_DREG, NFT_REG32_00 + to);
            }),
            Self::Payload { header, offset, len, to } => element(list, "payload", |data| {
                data.be32(NFTA_PAYLOAD_DREG, NFT_REG32_00 + to);
                data.be32(NFTA_PAYLOAD_BASE, header.number());
                data.be32(NFTA_PAYLOAD_OFFSET, *offset);
                data.be32(NFTA_PAYLOAD_LEN, *len);
            }),
            Self::Track(key, to) => element(list, "ct", |data| {
                data.be32(NFTA_CT_DREG, NFT_REG32_00 + to);
                data.be32(NFTA_CT_KEY, key.number());
            }),
            Self::AnyBit { register, mask } => {
                element(list, "bitwise", |data| {
                    data.be32(NFTA_BITWISE_SREG, NFT_REG32_00 + register);
                    data.be32(NFTA_BITWISE_DREG, NFT_REG32_00 + register);
                    data.be32(NFTA_BITWISE_LEN, 4);
                    data.nest(NFTA_BITWISE_MASK, |v| v.u32(NFTA_DATA_VALUE, *mask));
                    data.nest(NFTA_BITWISE_XOR, |v| v.u32(NFTA_DATA_VALUE, 0));
                });
                compare(list, *register, (NFT_CMP_NEQ, &[0; 4]));
            }
            Self::Equal { register, value } => compare(list, *register, (NFT_CMP_EQ, value)),
            Self::In { set, register } => lookup(list, set, (*register, 0)),
            Self::NotIn { set, register } => lookup(list, set, (*register, NFT_LOOKUP_F_INV)),
            Self::Masquerade => element(list, "masq", |_| {}),
            Self::End(verdict) => element(list, "immediate", |data| {
                data.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
                data.nest(NFTA_IMMEDIATE_DATA, |value| {
                    value.nest(NFTA_DATA_VERDICT, |code| {
                        code.be32(NFTA_VERDICT_CODE, verdict.number());
                    });
                });
            }),
        }
    }
}

fn element(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nest(NFTA_LIST_ELEM, |element| {
        element.text(NFTA_EXPR_NAME, name);
        element.nest(NFTA_EXPR_DATA, fill);
    });
}

fn compare(list: &mut Message, register: Register, (operator, value): (u32, &[u8])) {
    element(list, "cmp", |data| {
        data.be32(NFTA_CMP_SREG, NFT_REG32_00 + register);
        data.be32(NFTA_CMP_OP, operator);
        data.nest(NFTA_CMP_DATA, |nest| nest.bytes(NFTA_DATA_VALUE, value));
    });
}

fn lookup(list: &mut Message, set: &str, (register, flags): (Register, u32)) {
    element(list, "lookup", |data| {
        data.text(NFTA_LOOKUP_SET, set);
        data.be32(NFTA_LOOKUP_SREG, NFT_REG32_00 + register);
        data.be32(NFTA_LOOKUP_FLAGS, flags);
    });
}

impl Meta {
    fn number(self) -> u32 {
        match self {
            Self::InLink => NFT_META_IIFNAME,
            Self::OutLink => NFT_META_OIFNAME,
            Self::Family => NFT_META_NFPROTO,
            Self::Transport => NFT_META_L4PROTO,
        }
    }
}

impl Header {
    fn number(self) -> u32 {
        match self {
            Self::Link => NFT_PAYLOAD_LL_HEADER,
            Self::Network => NFT_PAYLOAD_NETWORK_HEADER,
            Self::Transport => NFT_PAYLOAD_TRANSPORT_HEADER,
        }
    }
}

impl Connection {
    fn number(self) -> u32 {
        match self {
            Self::State => NFT_CT_STATE,
            Self::Status => NFT_CT_STATUS,
        }
    }
}

impl Verdict {
    fn number(self) -> u32 {
        match self {
            Self::Drop => crate::netlink::uapi::NF_DROP,
            Self::Accept => crate::netlink::uapi::NF_ACCEPT,
        }
    }
}
