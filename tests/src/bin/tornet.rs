//! `tornet DIR --hs PORT…`: a private Tor network on loopback in the foreground.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use vigie_tests::tornet::{HiddenService, Options, TorNet};

/// Runs a private Tor network on loopback: 3 authorities, 5 relays (all exits), the onion
/// services asked for. Exits resolve *.test to 127.0.0.1 and nothing else.
///
/// Writes DIR/arti.toml (Arti's own configuration) and DIR/services.json, prints the onion names
/// and `ready`, then runs until Ctrl-C or SIGTERM. Tor's state is removed at the end; the two files
/// stay.
#[derive(Debug, Parser)]
#[command(
    name = "tornet",
    after_help = "Example:\n  python3 -m http.server --bind 127.0.0.1 8000 &\n  tornet target/net --hs 8000 --hs 8080:8001 --socks\n  \
                  curl --socks5-hostname 127.0.0.1:PORT http://NAME.onion/   # port and name as printed"
)]
struct Arguments {
    /// Directory of the network (created when missing)
    dir: PathBuf,
    /// An onion service for a local port, on port 80 or on VPORT; may be repeated
    #[arg(long = "hs", value_name = "[VPORT:]PORT", value_parser = ports)]
    services: Vec<(u16, u16)>,
    /// Keep a C tor client with a SOCKS port and print it
    #[arg(long)]
    socks: bool,
    /// Exits resolve no name at all
    #[arg(long)]
    no_dns: bool,
    /// End when standard input closes, too
    #[arg(long)]
    until_stdin_closes: bool,
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let (outer, inner) = text.split_once(':').unwrap_or(("80", text));
    let port =
        |text: &str| text.parse().ok().filter(|port| *port != 0).ok_or(format!("`{text}` is no port: give 1 to 65535"));
    Ok((port(outer)?, port(inner)?))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tornet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let services = (1..)
        .zip(&arguments.services)
        .map(|(n, &(virtual_port, local_port))| HiddenService { name: format!("hs{n}"), virtual_port, local_port })
        .collect();
    let options = Options { services, client_socks: arguments.socks, dns: !arguments.no_dns, ..Options::default() };

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Before the network, so that Ctrl-C while it starts ends it in order as well.
    let stop = {
        let _inside = runtime.enter();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (tell, stop) = std::sync::mpsc::channel::<()>();
        let told = tell.clone();
        runtime.spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            let _ = told.send(());
        });
        if arguments.until_stdin_closes {
            std::thread::spawn(move || {
                let mut input = std::io::stdin().lock();
                let mut rest = [0; 256];
                while matches!(input.read(&mut rest), Ok(1..)) {}
                let _ = tell.send(());
            });
        } else {
            // The other sender must live as long as the wait below.
            std::mem::forget(tell);
        }
        stop
    };

    let net = TorNet::start_unless(&arguments.dir, options, &|| stop.try_recv().is_ok())?;
    write(&arguments.dir, "arti.toml", &net.arti_toml())?;
    let list: Vec<_> = net
        .services()
        .iter()
        .map(|(service, onion)| {
            serde_json::json!({
                "name": service.name, "onion": onion,
                "virtual_port": service.virtual_port, "local_port": service.local_port,
            })
        })
        .collect();
    let json = serde_json::json!({ "services": list, "socks_port": net.socks_port() });
    write(&arguments.dir, "services.json", &format!("{}\n", serde_json::to_string_pretty(&json)?))?;

    let mut out = std::io::stdout().lock();
    for (service, onion) in net.services() {
        writeln!(out, "http://{onion}:{}/ -> 127.0.0.1:{}", service.virtual_port, service.local_port)?;
    }
    if let Some(port) = net.socks_port() {
        writeln!(out, "socks5h://127.0.0.1:{port}")?;
    }
    writeln!(
        out,
        "ready after {:.1} s; {}",
        started.elapsed().as_secs_f32(),
        arguments.dir.join("arti.toml").display()
    )?;
    out.flush()?;
    let _ = stop.recv();
    Ok(())
}

fn write(dir: &std::path::Path, name: &str, text: &str) -> Result<(), String> {
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(|e| format!("writing {}: {e}", path.display()))
}
