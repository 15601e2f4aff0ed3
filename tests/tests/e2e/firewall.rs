//! The packet filter that Vigie writes, loaded and tried in a cage.

use std::net::SocketAddr;

use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::{Command, Output};

use crate::cage::Cage;
use crate::ensure;
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "firewall::guards_and_nothing_else_may_be_reached", run: judged },
        Case { name: "firewall::the_network_space_of_the_service_lets_nothing_out_by_itself", run: space },
    ]
}

fn addresses(told: &Value, what: &str) -> Outcome<Vec<SocketAddr>> {
    let list = told[what].as_array().ok_or(format!("no {what}"))?;
    Ok(list.iter().filter_map(|address| address.as_str()?.parse().ok()).collect())
}

/// Whether a user who is nobody gets through to an address, in the cage.
fn tries(cage: &Cage, user: &str, to: &str) -> Outcome<Output> {
    // Loopback is down in the cage, so that what the filter answers to a refused packet is not heard.
    let shell = Command::new("timeout").args(["3", "bash", "-c", to]);
    let as_user = shell.through("setpriv", ["--reuid", user, "--regid", user, "--clear-groups"]);
    Ok(cage.enter(as_user).run()?)
}

fn judged(world: &World) -> CaseResult {
    let target =
        Target { include: vec!["/".into(), "/page/1".into()], ..Target::onion("bulk", &world.net.onion("bulk")) };
    let station = Station::quick(world, "firewall", &[target])?;
    let ports = world.net.relay_ports();
    let ours = |list: &[SocketAddr]| list.iter().all(|one| one.ip().is_loopback() && ports.contains(&one.port()));
    let before = station.json(&["firewall"])?;
    let fallbacks = addresses(&before, "fallbacks")?;
    ensure!(fallbacks.len() == 3 && ours(&fallbacks), "{before}");
    ensure!(addresses(&before, "let_through")? == fallbacks && addresses(&before, "guards")?.is_empty(), "{before}");
    station.capture(&format!("http://{}/page/1", world.net.onion("bulk"))).run()?.success()?;
    let after = station.json(&["firewall"])?;
    let guards = addresses(&after, "guards")?;
    ensure!(!guards.is_empty() && ours(&guards), "after a session: {after}");
    ensure!(addresses(&after, "let_through")? == guards, "{after}");
    for wrong in [["--user", "nobody-of-that-name"], ["--interface", "a b\"; flush ruleset"]] {
        let output = station.vigie(&[&["firewall"], &wrong[..]].concat()).run()?;
        ensure!(output.code() == Some(2), "{wrong:?}: {:?}", output.code());
    }

    let dir = world.dir("firewall-cage")?;
    let Some(cage) = Cage::new(&dir, ports)? else { return Ok(()) };
    let user = "65534";
    let text = station.vigie(&["firewall", "--user", user]).run()?.success()?.text();
    let file = dir.join("vigie.nft");
    std::fs::write(&file, &text)?;
    let load = || Outcome::Ok(cage.enter(Command::new("nft").arg("-f").arg(&file)).run()?.success()?);
    load()?;
    // A second time: it replaces the first.
    load()?;
    let reach = |to: SocketAddr| format!("exec 3<>/dev/tcp/{}/{}", to.ip(), to.port());
    for guard in &guards {
        let output = tries(&cage, user, &reach(*guard))?;
        ensure!(output.code() == Some(0), "a guard: {}", output.errors());
    }
    let service = SocketAddr::from(([127, 0, 0, 1], world.sites.bulk.port));
    for to in [
        reach(service),
        reach(SocketAddr::from(([192, 0, 2, 1], guards[0].port()))),
        "ping -c 1 -W 1 192.0.2.1".to_owned(),
    ] {
        let output = tries(&cage, user, &to)?;
        ensure!(output.code() != Some(0), "{to} got through");
        // The rule judges this user alone: the same by another shows that the way is there.
    }
    let output = tries(&cage, "0", &reach(service))?;
    ensure!(output.code() == Some(0), "another user is held up as well: {}", output.errors());
    let counted =
        cage.enter(Command::new("nft").args(["list", "counter", "inet", "vigie", "refused"])).run()?.success()?;
    ensure!(!counted.text().contains("packets 0 "), "{}", counted.text());
    let text = station.vigie(&["firewall", "--interface", "vigie0"]).run()?.success()?.text();
    std::fs::write(&file, text)?;
    load()?;
    Ok(())
}

fn space(world: &World) -> CaseResult {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/vigie-network");
    let dir = world.dir("firewall-space")?;
    // In a machine's network of its own, with a way out that leads nowhere.
    let trial = dir.join("trial.sh");
    let text = format!(
        "set -e\n\
         mount -t tmpfs none /run && mkdir -p /run/netns\n\
         ip link set lo up; ip link add out type veth peer name far; ip link set far up\n\
         ip addr add 192.0.2.2/24 dev out; ip link set out up\n\
         ip route add default via 192.0.2.1\n\
         {script} up; {script} up\n\
         # A datagram is on its way before it is refused: the counter tells.\n\
         ip netns exec vigie bash -c 'echo out > /dev/udp/192.0.2.9/53'\n\
         for to in tcp/192.0.2.9/80 tcp/10.254.86.1/22; do\n\
           ip netns exec vigie bash -c \"echo out > /dev/$to\" 2>/dev/null && echo \"$to got through\"\n\
         done\n\
         nft list table inet vigie | grep -q 'packets [1-9]' && echo refused\n\
         {script} down\n\
         nft list ruleset | grep -q vigie && echo 'a table is left'\n\
         ip link | grep -q vigie0 && echo 'a wire is left'\n\
         echo done\n"
    );
    std::fs::write(&trial, text)?;
    let output = Command::new("unshare").args(["--net", "--mount", "sh"]).arg(&trial).run()?;
    if output.errors().contains("Operation not permitted") {
        eprintln!("no name space of its own here: {}", output.errors().trim());
        return Ok(());
    }
    ensure!(output.text() == "refused\ndone\n", "{} {}", output.text(), output.errors());
    Ok(())
}
