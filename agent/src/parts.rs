//! Vigie's processes. The one that the user starts is *record*; before it meets a hostile byte it gives
//! up the right to open sockets and to start programs, so *launcher* does that for it:
//!
//! ```text
//! record ──> launcher ──> net     (Tor and HTTP)
//!   │            ├──────> parse   (hostile bytes in, plain values out)
//!   │            └──────> draw    (recorded pages in, pictures out)
//!   └── one socket pair to each
//! ```
//!
//! All are this same program, started anew with the hidden command `part`; none inherits memory, an
//! open file or the environment of *record*.

mod launcher;
mod net;
mod pool;
mod transport;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use vigie_confine::Role;
use vigie_wire::control::{Protection, Transport};

pub use launcher::Launcher;
pub use net::{Net, name_transports};
pub use pool::{DrawPool, Drawing, ParsePool, Pool, Reading, Unread, Work};

/// The hidden command under which the program is one of its parts.
pub const PART: &str = "part";
/// Option by which a part learns what it may lack.
const MAY_LACK: &str = "--may-lack";
/// Option that describes a pluggable transport that *launcher* may start.
const TRANSPORT: &str = "--transport";
/// Option that names the key that *launcher* has statements signed with.
const SIGN_WITH: &str = "--sign-with";

/// Runs as a part when the arguments say so; `None` for the command line of a user.
pub fn run_as(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let _program = arguments.next();
    if arguments.next()? != PART {
        return None;
    }
    let part = arguments.next()?;
    let mut may_lack = Vec::new();
    let mut sign_with: Option<PathBuf> = None;
    let mut transports: Vec<Transport> = Vec::new();
    while let Some(option) = arguments.next() {
        let value = arguments.next()?;
        match option.to_str() {
            Some(MAY_LACK) => may_lack.extend(value.to_str().and_then(Protection::named)),
            Some(TRANSPORT) => {
                let packed = data_encoding::HEXLOWER.decode(value.as_encoded_bytes()).ok()?;
                transports.push(postcard::from_bytes(&packed).ok()?);
            }
            Some(SIGN_WITH) => sign_with = Some(value.into()),
            _ => return None,
        }
    }
    // Refusals stand in the record of the process that was started by the user.
    crate::protect::part();
    let ended = match part.to_str() {
        Some("launcher") => launcher::serve(sign_with.as_deref(), &transports, &may_lack),
        Some(transport::WRAPPED) => transport::become_it(transports.first()?, &may_lack),
        Some("net") => vigie_net::serve(),
        Some("parse") => worker::serve::<Reading>(&Role::Parse, &may_lack),
        Some("draw") => worker::serve::<Drawing>(&Role::Draw, &may_lack),
        Some("recorder") => worker::serve::<Reading>(&Role::Record { write: Vec::new(), read: Vec::new() }, &may_lack),
        _ => return None,
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Read by a person only when one starts a part by hand.
            eprintln!("error: this part of Vigie is started by its commands, not by hand: {error}");
            ExitCode::FAILURE
        }
    })
}
