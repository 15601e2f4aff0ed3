//! As much of tor's control protocol (control-spec.txt) as tells when a service has published.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// An authenticated control connection that hears of descriptors.
#[derive(Debug)]
pub(super) struct Control {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    holders: HashMap<String, BTreeSet<String>>,
}

impl Control {
    /// Connects with the cookie of the process' data directory and asks for descriptor events.
    pub(super) fn open(port: u16, data_dir: &Path) -> std::io::Result<Self> {
        let cookie = std::fs::read(data_dir.join("control_auth_cookie"))?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut control = Self { stream: BufReader::new(stream), line: Vec::new(), holders: HashMap::new() };
        control.send(&format!("AUTHENTICATE {}", data_encoding::HEXUPPER.encode(&cookie)))?;
        control.send("SETEVENTS HS_DESC")?;
        Ok(control)
    }

    fn send(&mut self, command: &str) -> std::io::Result<()> {
        self.ask(command).map(drop)
    }

    /// Sends a command; gives the lines of its answer before the last, without their code.
    pub(super) fn ask(&mut self, command: &str) -> std::io::Result<Vec<String>> {
        let mut answer = Vec::new();
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        for _ in 0..600 {
            match self.read_line()? {
                Some(line) if line.starts_with("250 ") => return Ok(answer),
                Some(line) if line.starts_with("250-") => answer.push(line[4..].to_owned()),
                Some(line) if line.starts_with("650") => self.note(&line),
                Some(line) => return Err(std::io::Error::other(format!("control port: {line}"))),
                None => {}
            }
        }
        Err(std::io::Error::other("the control port did not answer in a minute"))
    }

    /// A whole line, or nothing when none came within the read timeout.
    fn read_line(&mut self) -> std::io::Result<Option<String>> {
        match self.stream.read_until(b'\n', &mut self.line) {
            Ok(0) => Err(std::io::Error::other("the control port closed")),
            Ok(_) => {
                let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
                self.line.clear();
                Ok(Some(line))
            }
            // The bytes so far stay in `line`.
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Asks one directory for a service's descriptor; gives its exact text.
    pub(super) fn fetch_descriptor(&mut self, onion: &str, hsdir_rsa: &str) -> std::io::Result<Vec<u8>> {
        self.send("SETEVENTS HS_DESC_CONTENT")?;
        let label = onion.trim_end_matches(".onion");
        self.send(&format!("HSFETCH {label} SERVER=${hsdir_rsa}"))?;
        let mut text: Option<Vec<u8>> = None;
        for _ in 0..300 {
            let Some(line) = self.read_line()? else { continue };
            match &mut text {
                None if line.starts_with("650+HS_DESC_CONTENT") => text = Some(Vec::new()),
                None => {}
                Some(text) if line == "." => {
                    if text.is_empty() || text == b"\n" {
                        break;
                    }
                    return Ok(std::mem::take(text));
                }
                Some(text) => {
                    text.extend_from_slice(
                        line.strip_prefix("..").map_or(line.clone(), |rest| format!(".{rest}")).as_bytes(),
                    );
                    text.push(b'\n');
                }
            }
        }
        Err(std::io::Error::other("the directory gave no descriptor"))
    }

    /// Hands a descriptor to directories; their taking it is heard of as that of another.
    pub(super) fn post_descriptor(&mut self, onion: &str, hsdirs: &[String], text: &[u8]) -> std::io::Result<()> {
        let servers: Vec<_> = hsdirs.iter().map(|rsa| format!("SERVER={rsa}")).collect();
        let label = onion.trim_end_matches(".onion");
        let lines = String::from_utf8_lossy(text).lines().collect::<Vec<_>>().join("\r\n");
        self.send(&format!("+HSPOST {} HSADDRESS={label}\r\n{lines}\r\n.", servers.join(" ")))
    }

    fn note(&mut self, line: &str) {
        // 650 HS_DESC UPLOADED HSAddress AuthType HsDir …
        let mut words = line.split_whitespace().skip(2);
        if words.next() != Some("UPLOADED") {
            return;
        }
        if let (Some(address), Some(hsdir)) = (words.next(), words.nth(1)) {
            self.holders.entry(format!("{address}.onion")).or_default().insert(hsdir.to_owned());
        }
    }

    /// Takes in what tor has told since (at most a tenth of a second when it tells nothing).
    pub(super) fn hear(&mut self) -> std::io::Result<()> {
        while let Some(line) = self.read_line()? {
            self.note(&line);
        }
        Ok(())
    }

    /// How many different HSDirs have taken a descriptor of this service.
    pub(super) fn hsdirs(&self, onion: &str) -> usize {
        self.holders.get(onion).map_or(0, BTreeSet::len)
    }
}
