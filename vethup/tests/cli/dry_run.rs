//! The dry run as text.

use super::*;

/// The lines of a script without their reasons.
fn commands(script: &str) -> String {
    script.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_dry_run_is_a_script_and_does_nothing() {
    let bridge = own("t");
    let output = vethup(&[
        "--dry-run",
        "--bridge",
        &bridge,
        "--gateway",
        "198.18.0.1/24",
        "--nat",
        "--mac",
        "02:00:00:00:00:07",
        "--mtu",
        "1400",
        "--ifname",
        "wan",
        "--",
        "echo",
        "a b",
    ]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let script = stdout(&output);
    // The table puts down what forwarding is, or what an earlier table says it was; it is switched on where it is off.
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let switch = if forwarding == "0\n" { "echo 1 > /proc/sys/net/ipv4/ip_forward\n" } else { "" };
    let recorded = if script.contains("ip_forward=1") { '1' } else { '0' };
    assert!(recorded == '0' || forwarding == "1\n", "{script}");
    let groups = script.lines().find(|line| line.ends_with("/ping_group_range")).unwrap();
    assert_eq!(
        commands(&script),
        format!(
            "\
exec 4</proc/self/ns/net
ip link add {bridge} address 02:62:c6:12:00:01 type bridge forward_delay 0
ip link set {bridge} alias boxutils up
ip address add 198.18.0.1/24 dev {bridge}
nft 'table ip boxutils_{bridge} {{ comment \"ip_forward={recorded}\"; chain postrouting {{ type nat hook postrouting priority 100; ip saddr 198.18.0.0/24 ip daddr != 198.18.0.0/24 masquerade; }}; }}'
{switch}exec unshare --net sh -e /dev/fd/3 3<<'END_vethup'
nsenter --net=/proc/self/fd/4 ip link add bxc6120002 mtu 1400 type veth peer name wan mtu 1400 address 02:00:00:00:00:07 netns $$
nsenter --net=/proc/self/fd/4 ip link set bxc6120002 master {bridge} up
exec 4<&-
ip link set wan up
ip link set lo up
ip address add 198.18.0.2/24 dev wan
ip route add default via 198.18.0.1 dev wan proto static
{groups}
echo '0' > /proc/sys/net/ipv4/ip_unprivileged_port_start
exec echo 'a b' 3<&-
END_vethup
"
        )
    );
    let why = "# a switch without a box: what is plugged into it is one network; it waits for nobody before it forwards\nip link add";
    assert!(script.contains(why), "{script}");
    assert!(!is_there(&bridge) && is_there("lo"));
}

#[test]
fn the_dry_run_wires_a_namespace_that_is_there_and_leaves_its_settings() {
    let bridge = own("v");
    let output = vethup(&[
        "--dry-run",
        "--bridge",
        &bridge,
        "--gateway",
        "2001:db8::1/64",
        "--address",
        "2001:db8::1:2/64",
        "--netns",
        // Nobody goes there, so one of another kind can stand for the network of somebody else, which takes root to make.
        "/proc/self/ns/uts",
    ]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert_eq!(
        commands(&stdout(&output)),
        format!(
            "\
exec 4</proc/self/ns/net
ip link add {bridge} address 02:62:00:00:00:01 type bridge forward_delay 0
ip link set {bridge} alias boxutils up
ip address add 2001:db8::1/64 dev {bridge} nodad
exec nsenter --net=/proc/self/ns/uts sh -e /dev/fd/3 3<<'END_vethup'
nsenter --net=/proc/self/fd/4 ip link add bx600010002 type veth peer name eth0 netns $$
nsenter --net=/proc/self/fd/4 ip link set bx600010002 master {bridge} up
exec 4<&-
ip link set eth0 up
ip link set lo up
ip address add 2001:db8::1:2/64 dev eth0 nodad
ip -6 route add default via 2001:db8::1 dev eth0 proto static
END_vethup
"
        )
    );
    let own = vethup(&["--dry-run", "--bridge", &bridge, "--netns", "/proc/self/ns/net"]);
    let wanted = "vethup: \"/proc/self/ns/net\": this process is in that network itself\n";
    assert_eq!((own.status.code(), stderr(&own).starts_with(wanted)), (Some(125), true));
}

#[test]
fn the_dry_run_goes_on_with_the_program_s_own_options() {
    let output = vethup(&[
        "--dry-run",
        "--bridge",
        &own("o"),
        "--gateway",
        "198.18.3.1/24",
        "--",
        "echo",
        "--down",
        "--",
        "--nat",
    ]);
    assert!(stdout(&output).contains("\nexec echo --down -- --nat 3<&-\n"), "{output:?}");
}

#[test]
fn where_there_is_nothing_down_is_fine_and_silent() {
    let output = vethup(&["--dry-run", "--down", "--bridge", &own("d")]);
    assert_eq!(
        (output.status.code(), output.stdout.len(), output.stderr.len()),
        (Some(0), 0, 0),
        "{output:?}"
    );
}

#[test]
fn an_argument_of_the_program_may_hold_any_bytes() {
    let word = OsStr::from_bytes(b"\xff\x80 'a'\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vethup"));
    command
        .args(["--dry-run", "--bridge", &own("u"), "--gateway", "198.19.0.1/24", "--", "printf", "%s"])
        .arg(word);
    let output = run(&mut command);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    // The last line of the script but one, which is all of it that touches no network, gives the program the same bytes.
    let start = output.stdout.windows(5).rposition(|five| five == b"exec ").expect("the program's line");
    let end = output.stdout.windows(5).rposition(|five| five == b" 3<&-").expect("its end");
    let again = run(Command::new("sh").arg("-ec").arg(OsStr::from_bytes(&output.stdout[start..end])));
    assert_eq!(again.stdout, word.as_bytes());
    let absent = run(Command::new(env!("CARGO_BIN_EXE_vethup")).arg("--").arg(OsStr::from_bytes(b"\xff")));
    assert_eq!(absent.status.code(), Some(127));
    assert!(stderr(&absent).starts_with("vethup: execve(\"\\xff\"): No such file"), "{absent:?}");
}

#[test]
fn without_a_bridge_the_dry_run_gives_each_end_its_address_and_the_way_to_the_other() {
    let words = ["--dry-run", "--no-bridge", "--peer-name", &own("w"), "--gateway", "198.18.4.1/24"];
    let output = vethup(&[&words[..], &["--address", "198.18.4.7/32", "--", "true"]].concat());
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let script = commands(&stdout(&output));
    let outside = "nsenter --net=/proc/self/fd/4 ip";
    let name = own("w");
    let wanted = format!(
        "\
exec 4</proc/self/ns/net
exec unshare --net sh -e /dev/fd/3 3<<'END_vethup'
{outside} link add {name} group 6451064 type veth peer name eth0 netns $$
{outside} link property add dev {name} altname bxc6120407
{outside} link set {name} up
{outside} address add 198.18.4.1/32 dev {name}
{outside} route add 198.18.4.7 dev {name} proto static
exec 4<&-
ip link set eth0 up
ip link set lo up
ip address add 198.18.4.7/32 dev eth0
ip route add 198.18.4.1 dev eth0 proto static
ip route add default via 198.18.4.1 dev eth0 proto static
"
    );
    assert!(script.starts_with(&wanted), "{script}");
    assert!(!is_there(&name));
}
