//! nf_tables over netlink: one table a bridge, with the one rule of NAT, added and removed in one transaction. Numbers are
//! those of linux/netfilter/nf_tables.h and nfnetlink.h; theirs are in network byte order.

use crate::address::Address;
use chain::Refusal;
use chain::netlink::{Message, Netlink, attribute, string};
use nix::sys::socket::SockProtocol;

const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
const BATCH_BEGIN: u16 = libc::NLMSG_MIN_TYPE as u16;
const BATCH_END: u16 = BATCH_BEGIN + 1;
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;

const TABLE_NAME: u16 = 1;
const TABLE_USERDATA: u16 = 6;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;

const POSTROUTING: u32 = 4;
/// After the rules of others that change sources: NF_IP_PRI_NAT_SRC.
const PRIORITY: u32 = 100;
const REGISTER: u32 = 1;
const NETWORK_HEADER: u32 = 1;
/// Offsets in the header of a packet of version 4.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;

/// Before the name of the bridge.
const PREFIX: &str = "boxutils_";
/// Before the network where there is no bridge.
const ROUTED: &str = "routed/";
/// Before the value that forwarding had, in the table's comment.
const RECORD: &str = "ip_forward=";

/// A table of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The bridge it is for; without one, [`routed`].
    pub bridge: String,
    /// What /proc/sys/net/ipv4/ip_forward held before the first of them.
    pub forwarding: String,
}

/// The name of the table of a bridge.
pub fn name_of(bridge: &str) -> String {
    format!("{PREFIX}{bridge}")
}

/// What a network without a bridge is called, as no bridge can be: it is told by its slashes.
pub fn routed(network: Address) -> String {
    format!("{ROUTED}{}", network.network())
}

/// Whether that is the name of such a network.
pub fn is_routed(name: &str) -> bool {
    name.starts_with(ROUTED)
}

/// The comment of a table, as nft(8) shows it.
pub fn comment(forwarding: &str) -> String {
    format!("{RECORD}{forwarding}")
}

/// A message of nf_tables for the family of version 4: `struct nfgenmsg` is family, version, resource.
fn message(kind: u16, flags: i32) -> Message {
    message_of(libc::AF_INET as u8, kind, flags)
}

fn message_of(family: u8, kind: u16, flags: i32) -> Message {
    Message::new(SUBSYSTEM | kind, flags).fixed(&[family, 0, 0, 0])
}

fn batch(messages: Vec<Message>) -> Vec<Message> {
    let resource = (libc::NFNL_SUBSYS_NFTABLES as u16).to_be_bytes();
    let bound = |kind| Message::new(kind, 0).fixed(&[0, 0, resource[0], resource[1]]);
    [bound(BATCH_BEGIN)].into_iter().chain(messages).chain([bound(BATCH_END)]).collect()
}

/// User data as nft(8) writes a comment: type 0, length, text with its NUL.
fn user_data(text: &str) -> Vec<u8> {
    [&[0, text.len() as u8 + 1], text.as_bytes(), &[0]].concat()
}

fn table_of(name: &str, user_data: &[u8]) -> Option<Table> {
    let bridge = name.strip_prefix(PREFIX)?.to_owned();
    let comment = user_data.get(2..).map(string).unwrap_or_default();
    Some(Table { bridge, forwarding: comment.strip_prefix(RECORD)?.to_owned() })
}

/// An expression of a rule.
fn expression(rule: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    rule.nest(LIST_ELEMENT, |element| element.text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data))
}

/// Compares the network of an address of the packet with ours.
fn compares(rule: Message, offset: u32, network: Address, is_equal: bool) -> Message {
    let be = |number: u32| number.to_be_bytes();
    let value =
        |kind, bytes: Vec<u8>| move |data: Message| data.nest(kind, |data| data.with(DATA_VALUE, &bytes));
    let rule = expression(rule, "payload", |data| {
        data.with(1, &be(REGISTER)).with(2, &be(NETWORK_HEADER)).with(3, &be(offset)).with(4, &be(4))
    });
    let rule = expression(rule, "bitwise", |data| {
        let data = data.with(1, &be(REGISTER)).with(2, &be(REGISTER)).with(3, &be(4));
        value(5, vec![0; 4])(value(4, network.mask().into())(data))
    });
    expression(rule, "cmp", |data| {
        let data = data.with(1, &be(REGISTER)).with(2, &be(u32::from(!is_equal)));
        value(3, network.network().bytes())(data)
    })
}

/// The table with its chain and its rule: what comes from the network and goes out of it takes this machine's address.
fn masquerade(bridge: &str, network: Address, forwarding: &str) -> Vec<Message> {
    let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let name = name_of(bridge);
    let table = message(NEWTABLE, create)
        .text(TABLE_NAME, &name)
        .with(TABLE_USERDATA, &user_data(&comment(forwarding)));
    let chain = message(NEWCHAIN, create)
        .text(CHAIN_TABLE, &name)
        .text(CHAIN_NAME, "postrouting")
        .nest(CHAIN_HOOK, |hook| {
            hook.with(HOOK_NUMBER, &POSTROUTING.to_be_bytes()).with(HOOK_PRIORITY, &PRIORITY.to_be_bytes())
        })
        .text(CHAIN_TYPE, "nat");
    let rule = message(NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND | libc::NLM_F_ACK)
        .text(RULE_TABLE, &name)
        .text(RULE_CHAIN, "postrouting")
        .nest(RULE_EXPRESSIONS, |rule| {
            let rule = compares(compares(rule, SOURCE, network, true), DESTINATION, network, false);
            expression(rule, "masq", |data| data)
        });
    vec![table, chain, rule]
}

/// A connection to nf_tables of the network namespace it was opened in.
#[derive(Debug)]
pub struct Nft(Netlink);

impl Nft {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel has no netfilter.
    pub fn open() -> Result<Nft, Refusal> {
        Ok(Nft(Netlink::open(SockProtocol::NetlinkNetFilter)?))
    }

    /// Adds the table of a bridge, all or nothing.
    ///
    /// # Errors
    /// EEXIST: it is there. What else the kernel answered.
    pub fn add(&self, bridge: &str, network: Address, forwarding: &str) -> Result<(), Refusal> {
        self.transact(masquerade(bridge, network, forwarding))
    }

    /// Removes the table of a bridge.
    ///
    /// # Errors
    /// ENOENT: there is none. What else the kernel answered.
    pub fn remove(&self, bridge: &str) -> Result<(), Refusal> {
        self.transact(vec![message(DELTABLE, libc::NLM_F_ACK).text(TABLE_NAME, &name_of(bridge))])
    }

    /// Our tables.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn tables(&self) -> Result<Vec<Table>, Refusal> {
        let replies = self.0.ask(message(GETTABLE, libc::NLM_F_DUMP))?;
        let read = |body: &[u8]| {
            let rest = body.get(4..)?;
            table_of(
                &string(attribute(rest, TABLE_NAME)?),
                attribute(rest, TABLE_USERDATA).unwrap_or_default(),
            )
        };
        Ok(replies.iter().filter_map(|(_, body)| read(body)).collect())
    }

    /// Every chain of every family, or every rule of one, as attributes behind the family.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn dump(&self, family: u8, kind: u16) -> Result<Vec<Vec<u8>>, Refusal> {
        let replies = self.0.ask(message_of(family, kind, libc::NLM_F_DUMP))?;
        Ok(replies.into_iter().map(|(_, body)| body).collect())
    }

    fn transact(&self, messages: Vec<Message>) -> Result<(), Refusal> {
        self.0.request(batch(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_remembers_how_forwarding_was() {
        let data = user_data(&comment("0"));
        assert_eq!(data, b"\0\x0dip_forward=0\0");
        let table = Table { bridge: "boxbr0".into(), forwarding: "0".into() };
        assert_eq!(table_of("boxutils_boxbr0", &data), Some(table));
        assert_eq!(table_of("boxutils_boxbr0", b""), None);
        assert_eq!(table_of("filter", &data), None);
        let network = routed("10.97.3.1/16".parse().unwrap());
        assert_eq!(table_of(&name_of(&network), &data).unwrap().bridge, "routed/10.97.0.0/16");
        assert!(is_routed(&network) && !is_routed("routed"));
    }
}
