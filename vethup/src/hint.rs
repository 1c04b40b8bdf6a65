//! Why the kernel said no to a link, an address or a rule, and what helps.

use crate::call::Call;
use crate::cli::Wish;
use crate::link::LinkCall;
use crate::pair::Pair;
use crate::route::RouteCall;
use crate::rtnl;
use crate::state::Side;
use chain::netlink::Netlink;
use chain::{Kind, Refusal, be_root, why_no_namespace};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

/// What works without root. The shell stays, and with it the network that the cable leads out to.
const A_SHELL: &str = "or from a shell in a network of your own: nsexec -r --net -- sh";

/// The cause and the cure, where the machine can be asked for them.
pub fn of(call: &Call, refusal: &Refusal) -> Option<String> {
    let errno = refusal.errno?;
    match (call, errno) {
        (Call::UnshareNet, _) if errno != Errno::EPERM => why_no_namespace(&[Kind::Net], errno),
        (Call::UnshareNet, _) => Some(format!(
            "a network of its own takes root (CAP_SYS_ADMIN): {}, {A_SHELL}",
            be_root("CAP_SYS_ADMIN")
        )),
        (Call::JoinNs { .. }, Errno::EINVAL) => Some("it is a namespace of another kind than net".into()),
        (Call::JoinNs { .. }, Errno::EPERM) => Some(format!(
            "joining takes root over the user namespace that owns it: {}",
            be_root("CAP_SYS_ADMIN")
        )),
        (
            Call::WriteForwarding { .. } | Call::WriteSysctl { .. },
            Errno::EACCES | Errno::EPERM | Errno::EROFS,
        ) => {
            Some("the settings of this network are read-only here, as in a container: run it outside".into())
        }
        (_, Errno::EPERM) => Some(format!(
            "wiring takes root over this network namespace (CAP_NET_ADMIN): {}, {A_SHELL}",
            be_root("CAP_NET_ADMIN")
        )),
        (Call::Link(LinkCall::AddBridge { .. }), Errno::EOPNOTSUPP) => {
            Some("this kernel has no bridges: modprobe bridge".into())
        }
        (Call::AddVeth(_), Errno::EOPNOTSUPP) => Some("this kernel has no veth: modprobe veth".into()),
        (Call::AddVeth(pair), Errno::EADDRNOTAVAIL) => Some(match pair.gateway {
            Some(gateway) => format!(
                "every address of {} is taken: vethup --list shows by whom; {} another network",
                gateway.network(),
                if pair.bridge.is_some() { "--bridge and --gateway make" } else { "--gateway makes" }
            ),
            None => "the bridge has no address of version 4 to look beside: give --address".into(),
        }),
        (Call::AddVeth(Pair { wish: Wish::Address(address), .. }), Errno::EADDRINUSE) => Some(format!(
            "{address} is another's: {} is its link; --address auto finds a free one",
            address.link_name()
        )),
        (Call::AddVeth(Pair { peer_name: Some(name), ifname, .. }), Errno::EEXIST) if !is_here(ifname) => {
            Some(format!("there is an interface {name} on this side already: --peer-name names this one"))
        }
        (Call::AddVeth(pair), Errno::EEXIST) => Some(format!(
            "there is an interface {} in that namespace already: --ifname names this one",
            pair.ifname
        )),
        (Call::AddVeth(_), Errno::EXFULL | Errno::ENOSPC) => {
            Some("a bridge has at most 1023 ports: --bridge and --gateway make another".into())
        }
        (
            Call::AddNat { .. } | Call::RemoveNat { .. },
            Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP | Errno::ENOENT,
        ) => Some("this kernel lacks a part of nf_tables: modprobe nf_tables nft_masq nft_chain_nat".into()),
        (Call::Link(LinkCall::Enslave { name, .. }), Errno::EBUSY) => {
            Some(format!("{name} is a port of another bridge, or in use: ip link set {name} nomaster"))
        }
        (Call::Link(LinkCall::Enslave { name, .. }), Errno::EINVAL | Errno::ELOOP | Errno::EOPNOTSUPP) => {
            Some(format!("{name} cannot be a port of a bridge: it is one, or has no Ethernet"))
        }
        (Call::Link(LinkCall::AddAltName { alt_name, .. }), Errno::EOPNOTSUPP | Errno::EINVAL) => {
            Some(format!(
                "this kernel gives no second names such as {alt_name}, which tells --down what to put back"
            ))
        }
        (Call::Route(RouteCall::AddRoute { .. }), Errno::EEXIST) => {
            Some("that namespace has a default route already".into())
        }
        (Call::Route(RouteCall::AddRoute { gateway, .. }), Errno::ENETUNREACH | Errno::EHOSTUNREACH) => Some(
            format!("{gateway} lies in no network of its addresses: give an --address beside the bridge's"),
        ),
        (
            Call::Route(RouteCall::AddAddress { side: Side::Inside, .. } | RouteCall::AddHostEnd { .. }),
            Errno::EACCES,
        ) => Some("addresses of version 6 are switched off there: net.ipv6.conf.all.disable_ipv6".into()),
        _ => None,
    }
}

/// Whether there is an interface of this name in the namespace this process is in by now.
fn is_here(name: &str) -> bool {
    let socket = Netlink::open(SockProtocol::NetlinkRoute);
    socket.is_ok_and(|socket| matches!(rtnl::link(&socket, name), Ok(Some(_))))
}
