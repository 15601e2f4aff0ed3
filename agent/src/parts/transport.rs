//! Pluggable transports: programs of others that hide what Tor's traffic looks like, run below *launcher* and
//! spoken to as pt-spec (version 1) says. Their input is a bridge's bytes; they hold nothing of Vigie's.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use vigie_confine::Role;
use vigie_wire::control::{Protection, Transport};

use super::launcher::SELF;
use super::{MAY_LACK, PART, TRANSPORT};

/// Name of the part that becomes a transport.
pub const WRAPPED: &str = "transport";
/// How long one may take to say where it listens.
const START: Duration = Duration::from_secs(30);
/// Longest line that it may say, in bytes.
const LINE_BYTES: u64 = 4096;

/// A description as an argument.
pub fn packed(transport: &Transport) -> Result<String, postcard::Error> {
    postcard::to_stdvec(transport).map(|bytes| data_encoding::HEXLOWER.encode(&bytes))
}

/// Becomes the transport's program, bound to its own files; returns only when it cannot.
pub fn become_it(transport: &Transport, may_lack: &[Protection]) -> io::Result<()> {
    let role = Role::Transport { program: (&transport.program).into(), state: (&transport.state).into() };
    vigie_confine::enter(&role, may_lack).map_err(io::Error::other)?;
    Err(Command::new(&transport.program).args(&transport.arguments).exec())
}

/// One that runs.
pub struct Running {
    child: Child,
    // It ends when this closes.
    _stdin: Option<ChildStdin>,
    /// Protocols and where they are taken.
    pub methods: Vec<(String, SocketAddr)>,
}

impl Running {
    /// Starts it and waits until it is ready; an error says what it said.
    pub fn start(transport: &Transport, may_lack: &[Protection]) -> Result<Self, String> {
        let name = transport.protocols.join(", ");
        let failing =
            |why: &dyn std::fmt::Display| format!("starting the transport {name} ({}): {why}", transport.program);
        std::fs::create_dir_all(&transport.state).map_err(|e| failing(&e))?;
        let mut child = Command::new(SELF)
            .args([PART, WRAPPED])
            .args(may_lack.iter().flat_map(|lack| [MAY_LACK, lack.name()]))
            .arg(TRANSPORT)
            .arg(packed(transport).map_err(|e| failing(&e))?)
            .env_clear()
            .env("TOR_PT_MANAGED_TRANSPORT_VER", "1")
            .env("TOR_PT_STATE_LOCATION", &transport.state)
            .env("TOR_PT_EXIT_ON_STDIN_CLOSE", "1")
            .env("TOR_PT_CLIENT_TRANSPORTS", transport.protocols.join(","))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failing(&e))?;
        let stdin = child.stdin.take();
        let methods = child.stdout.take().ok_or_else(|| "it has no output".to_owned()).and_then(methods);
        let mut running = Self { child, _stdin: stdin, methods: Vec::new() };
        match methods {
            Ok(methods) if transport.protocols.iter().all(|wanted| methods.iter().any(|(name, _)| name == wanted)) => {
                running.methods = methods;
                Ok(running)
            }
            Ok(_) => Err(failing(&"it does not offer that protocol")),
            Err(why) => Err(failing(&why)),
        }
    }

    /// It has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it says until it is ready. Whatever it says afterwards is read and let go, so that it never
/// waits for us.
fn methods(stdout: std::process::ChildStdout) -> Result<Vec<(String, SocketAddr)>, String> {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout);
        loop {
            let mut line = String::new();
            let whole = std::io::Read::take(&mut lines, LINE_BYTES).read_line(&mut line);
            if !matches!(whole, Ok(1..)) {
                return;
            }
            // Nobody listens once it is ready.
            let _ = said.send(line);
        }
    });
    let mut found = Vec::new();
    let until = Instant::now() + START;
    loop {
        let line = match heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Err(format!("not ready within {} s", START.as_secs())),
            Err(RecvTimeoutError::Disconnected) => return Err("it ended before it was ready".into()),
        };
        if let Some(method) = heed(line.trim_end())? {
            match method {
                Said::Method(name, address) => found.push((name, address)),
                Said::Done => return Ok(found),
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Method(String, SocketAddr),
    Done,
}

/// One line (pt-spec, "Pluggable PT Client Messages"); an error is a line that says that it will not do.
fn heed(line: &str) -> Result<Option<Said>, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "VERSION" if rest.trim() != "1" => Err(format!("it speaks version {rest} of the protocol")),
        "VERSION-ERROR" | "ENV-ERROR" | "PROXY-ERROR" | "CMETHOD-ERROR" => Err(format!("it says: {}", plain(line))),
        "CMETHOD" => {
            let mut words = rest.split(' ');
            let (name, kind, address) = (words.next(), words.next(), words.next());
            match (name, kind, address.and_then(|address| address.parse::<SocketAddr>().ok())) {
                // Only this machine may hear what Tor sends.
                (Some(name), Some("socks5"), Some(address)) if address.ip().is_loopback() => {
                    Ok(Some(Said::Method(name.to_owned(), address)))
                }
                _ => Err(format!("it offers what Arti cannot use: {}", plain(line))),
            }
        }
        "CMETHODS" if rest.trim() == "DONE" => Ok(Some(Said::Done)),
        // LOG, STATUS and what later versions add.
        _ => Ok(None),
    }
}

/// A line of another program's, for a terminal.
fn plain(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_protocol() {
        assert_eq!(heed("VERSION 1"), Ok(None));
        assert!(heed("VERSION 2").is_err());
        let address = "127.0.0.1:4000".parse().unwrap();
        assert_eq!(heed("CMETHOD obfs4 socks5 127.0.0.1:4000"), Ok(Some(Said::Method("obfs4".into(), address))));
        assert_eq!(heed("CMETHODS DONE"), Ok(Some(Said::Done)));
        assert_eq!(heed("STATUS TRANSPORT=obfs4"), Ok(None));
        for bad in [
            "CMETHOD obfs4 socks5 192.0.2.1:4000",
            "CMETHOD obfs4 socks4 127.0.0.1:4000",
            "CMETHOD obfs4",
            "CMETHOD",
            "CMETHOD-ERROR obfs4 no",
            "ENV-ERROR no state",
            "VERSION-ERROR no-version",
            "PROXY-ERROR x",
        ] {
            assert!(heed(bad).is_err(), "{bad}");
        }
        assert!(!heed("ENV-ERROR \x1b[31mred").unwrap_err().contains('\x1b'));
    }
}
