//! Trying what must not work, from inside a process: `vigie doctor` shows it, and tests believe nothing
//! else. Nothing leaves the machine, and nothing stays on its disk.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::ptrace;
use nix::unistd::Pid;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::net::{AddressFamily, Protocol, SocketType, socket};
use vigie_wire::control::{Probe, Probed};

use crate::Role;

/// What a planted file is called when there is one (tests); else a file that every machine has.
const FILE: &str = "/etc/hostname";

/// Tries one thing.
pub fn attempt(probe: Probe) -> Probed {
    let open =
        |family, kind, protocol: Option<Protocol>| -> io::Result<()> { Ok(socket(family, kind, protocol).map(drop)?) };
    let tried: io::Result<()> = match probe {
        Probe::TcpSocket => open(AddressFamily::INET, SocketType::STREAM, None),
        Probe::Tcp6Socket => open(AddressFamily::INET6, SocketType::STREAM, None),
        Probe::UdpSocket => open(AddressFamily::INET, SocketType::DGRAM, None),
        Probe::Udp6Socket => open(AddressFamily::INET6, SocketType::DGRAM, None),
        Probe::RawSocket => open(AddressFamily::INET, SocketType::RAW, Some(rustix::net::ipproto::ICMP)),
        Probe::PacketSocket => open(AddressFamily::PACKET, SocketType::RAW, None),
        Probe::NetlinkSocket => open(AddressFamily::NETLINK, SocketType::RAW, None),
        Probe::UnixSocket => open(AddressFamily::UNIX, SocketType::STREAM, None),
        Probe::VsockSocket => open(AddressFamily::VSOCK, SocketType::STREAM, None),
        Probe::Listen => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
        Probe::ConnectLoopback => loopback(),
        Probe::ReadFile => std::fs::read(FILE).map(drop),
        Probe::WriteFile => write(&std::env::temp_dir()),
        Probe::Execute => std::process::Command::new("/bin/true").status().map(drop),
        Probe::Trace => trace(),
        Probe::WritableCode => code(),
    };
    match tried {
        Ok(()) => Probed::Worked,
        Err(error) => Probed::Refused(error.to_string()),
    }
}

/// What a role is meant to be able to do of all that can be tried.
pub fn meant(role: &Role) -> &'static [Probe] {
    match role {
        // Whoever connects through Tor's relays must be able to connect.
        Role::Net { .. } => &[Probe::TcpSocket, Probe::Tcp6Socket, Probe::ConnectLoopback],
        Role::Record { .. } | Role::Parse | Role::Draw | Role::Transport { .. } => &[],
    }
}

/// A connection that is refused by the far side has left all the same: only a refusal by the
/// kernel is one.
fn loopback() -> io::Result<()> {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    match TcpStream::connect_timeout(&nobody, Duration::from_secs(1)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        other => other.map(drop),
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let file = folder.join(format!(".vigie-probe-{}", std::process::id()));
    std::fs::write(&file, b"probe").and_then(|()| std::fs::remove_file(&file))
}

/// Takes hold of its own parent, and lets go.
fn trace() -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
    let parent = Pid::from_raw(parent.as_raw_nonzero().get());
    ptrace::seize(parent, ptrace::Options::empty())?;
    ptrace::detach(parent, None).map_err(io::Error::from)
}

/// Memory that a thread could write and run.
#[expect(unsafe_code, reason = "the fresh mapping is touched by nobody and given back at once")]
fn code() -> io::Result<()> {
    let length = 4096;
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC, MapFlags::PRIVATE);
    // SAFETY: an anonymous mapping at an address of the kernel's choice overlaps nothing, and no
    // reference into it is made before it is unmapped.
    unsafe {
        let address = rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, protection, flags)?;
        rustix::mm::munmap(address, length)?;
    }
    Ok(())
}
