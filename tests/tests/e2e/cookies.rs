//! Cookies: imported where the mandate permits to log in, sent to their host alone, kept sealed.

use vigie_tests::desk::Target;

use crate::ensure;
use crate::station::{PURPOSE, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "cookies::an_import_needs_the_action_authenticate", run: not_permitted },
        Case { name: "cookies::imported_and_received_ones_reach_their_host_alone", run: their_host_alone },
    ]
}

const IMPORT: [&str; 6] = ["profile", "session", "import", "cookies.txt", "--purpose", PURPOSE];

fn not_permitted(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::ready(world, "no-import", &[Target::onion("market-a", &onion)])?;
    std::fs::write(station.desk.path("cookies.txt"), format!("{onion}\tFALSE\t/\tFALSE\t0\tsession\tcanary\n"))?;
    let output = station.vigie(&IMPORT).run()?;
    refused(&output, 3, &["M-2026-017 does not permit `authenticate`", "may not be imported"])?;
    ensure!(station.log("profile-session")?.is_empty(), "an import is in the log");
    Ok(())
}

fn their_host_alone(world: &World) -> CaseResult {
    let (a, b) = (world.net.onion("market-a"), world.net.onion("market-b"));
    let targets = [Target::onion("market-a", &a), Target::onion("market-b", &b)];
    let station = Station::desk(world, "cookies", &targets)?;
    let actions = ["observe", "authenticate"].map(toml::Value::from);
    let text = station.desk.mandate(&targets, jiff::Timestamp::now())?.with("actions", actions.to_vec());
    station.sign_mandate(&text)?;
    station.set_up()?;
    // A name of its own in each request tells whose it is; other cases ask the same sites.
    let lines = [
        "# Netscape HTTP Cookie File".to_owned(),
        format!("#HttpOnly_{a}\tFALSE\t/\tFALSE\t0\tcanary-session\tcanary-imported"),
        format!("{a}\tFALSE\t/offer/1\tFALSE\t0\tcanary-path\tcanary-of-a-path"),
        format!("{a}\tFALSE\t/\tFALSE\t1700000000\tcanary-old\tcanary-expired"),
        "elsewhere.test\tTRUE\t/\tFALSE\t0\tcanary-other\tcanary-of-another-host".to_owned(),
    ];
    std::fs::write(station.desk.path("cookies.txt"), lines.join("\n"))?;
    let import = station.vigie(&IMPORT).run()?.success()?;
    ensure!(import.text().starts_with("2 cookies imported"), "{}", import.text());
    let row = station.rows("profile-session")?.pop().ok_or("no entry")?;
    ensure!(row["cookies"] == 2 && row["purpose"] == PURPOSE && row["mandate"] == "M-2026-017", "{row}");

    let url = |onion: &str, path: &str, mark: &str| format!("http://{onion}{path}?{mark}");
    let cookie = |mark: &str| -> Option<String> {
        let heads = [world.sites.market_a.journal.heads(), world.sites.market_b.journal.heads()].concat();
        let texts = heads.iter().map(|head| String::from_utf8_lossy(head).into_owned());
        let head = texts.into_iter().find(|head| head.contains(&format!("?{mark} ")))?;
        Some(head.lines().find_map(|line| line.strip_prefix("Cookie: ")).unwrap_or_default().to_owned())
    };
    station.capture(&url(&a, "/offer/2", "cookies-1")).run()?.exits(0)?;
    ensure!(cookie("cookies-1").as_deref() == Some("canary-session=canary-imported"), "{:?}", cookie("cookies-1"));
    station.capture(&url(&b, "/offer/2", "cookies-2")).run()?.exits(0)?;
    ensure!(cookie("cookies-2").as_deref() == Some(""), "the other market got {:?}", cookie("cookies-2"));
    // The log-in page sets one before anyone logs in: the next session, a process of its own, has it.
    station.capture(&url(&a, "/login", "cookies-3")).run()?.exits(0)?;
    station.capture(&url(&a, "/offer/1", "cookies-4")).run()?.exits(0)?;
    let sent = cookie("cookies-4").unwrap_or_default();
    let mut sent: Vec<&str> = sent.split("; ").collect();
    sent.sort_unstable();
    let wanted = ["canary-path=canary-of-a-path", "canary-session=canary-imported", "visit=canary-of-the-site"];
    ensure!(sent == wanted, "{sent:?}");
    station.capture(&url(&b, "/offer/1", "cookies-5")).run()?.exits(0)?;
    ensure!(cookie("cookies-5").as_deref() == Some(""), "the other market got {:?}", cookie("cookies-5"));

    // The record says how many went out; the values stand in the request alone, which is sealed.
    let exhibit = station.opened()?.exhibit(4)?;
    let facts = exhibit.of("metadata").next().ok_or("no facts")?.facts();
    ensure!(facts.iter().any(|(name, value)| name == "cookies-sent" && value == "3"), "{facts:?}");
    ensure!(exhibit.facts().iter().any(|(name, value)| name == "cookies-at-start" && value == "3"), "no count");
    let leaks = station.leaks(&station.store(), &["canary"])?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    station.sound()?;
    Ok(())
}
