//! The private network itself.

use std::time::Duration;

use vigie_tests::tornet::absent_onion;

use crate::ensure;
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "network::is_up_and_described_for_arti", run: is_up_and_described_for_arti },
        Case { name: "network::an_absent_onion_is_not_found", run: an_absent_onion_is_not_found },
        Case { name: "network::exits_resolve_test_names_only", run: exits_resolve_test_names_only },
        Case { name: "network::the_binary_ends_without_a_trace", run: the_binary_ends_without_a_trace },
    ]
}

fn is_up_and_described_for_arti(world: &World) -> CaseResult {
    ensure!(world.net.pids().len() == 10, "8 relays, the services, the client: {:?}", world.net.pids());
    ensure!(world.net.relay_ports().len() == 8, "{:?}", world.net.relay_ports());
    let arti: toml::Table = world.net.arti_toml().parse()?;
    let caches = arti["tor_network"]["fallback_caches"].as_array().ok_or("no fallback caches")?;
    let authorities = arti["tor_network"]["authorities"]["v3idents"].as_array().ok_or("no authorities")?;
    ensure!((caches.len(), authorities.len()) == (3, 3), "{arti:?}");
    for (service, onion) in world.net.services() {
        ensure!(onion.len() == 62 && onion.ends_with(".onion"), "{} is called {onion}", service.name);
    }
    Ok(())
}

fn an_absent_onion_is_not_found(world: &World) -> CaseResult {
    let output = world.curl(&format!("http://{}/", absent_onion()), &[])?;
    // 97: curl(1), "proxy handshake error".
    ensure!(output.code() == Some(97), "{:?}: {}", output.code(), output.errors());
    Ok(())
}

fn exits_resolve_test_names_only(world: &World) -> CaseResult {
    let output = world.curl("http://archive.example/", &[])?;
    ensure!(output.code() == Some(97), "{:?}: {}", output.code(), output.errors());
    ensure!(world.net.dns_queries().iter().any(|n| n == "archive.example"), "{:?}", world.net.dns_queries());
    Ok(())
}

/// A second, small network by the binary: ready, reachable, gone.
fn the_binary_ends_without_a_trace(world: &World) -> CaseResult {
    let dir = world.dir("tornet")?;
    let mut tornet = vigie_tests::process::Command::new(env!("CARGO_BIN_EXE_tornet"))
        .arg(&dir)
        .args(["--hs", &world.sites.market_a.port.to_string(), "--until-stdin-closes"])
        .spawn_with_open_input()?;
    tornet.wait_for("ready after", Duration::from_secs(240))?;
    let root = dir.join("tor");
    let running = processes_naming(&root)?;
    ensure!(running.len() == 9, "8 relays and the services run: {running:?}");
    tornet.close_input();
    tornet.wait(Duration::from_secs(20))?.success()?;
    ensure!(processes_naming(&root)?.is_empty(), "left running: {:?}", processes_naming(&root)?);
    ensure!(!root.exists(), "{} is left", root.display());
    ensure!(dir.join("arti.toml").exists(), "arti.toml is kept");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("services.json"))?)?;
    ensure!(json["services"][0]["onion"].as_str().is_some_and(|o| o.len() == 62), "{json}");
    Ok(())
}

/// Processes whose command line names a path.
fn processes_naming(path: &std::path::Path) -> std::io::Result<Vec<String>> {
    let wanted = path.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        // Processes come and go while this looks.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&wanted) {
            found.push(line);
        }
    }
    Ok(found)
}
