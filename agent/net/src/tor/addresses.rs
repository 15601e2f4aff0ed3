//! Where Tor may have to connect to, for a packet filter: the relays that Arti enters by, from its own files and
//! configuration. Nothing is started.

use std::net::SocketAddr;

use tor_linkspec::HasAddrs;

use super::bridges::{self, Bridge};
use super::guards::guards;
use super::{completed, read};
use crate::{NetConfig, NetError};

/// Addresses by what they are; each list sorted, without repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Bridges of the configuration, when it has any that are in use: then they are the only way in.
    pub bridges: Vec<SocketAddr>,
    /// Guards that Arti keeps; none before the first run.
    pub guards: Vec<SocketAddr>,
    /// Relays that a first consensus comes from, when there is no guard yet.
    pub fallbacks: Vec<SocketAddr>,
}

/// Reads configuration and state.
///
/// # Errors
/// A configuration that is none, and a file of guards that cannot be read.
pub fn reach(config: &NetConfig) -> Result<Reach, NetError> {
    let named = bridges::bridges(&config.tor)?;
    let used = bridges::enabled(&config.tor, &named);
    let address = |bridge: &Bridge| bridge.line.split_whitespace().find_map(|word| word.parse().ok());
    let mut bridges: Vec<SocketAddr> = named.iter().filter(|_| used).filter_map(address).collect();
    sort(&mut bridges);
    // Transports are started by others, and a bridge without one would be an error.
    let mut table = config.tor.clone();
    table.remove("bridges");
    let arti = read(&completed(&NetConfig { tor: table, ..config.clone() })?)?;
    let directory = arti.dir_mgr_config().map_err(|e| NetError::Config(e.to_string()))?;
    let mut fallbacks: Vec<SocketAddr> = directory.fallbacks().iter().flat_map(HasAddrs::addrs).collect();
    sort(&mut fallbacks);
    // Those of bridges are in the configuration.
    let kept = guards(&config.state_dir)?.into_iter().filter(|guard| guard.set != "bridges");
    let mut guards: Vec<SocketAddr> = kept.flat_map(|guard| guard.addresses).collect();
    sort(&mut guards);
    Ok(Reach { bridges, guards, fallbacks })
}

fn sort(addresses: &mut Vec<SocketAddr>) {
    addresses.sort();
    addresses.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tor: &str, folder: &std::path::Path) -> NetConfig {
        NetConfig {
            tor: tor.parse().unwrap(),
            state_dir: folder.join("state"),
            cache_dir: folder.join("cache"),
            tls_extra_roots: Vec::new(),
        }
    }

    #[test]
    fn from_configuration_and_state() {
        let folder = tempfile::tempdir().unwrap();
        let public = reach(&config("", folder.path())).unwrap();
        assert!(public.bridges.is_empty() && public.guards.is_empty() && public.fallbacks.len() > 50);
        std::fs::create_dir_all(folder.path().join("state/state")).unwrap();
        let file = folder.path().join("state/state/guards.json");
        let text = r#"{"default":{"guards":[{"orports":["192.0.2.2:443","[2001:db8::1]:9001"],"id":{}}],"confirmed":[]},
            "restricted":{"guards":[{"orports":["192.0.2.2:443"]}]}, "bridges":{"guards":[{"orports":["192.0.2.9:1"]}]}}"#;
        std::fs::write(&file, text).unwrap();
        let lines = "[bridges]\nbridges = '''\n# one\nobfs4 192.0.2.7:80 0123456789ABCDEF0123456789ABCDEF01234567 cert=x\nBridge 192.0.2.6:443 0123456789ABCDEF0123456789ABCDEF01234567\n'''\n";
        let found = reach(&config(lines, folder.path())).unwrap();
        assert_eq!(found.bridges, ["192.0.2.6:443".parse().unwrap(), "192.0.2.7:80".parse().unwrap()]);
        assert_eq!(found.guards, ["192.0.2.2:443".parse().unwrap(), "[2001:db8::1]:9001".parse().unwrap()]);
        let wrong = "[bridges]\nbridges = '192.0.2.6 0123'\n";
        assert!(reach(&config(wrong, folder.path())).is_err());
        let off = format!("{lines}enabled = false\n");
        assert!(reach(&config(&off, folder.path())).unwrap().bridges.is_empty());
        std::fs::write(&file, "{").unwrap();
        assert!(reach(&config("", folder.path())).is_err());
    }
}
