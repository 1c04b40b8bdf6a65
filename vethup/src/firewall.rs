//! Chains of others that drop what this machine passes on: found by netlink, named with the cure, never changed. Numbers
//! are those of linux/netfilter/nf_tables.h and linux/netfilter.h.

use crate::nft::Nft;
use chain::Refusal;
use chain::netlink::{attribute, string};

const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const RULE_TABLE: u16 = 1;
/// NF_INET_FORWARD, and NF_BR_FORWARD too.
const FORWARD: [u8; 4] = 2u32.to_be_bytes();
/// NF_DROP
const DROP: [u8; 4] = 0u32.to_be_bytes();

/// A chain that drops what no rule of it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firewall {
    /// `ip`, `inet`, or `bridge`, which sees what goes from port to port.
    pub family: &'static str,
    pub table: String,
    pub chain: String,
    /// All rules of its table, as the kernel keeps them.
    pub rules: Vec<u8>,
}

/// The families whose chains see what is forwarded in version 4.
fn family_of(number: u8) -> Option<&'static str> {
    match number {
        1 => Some("inet"),
        2 => Some("ip"),
        7 => Some("bridge"),
        _ => None,
    }
}

/// The chains that drop what is passed on.
///
/// # Errors
/// What the kernel answered.
pub fn droppers(nft: &Nft) -> Result<Vec<Firewall>, Refusal> {
    let mut found = Vec::new();
    for body in nft.dump(0, GETCHAIN)? {
        let Some((number, mut firewall)) = read_chain(&body) else { continue };
        for rule in nft.dump(number, GETRULE)? {
            let attributes = rule.get(4..).unwrap_or_default();
            if attribute(attributes, RULE_TABLE).is_some_and(|table| string(table) == firewall.table) {
                firewall.rules.extend_from_slice(attributes);
            }
        }
        found.push(firewall);
    }
    Ok(found)
}

/// The chain of an answer, with the number of its family, if it is one that drops.
fn read_chain(body: &[u8]) -> Option<(u8, Firewall)> {
    let rest = body.get(4..)?;
    let hook = attribute(attribute(rest, CHAIN_HOOK)?, HOOK_NUMBER)?;
    let text = |kind| attribute(rest, kind).map(string);
    let drops = hook == FORWARD && attribute(rest, CHAIN_POLICY)? == DROP && text(CHAIN_TYPE)? == "filter";
    let family = family_of(*body.first()?)?;
    let firewall =
        Firewall { family, table: text(CHAIN_TABLE)?, chain: text(CHAIN_NAME)?, rules: Vec::new() };
    drops.then_some((*body.first()?, firewall))
}

impl Firewall {
    /// Whether a rule speaks of this name; then somebody has thought of it.
    fn mentions(&self, name: &str) -> bool {
        let name = match name.strip_suffix('*') {
            Some(start) => start.as_bytes().to_vec(),
            None => [name.as_bytes(), &[0]].concat(),
        };
        self.rules.windows(name.len()).any(|bytes| bytes == name)
    }

    /// The one line of warning, where it has no rule for these links.
    pub fn warning(&self, links: &Links) -> Option<String> {
        let Firewall { family, table, chain, .. } = self;
        let insert = format!("insert rule {family} {table} {chain}");
        // What goes from port to port has names of ports.
        let (name, cure) = match (*family, &links.bridge) {
            ("bridge", None) => return None,
            ("bridge", Some(_)) => {
                let name = &links.cable;
                (name, format!("{insert} iifname \"{name}\" accept; {insert} oifname \"{name}\" accept"))
            }
            (_, bridge) => {
                let name = bridge.as_ref().unwrap_or(&links.cable);
                let back = "ct state established,related accept";
                (name, format!("{insert} iifname \"{name}\" accept; {insert} oifname \"{name}\" {back}"))
            }
        };
        (!self.mentions(name)).then(|| {
            format!(
                "warning: table {family} {table}, chain {chain} drops what this machine passes on; to let it through: nft '{cure}'"
            )
        })
    }
}

/// Whose packets are passed on: the bridge, if there is one, and the outer ends of its cables, as nft(8) writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    pub bridge: Option<String>,
    pub cable: String,
}

/// What the outer ends of cables are called that have no name of their own.
pub const CABLES: &str = "bx*";

#[cfg(test)]
mod tests {
    use super::*;

    fn firewall(family: &'static str, rules: &[u8]) -> Firewall {
        Firewall { family, table: "filter".into(), chain: "FORWARD".into(), rules: rules.into() }
    }

    #[test]
    fn a_chain_that_drops_is_named_with_its_cure_unless_a_rule_is_for_these_links() {
        let bridge = Links { bridge: Some("boxbr0".into()), cable: CABLES.into() };
        let cables = Links { bridge: None, cable: CABLES.into() };
        assert_eq!(
            firewall("ip", b"").warning(&bridge).unwrap(),
            "warning: table ip filter, chain FORWARD drops what this machine passes on; to let it through: nft 'insert rule ip filter FORWARD iifname \"boxbr0\" accept; insert rule ip filter FORWARD oifname \"boxbr0\" ct state established,related accept'"
        );
        assert!(firewall("ip", b"..boxbr0\0\0..").warning(&bridge).is_none());
        assert!(firewall("ip", b"..boxbr01\0..").warning(&bridge).is_some());
        assert!(firewall("inet", b"").warning(&cables).unwrap().contains("iifname \"bx*\" accept"));
        assert!(firewall("inet", b"..bx").warning(&cables).is_none());
        assert!(firewall("bridge", b"").warning(&bridge).unwrap().contains("oifname \"bx*\" accept'"));
        // There is no bridge to pass through.
        assert!(firewall("bridge", b"").warning(&cables).is_none());
    }

    #[test]
    fn what_is_no_chain_that_drops_is_not_read_as_one() {
        let attribute = |kind: u8, value: &[u8]| {
            let mut bytes = vec![4 + value.len() as u8, 0, kind, 0];
            bytes.extend_from_slice(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let chain = |family: u8, hook: u8, policy: u8, kind: &str| {
            let hook = attribute(HOOK_NUMBER as u8, &[0, 0, 0, hook]);
            [
                vec![family, 0, 0, 0],
                attribute(1, b"filter\0"),
                attribute(3, b"FORWARD\0"),
                attribute(4, &hook),
                attribute(5, &[0, 0, 0, policy]),
                attribute(7, kind.as_bytes()),
            ]
            .concat()
        };
        assert_eq!(read_chain(&chain(2, 2, 0, "filter\0")), Some((2, firewall("ip", b""))));
        assert!(read_chain(&chain(2, 2, 1, "filter\0")).is_none());
        assert!(read_chain(&chain(2, 1, 0, "filter\0")).is_none());
        assert!(read_chain(&chain(2, 2, 0, "nat\0")).is_none());
        assert!(read_chain(&chain(10, 2, 0, "filter\0")).is_none());
        assert!(read_chain(&[2, 0, 0, 0]).is_none() && read_chain(&[]).is_none());
    }
}
