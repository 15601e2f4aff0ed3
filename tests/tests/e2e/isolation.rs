//! Which circuits pages travel on, as the service sees it: C tor tells the server behind an onion service the
//! circuit of each connection (`HiddenServiceExportCircuitID`, proxy protocol version 1).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use vigie_tests::desk::Target;

use crate::ensure;
use crate::restricted::second_profile;
use crate::station::{Outcome, PURPOSE, Station};
use crate::world::{CIRCUITS, Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "isolation::only_one_mandate_profile_target_and_session_shares_a_circuit", run: circuits },
        Case { name: "isolation::guards_stay_with_their_workstation", run: guards },
    ]
}

/// A page and the circuit on which it was asked for.
type Asked = (String, String);

/// A site behind [`CIRCUITS`]. It closes after each response, so that each page needs a stream of its own.
pub struct CircuitSite {
    /// Port on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl CircuitSite {
    /// Starts it; it ends with the process.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (port, asked) = (listener.local_addr()?.port(), Arc::<Mutex<Vec<Asked>>>::default());
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || serve(stream, &noted));
            }
        });
        Ok(Self { port, asked })
    }

    /// Circuits of the pages whose path begins so, and how many pages.
    fn circuits(&self, path: &str) -> (BTreeSet<String>, usize) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let own: Vec<_> = asked.iter().filter(|(page, _)| page.starts_with(path)).collect();
        (own.iter().map(|(_, circuit)| circuit.clone()).collect(), own.len())
    }
}

fn serve(stream: TcpStream, asked: &Mutex<Vec<Asked>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let circuit = line.strip_prefix("PROXY TCP6 ")?.split(' ').next()?.to_owned();
    line.clear();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    }
    asked.lock().unwrap_or_else(PoisonError::into_inner).push((path, circuit));
    let body = "<!doctype html><title>A page</title><p>A page that tells its circuit to the site.";
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    reader.get_mut().write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).ok()
}

/// A target whose pages begin with a word.
fn target(name: &str, onion: &str, port: u16) -> Target {
    let pages = |last: usize| (1..=last).map(|n| format!("/{name}/{n}")).collect::<Vec<_>>();
    Target { port, entry: pages(3), include: vec![format!("/{name}/**")], ..Target::onion(name, onion) }
}

/// Groups of circuits of which two have one in common.
fn shared<'g>(groups: &'g [(&'g str, BTreeSet<String>)]) -> Vec<(&'g str, &'g str)> {
    let mut found = Vec::new();
    for (place, (name, circuits)) in groups.iter().enumerate() {
        found
            .extend(groups[..place].iter().filter(|(_, other)| !other.is_disjoint(circuits)).map(|(o, _)| (*o, *name)));
    }
    found
}

fn circuits(world: &World) -> CaseResult {
    let onion = world.net.onion(CIRCUITS);
    let targets = [target("one", &onion, 80), target("two", &onion, 81)];
    let station = Station::desk(world, "isolation", &targets)?;
    let pseudonyms = ["heron", "egret"].map(toml::Value::from).to_vec();
    let text = station.desk.mandate(&targets, jiff::Timestamp::now())?.with("pseudonyms", pseudonyms);
    station.sign_mandate(&text)?;
    station.set_up_quickly("store")?;
    second_profile(&station)?;
    let second = station.desk.write_mandate("second.toml", &text.with("id", "M-2026-018"))?;
    station.vigie(&["mandate", "add"]).arg(second).run()?.success()?;
    let capture = |path: &str, mandate: &str, profile: &str| -> Outcome<()> {
        let port = if path.starts_with("/two") { ":81" } else { "" };
        let url = format!("http://{onion}{port}{path}");
        let args = ["capture", &url, "--purpose", PURPOSE, "--mandate", mandate, "--profile", profile];
        station.vigie(&args).run()?.exits(0)?;
        Ok(())
    };
    let whose = ["--mandate", "M-2026-017", "--profile", "heron"];
    station.run_once().args(whose).run()?.exits(0)?;
    capture("/one/another-session", "M-2026-017", "heron")?;
    capture("/one/another-profile", "M-2026-017", "egret")?;
    capture("/one/another-mandate", "M-2026-018", "heron")?;
    let mut groups = Vec::new();
    for (name, path, pages) in [
        ("a target", "/one/1 /one/2 /one/3", 3),
        ("another target", "/two/", 3),
        ("another session", "/one/another-session", 1),
        ("another profile", "/one/another-profile", 1),
        ("another mandate", "/one/another-mandate", 1),
    ] {
        let mut circuits = BTreeSet::new();
        let mut count = 0;
        for path in path.split(' ') {
            let (own, asked) = world.circuits.circuits(path);
            circuits.extend(own);
            count += asked;
        }
        // The anti-test: three streams of one (mandate, profile, target, session) are seen to share.
        ensure!(count == pages && circuits.len() == 1, "{name}: {count} pages on {circuits:?}");
        groups.push((name, circuits));
    }
    ensure!(shared(&groups).is_empty(), "{:?}", shared(&groups));
    groups.push(("planted", groups[3].1.clone()));
    ensure!(shared(&groups) == [("another profile", "planted")], "a circuit that is shared is seen");
    station.sound()?;
    Ok(())
}

fn guards(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let confirmed = |station: &Station| -> Outcome<Vec<(String, String)>> {
        let state = station.json(&["tor", "status", "--reveal"])?;
        let guards = state["guards"].as_array().ok_or("no guards")?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let used = guards.iter().filter(|guard| guard["confirmed"].is_string());
        Ok(used.map(|guard| (text(&guard["id"]), text(&guard["added"]))).collect())
    };
    let station = Station::quick(world, "guards", &[Target::onion("market-a", &onion)])?;
    let before = station.json(&["tor", "status"])?;
    ensure!(before["guards"].as_array().is_some_and(Vec::is_empty) && before["consensus"].is_null(), "{before}");
    let url = format!("http://{onion}/offer/3");
    station.capture(&url).run()?.exits(0)?;
    let first = confirmed(&station)?;
    ensure!(!first.is_empty(), "no guard was used");
    station.capture(&url).run()?.exits(0)?;
    let second = confirmed(&station)?;
    ensure!(second.first() == first.first(), "{first:?}, then {second:?}");
    let other = Station::quick(world, "other-guards", &[Target::onion("market-a", &onion)])?;
    other.capture(&url).run()?.exits(0)?;
    let theirs = confirmed(&other)?;
    // Chosen by itself at another moment, though a network of eight relays may give both the same one.
    ensure!(!theirs.is_empty() && theirs.first() != first.first(), "{theirs:?}");
    ensure!(confirmed(&station)? == second, "another workstation changes nothing here");

    // What `vigie tor status` says, and what only when it is asked to.
    let state = station.json(&["tor", "status"])?;
    ensure!(state["network"] == "test" && state["authorities"] == 3 && state["vanguards"] == "full", "{state}");
    ensure!(state["consensus"]["state"] != "expired" && state["cache_bytes"].as_u64() > Some(1000), "{state}");
    ensure!(state["memory_bytes"] == 512 * 1024 * 1024 && state["bridges_used"] == false, "{state}");
    let shown = station.vigie(&["tor", "status"]).run()?.success()?.text();
    ensure!(
        shown.contains("TEST NETWORK") && shown.contains("confirmed 20") && !shown.contains(&first[0].0),
        "{shown}"
    );
    let bridge = "obfs4 192.0.2.83:80 4352e58420e68f5e40bade74faddccd9d1349413 cert=abc iat-mode=0";
    station.configure(&format!(
        "[tor.bridges]\nbridges = [\"{bridge}\"]\n[[transports]]\nprotocols = [\"obfs4\"]\nprogram = \"/usr/bin/obfs4proxy\""
    ))?;
    let shown = station.vigie(&["tor", "status"]).run()?.success()?.text();
    ensure!(shown.contains("1, in the place of guards: obfs4") && !shown.contains("192.0.2.83"), "{shown}");
    let state = station.json(&["tor", "status", "--reveal"])?;
    ensure!(state["bridges"][0]["line"] == bridge && state["transports"][0] == "obfs4", "{state}");
    Ok(())
}
