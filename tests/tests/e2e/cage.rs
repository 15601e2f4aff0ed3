//! A network name space whose only way out is a wire to the relays' machine, and two that watch it:
//! tcpdump(1) on the wire, and counters of the packet filter (nft(8)) before it.
//!
//! The relays listen on loopback addresses of the outer name space. In the cage loopback is down, and
//! 127.0.0.0/8 is routed over the wire like every other address (`route_localnet`), so that whatever a
//! process in it sends to anybody crosses the wire. The outer end forwards nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use vigie_tests::process::{Command, Running};

use crate::machine::{PATIENCE, until};
use crate::station::Outcome;

/// Cages made so far: each has names and addresses of its own.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A cage; it goes with the process that holds it.
pub struct Cage {
    holder: Running,
    dir: PathBuf,
    /// What may cross: a tcpdump expression.
    allowed: String,
}

/// Two that watch a cage.
pub struct Watch<'c> {
    cage: &'c Cage,
    capture: Running,
    file: PathBuf,
    before: (u64, u64),
}

/// What crossed.
#[derive(Debug)]
pub struct Crossed {
    /// Packets to or from relays, on the wire.
    pub tor: usize,
    /// All others on the wire, as tcpdump prints them.
    pub others: Vec<String>,
    /// Packets on their way to relays, as the filter counted them.
    pub counted_tor: u64,
    /// All others on their way out, as the filter counted them.
    pub counted_others: u64,
}

impl Crossed {
    /// Both saw nothing but Tor.
    pub fn clean(&self) -> bool {
        self.others.is_empty() && self.counted_others == 0
    }
}

impl Cage {
    /// Makes one for relays on these ports; `None`, with the reason on standard error, where the kernel or
    /// the rights of this user do not allow it.
    pub fn new(dir: &Path, relays: &[u16]) -> Outcome<Option<Self>> {
        // A /30 of the range for measurements (RFC 2544), so that no real network is meant.
        let number = std::process::id().wrapping_add(MADE.fetch_add(1, Ordering::Relaxed));
        let (third, fourth) = (number / 64 % 256, number % 64 * 4);
        let (ours, theirs) = (format!("198.18.{third}.{}", fourth + 1), format!("198.18.{third}.{}", fourth + 2));
        let holder = Command::new("unshare").args(["--net", "sh", "-c", "echo here; exec sleep 86400"]);
        let mut holder = holder.limit(Duration::from_secs(86_400)).spawn()?;
        if holder.wait_for("here", PATIENCE).is_err() {
            eprintln!("no name space of its own here: {}", holder.stderr_so_far().trim());
            return Ok(None);
        }
        let name = format!("vg{number}");
        let (out, inner) = (format!("{name}a"), format!("{name}b"));
        let pair = ["link", "add", &out, "type", "veth", "peer", "name", &inner];
        if let Err(error) = Command::new("ip").args(pair).run()?.success() {
            eprintln!("no wire between name spaces here: {error}");
            return Ok(None);
        }
        let cage = Self { holder, dir: dir.to_owned(), allowed: allowed(relays) };
        let ip = |args: String| Command::new("ip").args(args.split(' ')).run().and_then(|output| output.success());
        ip(format!("link set {inner} netns {}", cage.holder.pid()))?;
        // No ARP and no neighbour discovery: who is at the other end is said, so that every packet is
        // somebody's.
        let outer_mac = "02:00:00:00:00:01";
        let inner_mac = "02:00:00:00:00:02";
        ip(format!("link set {out} address {outer_mac} arp off"))?;
        let set = |device: &str, names: &[(&str, &str)], family: &str| -> std::io::Result<()> {
            names.iter().try_for_each(|(name, value)| {
                std::fs::write(format!("/proc/sys/net/{family}/conf/{device}/{name}"), value)
            })
        };
        // Nothing is forwarded, whatever the machine does otherwise.
        set(&out, &[("forwarding", "0"), ("route_localnet", "1"), ("rp_filter", "0")], "ipv4")?;
        set(&out, &[("forwarding", "0"), ("disable_ipv6", "1")], "ipv6")?;
        ip(format!("addr add {ours}/30 dev {out}"))?;
        ip(format!("link set {out} up"))?;
        ip(format!("neigh replace {theirs} lladdr {inner_mac} dev {out} nud permanent"))?;
        let inside = format!(
            "set -e\n\
             for f in addr_gen_mode=1 accept_ra=0 router_solicitations=0 dad_transmits=0; do \
               echo ${{f#*=}} > /proc/sys/net/ipv6/conf/{inner}/${{f%=*}}; done\n\
             echo 1 > /proc/sys/net/ipv4/conf/{inner}/route_localnet\n\
             echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range\n\
             ip link set {inner} address {inner_mac} arp off\n\
             ip addr add {theirs}/30 dev {inner}\n\
             ip -6 addr add fd00:7669::2/64 dev {inner} nodad\n\
             ip -6 addr add fe80::2/64 dev {inner} nodad\n\
             ip link set {inner} up\n\
             ip neigh replace {ours} lladdr {outer_mac} dev {inner} nud permanent\n\
             ip -6 neigh replace fd00:7669::1 lladdr {outer_mac} dev {inner} nud permanent\n\
             ip route replace default via {ours} dev {inner}\n\
             ip route replace 127.0.0.0/8 via {ours} dev {inner} src {theirs}\n\
             ip -6 route replace default via fd00:7669::1 dev {inner}\n\
             ip link set lo down\n\
             nft 'add table inet watch; add counter inet watch tor; add counter inet watch others; \
               add chain inet watch out {{ type filter hook output priority 0; }}; \
               add rule inet watch out ip daddr 127.0.0.1 tcp dport {{ {ports} }} counter name tor accept; \
               add rule inet watch out counter name others'\n",
            ports = relays.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        );
        let script = dir.join("cage.sh");
        std::fs::write(&script, inside)?;
        cage.enter(Command::new("sh").arg(&script)).run()?.success()?;
        Ok(Some(cage))
    }

    /// A command in the cage.
    pub fn enter(&self, command: Command) -> Command {
        command.through("nsenter", [format!("--net=/proc/{}/ns/net", self.holder.pid()), "--".to_owned()])
    }

    /// The same for a command that is known by its first word.
    pub fn watch(&self, name: &str) -> Outcome<Watch<'_>> {
        let file = self.dir.join(format!("{name}.pcap"));
        let dump = Command::new("tcpdump").args([
            "-i",
            "any",
            "-n",
            "-U",
            "-s",
            "256",
            "-B",
            "32768",
            "--immediate-mode",
            "-Z",
            "root",
            "-w",
        ]);
        let mut capture = self.enter(dump.arg(&file).limit(Duration::from_secs(7200))).spawn()?;
        capture.wait_for("listening on", PATIENCE)?;
        Ok(Watch { cage: self, capture, file, before: self.counted()? })
    }

    fn counted(&self) -> Outcome<(u64, u64)> {
        let one = |name: &str| -> Outcome<u64> {
            let list =
                self.enter(Command::new("nft").args(["list", "counter", "inet", "watch", name])).run()?.success()?;
            let text = list.text();
            let count =
                text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse().ok());
            Ok(count.ok_or_else(|| format!("no count in {text}"))?)
        };
        Ok((one("tor")?, one("others")?))
    }
}

/// TCP to and from the relays' ports of loopback.
fn allowed(relays: &[u16]) -> String {
    let ports: Vec<_> = relays.iter().map(|port| format!("port {port}")).collect();
    format!("(tcp and host 127.0.0.1 and ({}))", ports.join(" or "))
}

impl Watch<'_> {
    /// What crossed since.
    pub fn end(self) -> Outcome<Crossed> {
        let after = self.cage.counted()?;
        self.capture.signal(Signal::INT);
        let said = self.capture.wait(PATIENCE)?.errors();
        if !said.contains("0 packets dropped by kernel") {
            return Err(format!("the capture is not whole: {said}").into());
        }
        let read = |filter: String| -> Outcome<Vec<String>> {
            let dump = Command::new("tcpdump").args(["-n", "-t", "-r"]).arg(&self.file).arg(filter).run()?.success()?;
            Ok(dump.text().lines().map(str::to_owned).collect())
        };
        let crossed = Crossed {
            tor: read(self.cage.allowed.clone())?.len(),
            others: read(format!("not {}", self.cage.allowed))?,
            counted_tor: after.0 - self.before.0,
            counted_others: after.1 - self.before.1,
        };
        std::fs::remove_file(&self.file)?;
        Ok(crossed)
    }

    /// Waits until something other than Tor has crossed.
    pub fn until_other(&self) -> Outcome<()> {
        until("a packet that is not Tor's", || Ok((self.cage.counted()?.1 > self.before.1).then_some(())))
    }
}
