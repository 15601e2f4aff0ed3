//! Starting a network process, and the transports that it goes through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use vigie_wire::control::{Confinement, FromNet, Part, Start, ToNet};
use vigie_wire::frame::{Inbox, encode};
use vigie_wire::limits;
use vigie_wire::net::NetworkFacts;

use super::{Process, READ};
use crate::error::{Failing, Problem};
use crate::parts::Launcher;

/// How long a process may take to start, without a network.
const START: Duration = Duration::from_secs(60);

/// Starts a process and hears what it says first.
pub async fn launch(launcher: &Arc<Launcher>, start: &Start) -> Result<(Process, NetworkFacts, Confinement), Problem> {
    let trying = "starting the network process";
    let (by, own) = (Arc::clone(launcher), start.clone());
    let start = &tokio::task::spawn_blocking(move || with_transports(&by, own)).await.failing(trying)??;
    let by = Arc::clone(launcher);
    let (number, socket) = tokio::task::spawn_blocking(move || by.launch(Part::Net)).await.failing(trying)??;
    socket.set_nonblocking(true).failing(trying)?;
    let (from, to) = UnixStream::from_std(socket).failing(trying)?.into_split();
    let mut process = Process { number, from, to, inbox: Inbox::new(limits::FROM_NET_BYTES) };
    let heard = tokio::time::timeout(START, hear(&mut process, start)).await;
    let (problem, told) = match heard {
        Ok(Ok(FromNet::Started { facts, confinement })) => return Ok((process, facts, confinement)),
        Ok(Ok(FromNet::NotStarted(fault))) if fault.input => (Problem::input(fault.line), true),
        Ok(Ok(FromNet::NotStarted(fault))) => (Problem::other(fault.line), true),
        Ok(Ok(_)) => (Problem::other(format!("{trying}: it began with something else")), false),
        Ok(Err(problem)) => (problem, false),
        Err(_) => (Problem::other(format!("{trying}: nothing within {} s", START.as_secs())), false),
    };
    let by = Arc::clone(launcher);
    let how = tokio::task::spawn_blocking(move || by.end(number)).await.unwrap_or_default();
    Err(if told { problem } else { Problem { line: format!("{}; {how}", problem.line), ..problem } })
}

/// Starts what pluggable transports do not run, and tells Arti where they are.
fn with_transports(launcher: &Launcher, mut start: Start) -> Result<Start, Problem> {
    if launcher.transports == 0 {
        return Ok(start);
    }
    let trying = "handing [tor] of vigie.toml on";
    let mut table: toml::Table = start.tor.parse().failing(trying)?;
    for place in 0..launcher.transports {
        name_transports(&mut table, launcher.transport(place)?.0)?;
    }
    start.tor = toml::to_string(&table).failing(trying)?;
    Ok(start)
}

async fn hear(process: &mut Process, start: &Start) -> Result<FromNet, Problem> {
    let trying = "starting the network process";
    let order = encode(&ToNet::Start(Box::new(start.clone())), limits::TO_NET_BYTES).failing(trying)?;
    process.to.write_all(&order).await.failing(trying)?;
    let mut buffer = vec![0; READ];
    loop {
        if let Some(message) = process.inbox.take::<FromNet>().failing(trying)? {
            message.check().failing(trying)?;
            return Ok(message);
        }
        match process.from.read(&mut buffer).await.failing(trying)? {
            0 => return Err(Problem::other(format!("{trying}: it said nothing"))),
            count => process.inbox.push(&buffer[..count]),
        }
    }
}

/// Tells Arti's configuration where protocols of pluggable transports are taken.
pub fn name_transports(
    tor: &mut toml::Table,
    methods: impl IntoIterator<Item = (String, SocketAddr)>,
) -> Result<(), Problem> {
    let bridges = tor.entry("bridges").or_insert_with(|| toml::Table::new().into());
    let bridges = bridges.as_table_mut().ok_or_else(|| Problem::input("vigie.toml: [tor] bridges is no table"))?;
    let list = bridges.entry("transports").or_insert_with(|| toml::Value::Array(Vec::new()));
    let list = list.as_array_mut().ok_or_else(|| Problem::input("vigie.toml: [tor.bridges] transports is no list"))?;
    for (protocol, address) in methods {
        let mut transport = toml::Table::new();
        transport.insert("protocols".into(), vec![protocol].into());
        transport.insert("proxy_addr".into(), address.to_string().into());
        list.push(transport.into());
    }
    Ok(())
}
