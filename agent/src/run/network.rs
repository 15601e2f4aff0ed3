//! What the network part and the pluggable transports of a workstation are started with.

use std::path::{Path, PathBuf};

use vigie_wire::control::{Start, Transport};

use crate::error::{Failing, Problem};
use crate::parts::Launcher;
use crate::workstation::{self, Workstation};

/// Pluggable transports of a workstation, with a folder for the state of each beside Tor's.
pub fn transports(store: &Path, workstation: &Workstation) -> Result<Vec<Transport>, Problem> {
    let text = |path: PathBuf| {
        path.into_os_string().into_string().map_err(|_| Problem::input("a path is not UTF-8: move the store"))
    };
    let folder = std::fs::canonicalize(store)
        .map_err(|e| Problem::input(format!("there is no store at {}: {e}", store.display())))?
        .join("tor/transports");
    let one = |transport: &workstation::Transport| {
        Ok(Transport {
            state: text(folder.join(&transport.protocols[0]))?,
            protocols: transport.protocols.clone(),
            program: text(transport.program.clone())?,
            arguments: transport.arguments.clone(),
        })
    };
    workstation.transports.iter().map(one).collect()
}

/// What the network part of a workstation is started with.
pub fn start(store: &Path, workstation: &Workstation, launcher: &Launcher) -> Result<Start, Problem> {
    let folder = std::fs::canonicalize(store).failing("finding the store's folder")?.join("tor");
    let named = |name: &str| {
        folder
            .join(name)
            .into_os_string()
            .into_string()
            .map_err(|_| Problem::input("the path of the store is not UTF-8, which Arti needs: move the store"))
    };
    Ok(Start {
        tor: toml::to_string(&workstation.tor).failing("handing [tor] of vigie.toml on")?,
        state_dir: named("state")?,
        cache_dir: named("cache")?,
        tls_extra_roots: workstation.extra_roots.iter().map(|der| der.clone().into()).collect(),
        may_lack: launcher.may_lack.clone(),
    })
}
