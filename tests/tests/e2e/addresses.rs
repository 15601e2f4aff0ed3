//! Addresses given at the command line that only look as if the mandate named them.

use vigie_store::Kind;
use vigie_tests::desk::Target;
use vigie_tests::sites::ELSEWHERE_HOST;

use crate::ensure;
use crate::station::{PURPOSE, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "addresses::other_hosts_in_disguise_are_refused", run: other_hosts },
        Case { name: "addresses::excluded_paths_in_disguise_are_refused", run: excluded_paths },
        Case { name: "addresses::the_same_host_in_capitals_is_the_same_host", run: capitals },
    ]
}

/// In the path of every address here, so that the sites' journals tell whether it was asked.
const MARK: &str = "asked-in-disguise";

/// An address and the code with which it is refused.
type Trick = (String, &'static str);

fn other_hosts(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let (label, port) = (onion.trim_end_matches(".onion"), world.sites.market_a.port);
    let trap = format!("{ELSEWHERE_HOST}:{}", world.sites.elsewhere.port);
    // Another last character is another checksum or version; `d` is the version's.
    let spoilt = format!("{}{}.onion", if label.starts_with('a') { 'b' } else { 'a' }, &label[1..]);
    // U+FF41 … is folded to ASCII by IDNA, U+0430 is not.
    let wide: String = char::from_u32(0xff41 + (label.as_bytes()[55] - b'a') as u32).into_iter().collect();
    let tricks: Vec<Trick> = [
        (format!("http://agent@{onion}/{MARK}"), "address-user-info"),
        (format!("http://{onion}@{trap}/{MARK}"), "address-user-info"),
        (format!("http://{onion}:8080/{MARK}"), "not-a-target"),
        (format!("http://{onion}:0/{MARK}"), "address-port"),
        (format!("https://{onion}/{MARK}"), "not-a-target"),
        (format!("http://127.0.0.1:{port}/{MARK}"), "host-address-literal"),
        (format!("http://2130706433:{port}/{MARK}"), "host-address-literal"),
        (format!("http://[::1]:{port}/{MARK}"), "host-address-literal"),
        (format!("http://{onion}./{MARK}"), "host-trailing-dot"),
        (format!("http://www.{onion}/{MARK}"), "host-onion-subdomain"),
        (format!("http://expyuzz4wqqyqhjn.onion/{MARK}"), "host-onion-v2"),
        (format!("http://{spoilt}/{MARK}"), "host-onion-invalid"),
        (format!("http://{}{wide}.onion/{MARK}", &label[..55]), "host-onion-invalid"),
        (format!("http://{}\u{430}.onion/{MARK}", &label[..55]), "host-onion-invalid"),
        // A name in Punycode, which the host of an onion never is.
        (format!("http://xn--bcher-kva.onion/{MARK}"), "host-onion-invalid"),
        (format!("http://{onion}.{trap}/{MARK}"), "not-a-target"),
        (format!("http://{onion}%2e{trap}/{MARK}"), "host-not-a-name"),
        (format!("http://{trap}/{MARK}?{onion}"), "not-a-target"),
        (format!("//{onion}/{MARK}"), "address-scheme"),
        (format!("http:///{onion}/{MARK}"), "address-ambiguous"),
        (format!("http:\\\\{onion}\\{MARK}"), "address-ambiguous"),
        (format!("http://{onion}\\@{trap}/{MARK}"), "address-ambiguous"),
        (format!("http://{onion}/{MARK} x"), "address-ambiguous"),
        (format!("data:text/html,{MARK}"), "address-scheme"),
        (format!("file:///etc/{MARK}"), "address-scheme"),
        (format!("ftp://{onion}/{MARK}"), "address-scheme"),
        (format!("javascript:{MARK}"), "address-scheme"),
    ]
    .into();
    refuse_all(world, "other-hosts", &tricks)
}

fn excluded_paths(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    // The mandate excludes `/logout**`.
    let tricks: Vec<Trick> = [
        ("/%6cogout?", "path-excluded"),
        ("/%256cogout?", "path-excluded"),
        ("/LogOut?", "path-excluded"),
        ("/offer/..%2flogout?", "path-excluded"),
        ("/;a=b/logout;c?", "path-excluded"),
        ("/logout%00?", "address-path"),
    ]
    .map(|(path, code)| (format!("http://{onion}{path}{MARK}"), code))
    .into();
    refuse_all(world, "excluded-paths", &tricks)
}

/// Each is refused with exit code 3 and one line that names no host, stands in the log, and
/// reaches nobody.
fn refuse_all(world: &World, case: &str, tricks: &[Trick]) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::ready(world, case, &[Target::onion("market-a", &onion)])?;
    station.vigie(&["unlock", "--minutes", "10"]).run()?.success()?;
    for (number, (url, code)) in tricks.iter().enumerate() {
        // Also the ways in which an address stands in no process list.
        let output = match number % 8 {
            0 => station.vigie(&["capture", "-", "--purpose", PURPOSE]).stdin(format!("{url}\n")).run()?,
            1 => station.vigie(&["capture", "--url-fd", "0", "--purpose", PURPOSE]).stdin(url).run()?,
            _ => station.capture(url).run()?,
        };
        refused(&output, 3, &["refused (address): "]).map_err(|e| format!("{url} ({code}): {e}"))?;
        let said = output.text() + &output.errors();
        ensure!(said.matches("refused").count() == 1, "{url}: more than one line: {said}");
        let words = [&onion[..12], ELSEWHERE_HOST, "127.0.0.1", "2130706433", "::1", "expyuzz", MARK];
        for word in words {
            ensure!(!said.contains(word), "{url}: the output holds {word:?}: {said}");
        }
    }
    let codes: Vec<_> = station.rows("refusal")?.iter().map(|row| row["code"].clone()).collect();
    let wanted: Vec<_> = tricks.iter().map(|(_, code)| *code).collect();
    ensure!(codes == wanted, "{codes:#?} instead of {wanted:#?}");
    let sealed = station.opened()?.private(Kind::Refusal)?;
    for (part, (url, _)) in sealed.iter().zip(tricks) {
        ensure!(part["refused"][0]["url"] == url.as_str(), "sealed: {part}, asked: {url}");
    }
    ensure!(station.json(&["exhibits"])?.as_array().is_some_and(Vec::is_empty), "there is an exhibit");
    for site in world.sites.all() {
        let asked = site.journal.heads();
        let asked = asked.iter().find(|head| String::from_utf8_lossy(head).contains(MARK));
        ensure!(asked.is_none(), "{} was asked: {:?}", site.name, asked.map(|head| String::from_utf8_lossy(head)));
    }
    let names = world.net.dns_queries();
    ensure!(!names.iter().any(|name| name.contains("elsewhere") || name.contains("onion")), "{names:?}");
    station.sound()?;
    Ok(())
}

fn capitals(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::ready(world, "capitals", &[Target::onion("market-a", &onion)])?;
    for (number, url) in [
        format!("HTTP://{}/offer/4?one", onion.to_uppercase()),
        format!("http://{onion}:80/offer/./4?two#part"),
        format!("http://{onion}/account/%2e%2e/offer/4?three"),
    ]
    .iter()
    .enumerate()
    {
        let output = station.capture(url).run()?.exits(0)?;
        ensure!(!output.errors().contains("refused"), "{}", output.errors());
        let exhibit = station.opened()?.exhibit(number as u64 + 1)?;
        let path = exhibit.path();
        ensure!(path.starts_with("/offer/4?"), "{url} became {path}");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {onion}\r\n");
        let heads = world.sites.market_a.journal.heads();
        ensure!(heads.iter().any(|seen| seen.starts_with(head.as_bytes())), "no such head came: {head}");
    }
    Ok(())
}
