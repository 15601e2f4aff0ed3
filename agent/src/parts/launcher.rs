//! *launcher*: starts *net*, *parse* and *draw* for a *record* that may start nothing, and says how they ended.
//! It meets no hostile byte, and its orders leave no room: which part, or which of those that
//! it started.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use vigie_wire::control::{FromLauncher, Part, Protection, ToLauncher, Transport};
use vigie_wire::frame::{Inbox, encode};
use vigie_wire::limits::LAUNCHER_BYTES;

use super::transport::{Running, packed};
use super::{MAY_LACK, PART, SIGN_WITH, TRANSPORT};
use crate::error::{Failing, Problem};
use crate::session::held;

/// This very program, even if another file lies at its path by now.
pub const SELF: &str = "/proc/self/exe";

/// How long a part that has hung up may take to end, in milliseconds.
const PATIENCE_MS: u32 = 5_000;
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// *record*'s end.
pub struct Launcher {
    socket: Mutex<Option<OwnedFd>>,
    child: Mutex<Child>,
    /// What the parts that it starts may lack.
    pub may_lack: Vec<Protection>,
    /// How many pluggable transports it knows.
    pub transports: u8,
}

impl Launcher {
    /// Starts it. `sign_with` is the public key of an agent whose private key an SSH agent or a token
    /// holds.
    pub fn start(may_lack: &[Protection], sign_with: Option<&Path>, transports: &[Transport]) -> Result<Self, Problem> {
        let trying = "starting Vigie's helper process";
        vigie_confine::keep_to_itself().failing(trying)?;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).failing(trying)?;
        let mut command = part("launcher", may_lack);
        if let Some(key) = sign_with {
            // ssh-keygen finds the SSH agent, and whom to ask for a PIN, by the environment.
            command.arg(SIGN_WITH).arg(key).envs(std::env::vars_os());
        }
        for transport in transports {
            command.arg(TRANSPORT).arg(packed(transport).failing(trying)?);
        }
        // Ctrl-C is for record: it ends the others in order.
        let child = command.process_group(0).stdin(theirs).spawn().failing(trying)?;
        let known = u8::try_from(transports.len()).failing(trying)?;
        let (socket, child) = (Mutex::new(Some(ours)), Mutex::new(child));
        Ok(Self { socket, child, may_lack: may_lack.to_vec(), transports: known })
    }

    /// Starts a part: its number and its socket.
    pub fn launch(&self, part: Part) -> Result<(u32, UnixStream), Problem> {
        match self.ask(&ToLauncher::Start(part))? {
            (FromLauncher::Started(number), Some(socket)) => Ok((number, UnixStream::from(socket))),
            (FromLauncher::Failed(why), _) => Err(Problem::other(why)),
            _ => Err(gone()),
        }
    }

    /// Ends a part at once, if it has not ended, and says how it ended.
    pub fn end(&self, number: u32) -> String {
        self.end_within(number, 0)
    }

    /// The same for a part that has hung up: it may put its files in order first.
    pub fn let_end(&self, number: u32) -> String {
        self.end_within(number, PATIENCE_MS)
    }

    fn end_within(&self, number: u32, patience_ms: u32) -> String {
        match self.ask(&ToLauncher::End { number, patience_ms }) {
            Ok((FromLauncher::Ended(how), _)) => how,
            _ => "how it ended is not known".to_owned(),
        }
    }

    /// Starts a transport unless it runs; gives where its protocols are taken, and whether it was
    /// started anew.
    pub fn transport(&self, place: u8) -> Result<(Vec<(String, SocketAddr)>, bool), Problem> {
        match self.ask(&ToLauncher::Transport(place))? {
            (FromLauncher::Transport { methods, anew }, _) => Ok((methods, anew)),
            (FromLauncher::Failed(why), _) => Err(Problem::other(why)),
            _ => Err(gone()),
        }
    }

    /// Has a statement signed.
    pub fn sign(&self, statement: &str) -> Result<String, Problem> {
        match self.ask(&ToLauncher::Sign(statement.to_owned()))? {
            (FromLauncher::Signed(Ok(signature)), _) => Ok(signature),
            (FromLauncher::Signed(Err(why)), _) => Err(Problem::locked(why)),
            (FromLauncher::Failed(why), _) => Err(Problem::other(why)),
            _ => Err(gone()),
        }
    }

    fn ask(&self, order: &ToLauncher) -> Result<(FromLauncher, Option<OwnedFd>), Problem> {
        let socket = held(&self.socket);
        let socket = socket.as_ref().ok_or_else(gone)?.as_fd();
        let bytes = encode(order, LAUNCHER_BYTES).failing("asking Vigie's helper process")?;
        send(socket, &bytes, None).map_err(|_| gone())?;
        receive(socket).map_err(|_| gone())?.ok_or_else(gone)
    }
}

impl Drop for Launcher {
    /// It ends when its socket closes, and the parts with it.
    fn drop(&mut self) {
        drop(held(&self.socket).take());
        let _ = held(&self.child).wait();
    }
}

fn gone() -> Problem {
    Problem::other("Vigie's helper process has ended: start the command again")
}

/// This program as one of its parts, with nothing of ours.
fn part(name: &str, may_lack: &[Protection]) -> Command {
    let mut command = Command::new(SELF);
    command.arg0(format!("vigie-{name}")).arg(PART).arg(name).env_clear().current_dir("/");
    for protection in may_lack {
        command.args([MAY_LACK, protection.name()]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Takes orders until *record* closes the socket; then its children end by themselves, or are ended
/// by the kernel.
pub fn serve(sign_with: Option<&Path>, transports: &[Transport], may_lack: &[Protection]) -> io::Result<()> {
    let stdin = io::stdin();
    let socket = stdin.as_fd();
    let mut children: HashMap<u32, Child> = HashMap::new();
    let mut running: HashMap<u8, Running> = HashMap::new();
    let mut number = 0;
    while let Some((order, _)) = receive::<ToLauncher>(socket)? {
        let (answer, handle) = match order {
            ToLauncher::Start(which) => match start(which, may_lack) {
                Ok((child, ours)) => {
                    number += 1;
                    children.insert(number, child);
                    (FromLauncher::Started(number), Some(ours))
                }
                Err(error) => (FromLauncher::Failed(format!("starting another process of Vigie: {error}")), None),
            },
            ToLauncher::End { number, patience_ms } => {
                (FromLauncher::Ended(end(children.remove(&number), patience_ms.min(PATIENCE_MS))), None)
            }
            ToLauncher::Transport(place) => (transport(place, transports, &mut running, may_lack), None),
            ToLauncher::Sign(statement) => (
                match sign_with {
                    Some(key) => FromLauncher::Signed(crate::agentkey::ask(key, &statement, foreground())),
                    None => FromLauncher::Failed("no key to sign with was named at the start".into()),
                },
                None,
            ),
        };
        let bytes = encode(&answer, LAUNCHER_BYTES).map_err(io::Error::other)?;
        send(socket, &bytes, handle.as_ref().map(|handle| handle.as_fd()))?;
    }
    for (_, child) in children {
        end(Some(child), 0);
    }
    Ok(())
}

fn transport(
    place: u8,
    transports: &[Transport],
    running: &mut HashMap<u8, Running>,
    may_lack: &[Protection],
) -> FromLauncher {
    if let Some(one) = running.get_mut(&place)
        && one.is_alive()
    {
        return FromLauncher::Transport { methods: one.methods.clone(), anew: false };
    }
    running.remove(&place);
    let Some(transport) = transports.get(usize::from(place)) else {
        return FromLauncher::Failed("there is no such transport".into());
    };
    match Running::start(transport, may_lack) {
        Ok(one) => {
            let methods = one.methods.clone();
            running.insert(place, one);
            FromLauncher::Transport { methods, anew: true }
        }
        Err(why) => FromLauncher::Failed(why),
    }
}

/// The process group of *record*: who may ask at the terminal.
fn foreground() -> Option<i32> {
    let record = rustix::process::getppid()?;
    rustix::process::getpgid(Some(record)).ok().map(|group| group.as_raw_nonzero().get())
}

fn start(which: Part, may_lack: &[Protection]) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    let name = match which {
        Part::Net => "net",
        Part::Parse => "parse",
        Part::Draw => "draw",
        Part::Recorder => "recorder",
    };
    Ok((part(name, may_lack).stdin(OwnedFd::from(theirs)).spawn()?, ours.into()))
}

fn end(child: Option<Child>, patience_ms: u32) -> String {
    let Some(mut child) = child else { return "there is no such process".into() };
    let until = Instant::now() + Duration::from_millis(patience_ms.into());
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(status)) => return described(status),
            Ok(None) => std::thread::sleep(LOOK),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    match child.wait() {
        Ok(status) => described(status),
        Err(error) => format!("how it ended is not known: {error}"),
    }
}

fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "it ended by itself".into(),
        (Some(101), _) => "it ended on a fault of its own".into(),
        (Some(code), _) => format!("it ended by itself with code {code}"),
        (None, Some(libc::SIGKILL)) => "it was killed".into(),
        (None, Some(libc::SIGSYS)) => {
            "the kernel ended it: it tried what no sound process of Vigie does (an attack, or a fault)".into()
        }
        (None, Some(signal)) => format!("it ended by signal {signal}"),
        (None, None) => "how it ended is not known".into(),
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], handle: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let handles = handle.as_slice();
    if !handles.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(handles));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// One message and the handle with it; `None` when the other side is gone.
fn receive<T: serde::de::DeserializeOwned>(socket: BorrowedFd<'_>) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut bytes = vec![0; LAUNCHER_BYTES + 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::other("a message is too long"));
    }
    let mut inbox = Inbox::new(LAUNCHER_BYTES);
    inbox.push(&bytes[..got.bytes]);
    let message = inbox.take().map_err(io::Error::other)?.ok_or_else(|| io::Error::other("a message is cut"))?;
    let handle = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
        _ => None,
    });
    Ok(Some((message, handle)))
}
