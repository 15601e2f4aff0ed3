//! `vigie firewall`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vigie_net::NetConfig;

use super::{StoreArgs, show, workstation};
use crate::error::{Failing, Problem, exit};
use crate::firewall::{From, relays, table};

/// Print a packet filter (nft) that lets Vigie reach its guards or bridges and nothing else. Sends nothing,
/// changes nothing.
#[derive(Args)]
#[command(
    after_help = "Without a guard yet (before the first run), the relays that the first consensus comes from are let through: \
                  run it again afterwards, and each day.\n\nExample:\n  \
                  vigie firewall --store store --user vigie | sudo nft -f -\n  \
                  vigie firewall --store store --interface vigie0 | sudo nft -f -"
)]
pub struct FirewallArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// The workstation's configuration (else: vigie.toml beside the store).
    #[arg(long, value_name = "FILE", env = "VIGIE_CONFIG")]
    config: Option<PathBuf>,
    /// Judge what this user's processes send (name or number; else: the user who asks).
    #[arg(long, value_name = "USER", conflicts_with = "interface")]
    user: Option<String>,
    /// Judge what is forwarded from this interface: the outer end of a network name space of Vigie's own.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Let the relays through as well that a first consensus comes from.
    #[arg(long)]
    with_fallbacks: bool,
    /// The addresses alone, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told {
    bridges: Vec<String>,
    guards: Vec<String>,
    fallbacks: Vec<String>,
    let_through: Vec<String>,
}

pub fn firewall(args: FirewallArgs) -> Result<u8, Problem> {
    let workstation = workstation(args.config.as_deref(), &args.at.store)?;
    let folder = std::fs::canonicalize(&args.at.store)
        .map_err(|e| Problem::input(format!("there is no store at {}: {e}", args.at.store.display())))?
        .join("tor");
    let reach = vigie_net::reach(&NetConfig {
        tor: workstation.tor,
        state_dir: folder.join("state"),
        cache_dir: folder.join("cache"),
        tls_extra_roots: Vec::new(),
    })
    .map_err(|error| Problem::input(format!("finding Tor's relays: {error}")))?;
    let relays = relays(&reach, args.with_fallbacks);
    if args.json {
        let texts = |list: &[std::net::SocketAddr]| list.iter().map(ToString::to_string).collect();
        show::json(&Told {
            bridges: texts(&reach.bridges),
            guards: texts(&reach.guards),
            fallbacks: texts(&reach.fallbacks),
            let_through: texts(&relays),
        })?;
        return Ok(exit::OK);
    }
    let from = match (args.interface, args.user) {
        (Some(name), _) => From::Interface(interface(name)?),
        (None, Some(user)) => From::User(number(&user)?),
        (None, None) => From::User(rustix::process::getuid().as_raw()),
    };
    show::bytes(table(&relays, &from).as_bytes())?;
    Ok(exit::OK)
}

/// A name that an interface can have (at most 15 bytes, netdevice(7)) and that means nothing to nft.
fn interface(name: String) -> Result<String, Problem> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if (1..=15).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(Problem::input("no interface can have that name: give one as ip link lists it"))
    }
}

/// A user's number, by number or by name in passwd(5).
fn number(user: &str) -> Result<u32, Problem> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let text = std::fs::read_to_string("/etc/passwd").failing("reading /etc/passwd")?;
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|words| words.first() == Some(&user))
        .and_then(|words| words.get(2)?.parse().ok())
        .ok_or_else(|| Problem::input("/etc/passwd knows no such user: give its number"))
}
