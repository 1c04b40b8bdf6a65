//! Why the kernel said no to a link, an address or a rule, and what helps.

use crate::call::{Call, Pair, Side};
use crate::cli::Wish;
use chain::{Kind, Refusal, why_no_namespace};
use nix::errno::Errno;

/// The cause and the cure, where the machine can be asked for them.
pub fn of(call: &Call, refusal: &Refusal) -> Option<String> {
    let errno = refusal.errno?;
    match (call, errno) {
        (Call::UnshareNet, _) => why_no_namespace(&[Kind::Net], errno),
        (Call::JoinNs { .. }, Errno::EINVAL) => Some("it is a namespace of another kind than net".into()),
        (Call::JoinNs { .. }, Errno::EPERM) => Some("joining takes root over the user namespace that owns it: run it as root".into()),
        (Call::WriteForwarding { .. } | Call::WriteSysctl { .. }, Errno::EACCES | Errno::EPERM | Errno::EROFS) => {
            Some("the settings of this network are read-only here, as in a container: run it outside".into())
        }
        (_, Errno::EPERM) => Some("wiring takes root over this network namespace (CAP_NET_ADMIN): run it as root, or from a shell in a network of your own: nsexec -r --net -- sh".into()),
        (Call::AddBridge { .. }, Errno::EOPNOTSUPP) => Some("this kernel has no bridges: modprobe bridge".into()),
        (Call::AddVeth(_), Errno::EOPNOTSUPP) => Some("this kernel has no veth: modprobe veth".into()),
        (Call::AddVeth(pair), Errno::EADDRNOTAVAIL) => Some(match pair.gateway {
            Some(gateway) => format!("every address of {} is taken: vethup --list shows by whom; --bridge and --gateway make another network", gateway.network()),
            None => "the bridge has no address of version 4 to look beside: give --address".into(),
        }),
        (Call::AddVeth(Pair { wish: Wish::Address(address), .. }), Errno::EADDRINUSE) => Some(format!(
            "{address} is another's: {} is its link; --address auto finds a free one",
            address.link_name()
        )),
        (Call::AddVeth(pair), Errno::EEXIST) => {
            Some(format!("there is an interface {} in that namespace already: --ifname names this one", pair.ifname))
        }
        (Call::AddVeth(_), Errno::EXFULL | Errno::ENOSPC) => Some("a bridge has at most 1023 ports: --bridge and --gateway make another".into()),
        (Call::AddNat { .. } | Call::RemoveNat { .. }, Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP | Errno::ENOENT) => {
            Some("this kernel lacks a part of nf_tables: modprobe nf_tables nft_masq nft_chain_nat".into())
        }
        (Call::Enslave { name, .. }, Errno::EBUSY) => Some(format!("{name} is a port of another bridge, or in use: ip link set {name} nomaster")),
        (Call::Enslave { name, .. }, Errno::EINVAL | Errno::ELOOP) => Some(format!("{name} cannot be a port of a bridge: it is one, or lo")),
        (Call::AddRoute { .. }, Errno::EEXIST) => Some("that namespace has a default route already".into()),
        (Call::AddRoute { gateway, .. }, Errno::ENETUNREACH | Errno::EHOSTUNREACH) => {
            Some(format!("{gateway} lies in no network of its addresses: give an --address beside the bridge's"))
        }
        (Call::AddAddress { side: Side::Inside, .. }, Errno::EACCES) => Some("addresses of version 6 are switched off there: net.ipv6.conf.all.disable_ipv6".into()),
        _ => None,
    }
}
