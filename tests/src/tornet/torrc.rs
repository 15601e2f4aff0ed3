//! The texts of the `torrc` files (tor(1)). Every option that is not obvious has its reason here.

use std::fmt::Write;
use std::path::Path;

use super::HiddenService;
use super::node::Identity;

/// An authority as the others see it.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) name: String,
    pub(super) or_port: u16,
    pub(super) dir_port: u16,
    pub(super) v3_identity: String,
    pub(super) relay: Identity,
}

/// What all processes of one network share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) authorities: Vec<Authority>,
    pub(super) resolv_conf: std::path::PathBuf,
    /// The authorities alone are guards. Arti takes its guard before the exit, and never one relay as both:
    /// an exit that is somebody's guard is none for them, which tells where there are few exits.
    pub(super) few_guards: bool,
    /// What authorities say of the relays' speed (dir-spec, bandwidth file): the same of all. Left to
    /// themselves relays of a new network say 0 to 12, and clients choose no relay of 0.
    pub(super) bandwidths: std::path::PathBuf,
}

/// Whether streams may end at a relay.
#[derive(Debug, Clone)]
pub(super) enum Exit {
    /// It serves circuits only.
    No,
    /// It asks the name server in this file.
    Asks(std::path::PathBuf),
}

impl Shared {
    /// The part that every process has.
    fn common(&self, name: &str, dir: &Path) -> String {
        let mut text = format!(
            "Nickname {name}\n\
             DataDirectory {}\n\
             Log notice stdout\n\
             TestingTorNetwork 1\n\
             Address 127.0.0.1\n\
             AssumeReachable 1\n\
             PathsNeededToBuildCircuits 0.67\n\
             ShutdownWaitLength 0\n\
             RunAsDaemon 0\n\
             __OwningControllerProcess {}\n",
            quoted(dir),
            std::process::id(),
        );
        for a in &self.authorities {
            let _ = writeln!(
                text,
                "DirAuthority {} orport={} no-v2 v3ident={} 127.0.0.1:{} {}",
                a.name, a.or_port, a.v3_identity, a.dir_port, a.relay.rsa
            );
        }
        text
    }

    /// What relays and authorities share: exits reach loopback, where the sample sites are, and ask the
    /// name server of the tests alone. One that is none still has the flag by the authorities' vote: its
    /// policy decides.
    fn relaying(&self, or_port: u16, exit: &Exit) -> String {
        let (policy, resolv_conf) = match exit {
            Exit::No => ("reject *:*", &self.resolv_conf),
            Exit::Asks(resolv_conf) => ("accept *:*", resolv_conf),
        };
        format!(
            "ORPort 127.0.0.1:{or_port}\n\
             SocksPort 0\n\
             ContactInfo nobody@example.invalid\n\
             ExitRelay 1\n\
             ExitPolicy {policy}\n\
             ExitPolicyRejectPrivate 0\n\
             ServerDNSResolvConfFile {}\n\
             ServerDNSAllowBrokenConfig 1\n\
             ServerDNSDetectHijacking 0\n\
             ServerDNSTestAddresses\n",
            quoted(resolv_conf)
        )
    }

    /// A directory authority.
    pub(super) fn authority(&self, me: &Authority, dir: &Path, exit: &Exit) -> String {
        format!(
            "{}{}\
             DirPort 127.0.0.1:{}\n\
             AuthoritativeDirectory 1\n\
             V3AuthoritativeDirectory 1\n\
             # With shared randomness C tor and Arti disagree on the ring of HSDirs here.\n\
             AuthDirSharedRandomness 0\n\
             V3AuthVotingInterval 20\n\
             V3AuthVoteDelay 4\n\
             V3AuthDistDelay 4\n\
             TestingV3AuthInitialVotingInterval 5\n\
             TestingV3AuthInitialVoteDelay 2\n\
             TestingV3AuthInitialDistDelay 2\n\
             TestingDirAuthVoteExit *\n\
             TestingDirAuthVoteHSDir *\n\
             {}\
             V3BandwidthsFile {}\n\
             TestingMinExitFlagThreshold 0\n",
            self.common(&me.name, dir),
            self.relaying(me.or_port, exit),
            me.dir_port,
            self.guards(),
            quoted(&self.bandwidths),
        )
    }

    fn guards(&self) -> String {
        if !self.few_guards {
            return "TestingDirAuthVoteGuard *\n".to_owned();
        }
        let named: Vec<_> = self.authorities.iter().map(|authority| authority.relay.rsa.as_str()).collect();
        format!("TestingDirAuthVoteGuard {}\nTestingDirAuthVoteGuardIsStrict 1\n", named.join(","))
    }

    /// A relay.
    pub(super) fn relay(&self, name: &str, dir: &Path, ports: (u16, u16), exit: &Exit) -> String {
        let (or_port, dir_port) = ports;
        format!("{}{}DirPort 127.0.0.1:{dir_port}\n", self.common(name, dir), self.relaying(or_port, exit))
    }

    /// A bridge; with a transport's program and port, behind that.
    pub(super) fn bridge(&self, name: &str, dir: &Path, or_port: u16, obfs4: Option<(&Path, u16)>) -> String {
        let mut text = format!(
            "{}ORPort 127.0.0.1:{or_port}\n\
             SocksPort 0\n\
             BridgeRelay 1\n\
             PublishServerDescriptor 0\n\
             ExitPolicy reject *:*\n",
            self.common(name, dir)
        );
        if let Some((program, port)) = obfs4 {
            let _ = write!(
                text,
                "ServerTransportPlugin obfs4 exec {}\nServerTransportListenAddr obfs4 127.0.0.1:{port}\nExtORPort auto\n",
                program.display()
            );
        }
        text
    }

    /// A client with a SOCKS port; `ExtendedErrors` (socks-extensions.txt) tells why an onion
    /// service cannot be reached.
    pub(super) fn client(&self, name: &str, dir: &Path, socks_port: u16) -> String {
        format!("{}SocksPort 127.0.0.1:{socks_port} ExtendedErrors\n{}", self.common(name, dir), PATIENCE)
    }

    /// The process that hosts the onion services.
    pub(super) fn services(
        &self,
        name: &str,
        dir: &Path,
        control_port: u16,
        services: &[HiddenService],
        lines: &[(String, String)],
    ) -> String {
        let mut text = format!(
            "{}SocksPort 0\n\
             ControlPort 127.0.0.1:{control_port}\n\
             CookieAuthentication 1\n\
             {PATIENCE}",
            self.common(name, dir)
        );
        for service in services {
            let _ = write!(
                text,
                "HiddenServiceDir {}\nHiddenServiceVersion 3\nHiddenServicePort {} 127.0.0.1:{}\n",
                quoted(&service_dir(dir, &service.name)),
                service.virtual_port,
                service.local_port
            );
            for (_, line) in lines.iter().filter(|(name, _)| *name == service.name) {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }
}

/// On loopback tor would learn a circuit timeout of milliseconds and then fail everything when
/// the machine is busy.
const PATIENCE: &str = "LearnCircuitBuildTimeout 0\nCircuitBuildTimeout 30\n";

/// Where the service process keeps one service.
pub(super) fn service_dir(dir: &Path, service: &str) -> std::path::PathBuf {
    dir.join(format!("service-{service}"))
}

/// A path as a quoted string of a `torrc`.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}
