//! What partners receive and answer: read by their own tools, looked through for persons, refused where the mandate
//! does not permit it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};
use vigie_tests::desk::{AGENT, PSEUDONYM, Target};
use vigie_tests::process::{Command, Output};

use crate::chain::another_implementation_reads_it;
use crate::ensure;
use crate::machine::one_line;
use crate::station::{Outcome, PROFILE_PASSPHRASE, STORE_PASSPHRASE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "share::partners_tools_read_it_and_nobody_is_in_it", run: whole },
        Case { name: "share::what_may_not_leave_is_refused_and_logged", run: refused },
        Case { name: "share::an_answer_counts_by_the_partner_s_key", run: answered },
        Case { name: "share::findings_cite_what_is_there_and_are_never_changed", run: cited },
    ]
}

const CASE_ID: &str = "C-2026-004";
const JUDGES: [&str; 3] = ["openpyxl==3.1.5", "pymisp==2.5.34.4", "stix2-validator==3.3.2"];
/// Known to the station alone.
const SELLER: &str = "Nordwind-canary";
const QUOTE: &str = "canary-quote of the page";
const NOTE: &str = "canary-note of the agent";
/// A formula in a name with several scripts.
const NAME: &str = "=HYPERLINK(\"x\") Éléphant 象牙 слон";

/// Python with the judges; fetched once for a target directory.
fn judges() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judges-share");
        let bin = home.join("bin");
        if bin.join("stix2_validator").exists() {
            return Some(bin);
        }
        let _ = std::fs::remove_dir_all(&home);
        let run = |command: Command| command.run().and_then(Output::success).is_ok();
        let venv = run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let pip = Command::new(bin.join("python")).args(["-m", "pip", "install", "--quiet"]).args(JUDGES);
        if venv && run(pip.limit(std::time::Duration::from_secs(600))) {
            return Some(bin);
        }
        let _ = std::fs::remove_dir_all(&home);
        None
    })
    .clone()
}

/// What a partner's tool sees in a file; `None` where it cannot be had.
fn judged(kind: &str, file: &Path) -> Outcome<Option<Value>> {
    let Some(bin) = judges() else {
        eprintln!("the judges of {kind} cannot be had here: skipped");
        return Ok(None);
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/share_check.py");
    let output = Command::new(bin.join("python")).arg(script).arg(kind).arg(file).run()?.success()?;
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

fn clause(partner: &str, key: &str) -> toml::Value {
    let text = format!(
        "partner = \"{partner}\"\nname = \"Wildlife fund, Göteborg\"\nformats = [\"xlsx\", \"csv\", \"misp\", \"stix\"]\n\
         tlp = \"amber\"\nsellers = \"token\"\nannotation_key = \"{key}\"\n"
    );
    toml::Value::Table(text.parse().expect("a clause"))
}

/// A store with some exhibits, whose mandate names `fund`, `europol` and `bare` (one form, no sellers).
fn station(world: &World, name: &str) -> Outcome<Station> {
    let targets = [Target::onion("market-a", &world.net.onion("market-a"))];
    let station = Station::desk(world, name, &targets)?;
    let keys = ["fund", "europol"].map(|name| -> Outcome<String> {
        let path = station.desk.stranger_key(name)?.with_extension("pub");
        Ok(std::fs::read_to_string(path)?.split(' ').take(2).collect::<Vec<_>>().join(" "))
    });
    let [fund, europol] = keys;
    let bare = "partner = \"bare\"\nname = \"Bare\"\nformats = [\"csv\"]\ntlp = \"green\"\nwithout = [\"price\", \"currency\"]\n";
    let ended = "partner = \"ended\"\nname = \"Ended\"\nformats = [\"csv\"]\ntlp = \"green\"\nuntil = 2020-01-01\n";
    let clauses = vec![
        clause("fund", &fund?),
        clause("europol", &europol?),
        toml::Value::Table(bare.parse()?),
        toml::Value::Table(ended.parse()?),
    ];
    let text = station.desk.mandate(&targets, Timestamp::now())?.with("sharing.with", clauses);
    station.sign_mandate(&text)?;
    let signers = station.desk.path("keys/allowed_signers");
    let mut lines = std::fs::read_to_string(&signers)?.replace("vigie-revocation", "vigie-revocation,vigie-retention");
    let custodian = std::fs::read_to_string(station.desk.stranger_key("custodian")?.with_extension("pub"))?;
    lines.push_str(&format!("custodian@customs.example namespaces=\"vigie-retention\" {custodian}"));
    std::fs::write(&signers, lines)?;
    station.set_up_quickly("store")?;
    for path in ["/offer/1", "/offer/2"] {
        let url = format!("http://{}{path}", world.net.onion("market-a"));
        let _ = station.capture(&url).run()?;
    }
    ensure!(station.seen()?.len() >= 2, "the captures gave no exhibits");
    Ok(station)
}

fn add(station: &Station, more: &[&str]) -> Command {
    let fixed = ["finding", "add", "--case", CASE_ID, "--purpose", "review", "--site-class", "onion-market"];
    station.vigie(&[&fixed[..], more].concat())
}

const IVORY: [&str; 24] = [
    "--exhibit",
    "1",
    "--taxon",
    "Loxodonta africana",
    "--name-as-advertised",
    NAME,
    "--eu-annex",
    "A",
    "--cites-appendix",
    "I",
    "--term",
    "IVC",
    "--quantity",
    "2.5",
    "--unit",
    "KIL",
    "--price",
    "1250.50",
    "--currency",
    "EUR",
    "--country-from",
    "BE",
    "--documents",
    "pre-1947",
];

/// Three findings: two of one seller, one of another.
fn findings(station: &Station) -> Outcome<Vec<u64>> {
    let mut entries = Vec::new();
    for (seller, status) in [(SELLER, "active"), (" nordwind-CANARY ", "wanted"), ("other-canary", "past")] {
        let own = ["--seller", seller, "--status", status, "--quote", QUOTE, "--note", NOTE, "--json"];
        let output = add(station, &[&IVORY[..], &own].concat()).run()?.success()?;
        let made: Value = serde_json::from_slice(&output.stdout)?;
        entries.push(made["finding"].as_u64().ok_or("no number")?);
    }
    Ok(entries)
}

fn share(station: &Station, partner: &str, format: &str, more: &[&str]) -> Command {
    let fixed = ["share", "--case", CASE_ID, "--partner", partner, "--format", format, "--purpose", "weekly table"];
    station.vigie(&[&fixed[..], more].concat())
}

fn report(command: Command) -> Outcome<Value> {
    Ok(serde_json::from_slice(&command.run()?.success()?.stdout)?)
}

fn whole(world: &World) -> CaseResult {
    let station = station(world, "share")?;
    let entries = findings(&station)?;
    // A preview names every field and leaves no trace.
    let preview = report(share(&station, "fund", "xlsx", &["--dry-run", "--json"]))?;
    let fields = preview["rows"][0]["fields"].as_array().ok_or("no fields")?;
    ensure!(fields.len() == 19 && preview["rows"].as_array().map(Vec::len) == Some(3), "{preview}");
    let fate = |name: &str| fields.iter().find(|field| field["column"] == name).map(|field| field["fate"].clone());
    ensure!(fate("seller_token") == Some("keyed".into()) && fate("country_to") == Some("empty".into()), "{preview}");
    ensure!(station.log("share")?.is_empty(), "a dry run is an entry");

    for format in ["xlsx", "csv", "misp", "stix"] {
        let name = format!("fund.{format}");
        let made = report(share(&station, "fund", format, &["--to", &name, "--json"]))?;
        let bytes = std::fs::read(station.desk.path(&name))?;
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        ensure!(made["sha256"] == digest.as_str() && made["bytes"] == bytes.len(), "{made}");
        let row = station.rows("share")?.pop().ok_or("no entry")?;
        ensure!(row["sha256"] == digest.as_str() && row["format"] == format && row["partner"] == "fund", "{row}");
        ensure!(row["findings"].as_array().map(Vec::len) == Some(3) && row["tlp"] == "amber", "{row}");
        ensure!(!station.desk.path(&format!("{name}.part")).exists(), "something is left beside it");
        one_line(&share(&station, "fund", format, &["--to", &name]).run()?, 2, &["exists already"])?;
    }
    ensure!(station.log("share")?.len() == 4, "{:?}", station.log("share")?);
    tables(&station, &preview)?;
    exchanged(&station)?;
    apart(&station)?;
    nobody(world, &station)?;
    let custody = station.json(&["custody", "1"])?.to_string();
    ensure!(custody.contains("shared with fund as xlsx") && custody.contains("cited by a finding"), "{custody}");
    ensure!(entries.len() == 3, "{entries:?}");
    station.sound()?;
    another_implementation_reads_it(&station)
}

/// The spreadsheet and the CSV hold what the preview said.
fn tables(station: &Station, preview: &Value) -> CaseResult {
    let tokens = |rows: &Value| -> Vec<String> {
        let rows = rows.as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(|row| row["seller_token"].as_str().map(str::to_owned)).collect()
    };
    if let Some(seen) = judged("xlsx", &station.desk.path("fund.xlsx"))? {
        let said: BTreeSet<String> = preview["rows"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row["fields"][0]["value"].as_str().map(str::to_owned))
            .collect();
        let ids = seen["rows"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str().map(str::to_owned));
        ensure!(ids.collect::<BTreeSet<_>>() == said, "{seen}");
        ensure!(seen["heads"].as_array().map(Vec::len) == Some(19) && seen["frozen"] == "B3", "{seen}");
        ensure!(seen["mark"].as_str().is_some_and(|mark| mark.starts_with("TLP:AMBER ")), "{seen}");
        let kinds = &seen["kinds"];
        ensure!(kinds["first_seen"] == "d" && kinds["price"] == "n" && kinds["advertised_name"] == "s", "{kinds}");
        ensure!(seen["rows"][0]["advertised_name"] == NAME && seen["rows"][0]["price"] == 1250.5, "{seen}");
        ensure!(seen["lists"].as_array().map(Vec::len) == Some(6) && seen["codes"].as_u64() > Some(150), "{seen}");
        ensure!(seen["terms"].as_array().is_some_and(|terms| terms.iter().any(|term| term == "IVC")), "{seen}");
        let distinct: BTreeSet<String> = tokens(&seen["rows"]).into_iter().collect();
        ensure!(distinct.len() == 2, "three findings, two sellers: {distinct:?}");
    }
    if let Some(seen) = judged("csv", &station.desk.path("fund.csv"))? {
        ensure!(seen["rows"].as_array().map(Vec::len) == Some(3), "{seen}");
        ensure!(seen["rows"][0]["advertised_name"] == format!("'{NAME}").as_str(), "{seen}");
        ensure!(seen["rows"][0]["tlp"] == "TLP:AMBER" && seen["rows"][0]["validated"] == "no", "{seen}");
        // Anti-test: the judge itself refuses a table that computes.
        let text = std::fs::read_to_string(station.desk.path("fund.csv"))?.replace("\"'=", "\"=");
        std::fs::write(station.desk.path("computes.csv"), text)?;
        ensure!(judged("csv", &station.desk.path("computes.csv")).is_err(), "the judge takes a formula");
    }
    Ok(())
}

/// MISP and STIX.
fn exchanged(station: &Station) -> CaseResult {
    if let Some(seen) = judged("misp", &station.desk.path("fund.misp"))? {
        ensure!(seen["tags"] == serde_json::json!(["tlp:amber"]) && seen["distribution"] == 0, "{seen}");
        ensure!(seen["rows"].as_array().map(Vec::len) == Some(3), "{seen}");
        ensure!(
            seen["rows"][0]["advertised_name"] == NAME && seen["rows"][0]["id"] == seen["rows"][0]["uuid"],
            "{seen}"
        );
    }
    let Some(seen) = judged("stix", &station.desk.path("fund.stix"))? else { return Ok(()) };
    ensure!(seen["valid"] == true, "{seen}");
    ensure!(seen["rows"].as_array().map(Vec::len) == Some(3) && seen["rows"][0]["advertised_name"] == NAME, "{seen}");
    ensure!(seen["warnings"] == serde_json::json!([]), "{seen}");
    // Anti-test: the validator sees a bundle that is none.
    let text =
        std::fs::read_to_string(station.desk.path("fund.stix"))?.replace("\"identity_class\"", "\"Identity-Class\"");
    std::fs::write(station.desk.path("broken.stix"), text.replace("report--", "report-"))?;
    let broken = judged("stix", &station.desk.path("broken.stix"))?;
    ensure!(broken.is_some_and(|seen| seen["valid"] == false), "the validator takes anything");
    Ok(())
}

/// Two partners cannot join rows or sellers.
fn apart(station: &Station) -> CaseResult {
    report(share(station, "europol", "csv", &["--to", "europol.csv", "--json"]))?;
    report(share(station, "bare", "csv", &["--to", "bare.csv", "--tlp", "red", "--json"]))?;
    let fields = |name: &str, at: usize| -> Outcome<BTreeSet<String>> {
        let text = std::fs::read_to_string(station.desk.path(name))?;
        Ok(text.lines().skip(1).map(|line| line.split("\",\"").nth(at).unwrap_or_default().to_owned()).collect())
    };
    let last = |name: &str| -> Outcome<BTreeSet<String>> {
        let text = std::fs::read_to_string(station.desk.path(name))?;
        Ok(text.lines().skip(1).filter_map(|line| line.rsplit("\",\"").next().map(str::to_owned)).collect())
    };
    ensure!(fields("fund.csv", 1)?.is_disjoint(&fields("europol.csv", 1)?), "rows join by their ids");
    ensure!(last("fund.csv")?.is_disjoint(&last("europol.csv")?), "sellers join by their tokens");
    ensure!(last("bare.csv")? == BTreeSet::from(["\"".to_owned()]), "a seller leaves to who gets none");
    let bare = std::fs::read_to_string(station.desk.path("bare.csv"))?;
    ensure!(bare.contains("TLP:RED") && !bare.contains("1250.50") && !bare.contains("EUR"), "{bare}");
    Ok(())
}

/// Whether a word stands in a text; inside of a longer run of letters and digits only when it is long: an agent's short
/// code may be a piece of a UUID by chance.
fn holds(text: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        word.len() > 4 || !joins(text[..at].chars().next_back()) || !joins(text[at + word.len()..].chars().next())
    })
}

/// The times of day in a text (`T` and fourteen characters behind a date).
fn hours(text: &str) -> Vec<String> {
    let after = text.match_indices("T").filter(|(at, _)| text[..*at].ends_with(|c: char| c.is_ascii_digit()));
    after.filter_map(|(at, _)| text.get(at..at + 14)).filter(|time| time.ends_with('Z')).map(str::to_owned).collect()
}

/// No person, account, key or host in what left, nor in the store's files.
fn nobody(world: &World, station: &Station) -> CaseResult {
    let key = std::fs::read_to_string(station.desk.path("keys/agent.pub"))?;
    let key = key.split(' ').nth(1).ok_or("no key")?.to_owned();
    let onion = world.net.onion("market-a");
    let words = [
        PSEUDONYM,
        AGENT,
        SELLER,
        "nordwind",
        "other-canary",
        QUOTE,
        NOTE,
        STORE_PASSPHRASE,
        PROFILE_PASSPHRASE,
        &key,
        &onion,
        ".onion",
        "offer/1",
        "Cookie",
        "M-2026-017",
        CASE_ID,
        "market-a",
        "vigie.example",
        "magistrate",
    ];
    // Nor the hour of the work: every time is the begin of a day.
    let hour = hours(&std::fs::read_to_string(station.desk.path("fund.stix"))?);
    ensure!(hour.iter().all(|time| time == "T00:00:00.000Z") && hour.len() > 8, "{hour:?}");
    let mut looked = 0;
    for name in ["fund.xlsx", "fund.csv", "fund.misp", "fund.stix", "europol.csv", "bare.csv"] {
        let path = station.desk.path(name);
        let text = if name.ends_with("xlsx") {
            let script = "import sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\nfor n in z.namelist(): sys.stdout.buffer.write(n.encode()+z.read(n))";
            let output = Command::new("python3").args(["-c", script]).arg(&path).run()?.success()?;
            String::from_utf8_lossy(&output.stdout).into_owned()
        } else {
            std::fs::read_to_string(&path)?
        };
        ensure!(text.contains("Loxodonta africana"), "{name} cannot be looked through");
        for word in words {
            ensure!(!holds(&text.to_lowercase(), &word.to_lowercase()), "{name} holds {word}");
        }
        looked += 1;
    }
    ensure!(looked == 6, "{looked}");
    let found = station.leaks(&station.store(), &[SELLER, QUOTE, NOTE, "Loxodonta", "fund"])?;
    ensure!(found.is_empty(), "{found:?}");
    // What is private opens with the case's key alone, and there it stands: the look above could find it.
    let shown = station.vigie(&["finding", "list", "--json"]).run()?.success()?.text();
    ensure!(!shown.contains(QUOTE) && !shown.to_lowercase().contains("nordwind"), "a list tells it: {shown}");
    Ok(())
}

fn refused(world: &World) -> CaseResult {
    let station = station(world, "share-refused")?;
    let entries = findings(&station)?;
    // Partner, form, more, exit code, what is said, code of the refusal in the log (none: nothing is logged).
    type Attempt = (&'static str, &'static str, &'static [&'static str], i32, &'static str, &'static str);
    let attempts: [Attempt; 9] = [
        ("nobody", "csv", &[], 3, "lets anything be shared", "not-a-partner"),
        ("Фонд\u{301}", "csv", &[], 3, "lets anything be shared", "not-a-partner"),
        ("bare", "xlsx", &[], 3, "names csv", "sharing-format"),
        ("fund", "csv", &["--tlp", "green"], 3, "wider circle", "sharing-tlp"),
        ("ended", "csv", &[], 3, "ended on 2020-01-01", "sharing-ended"),
        ("fund", "csv", &["--tlp", "white"], 2, "", ""),
        ("fund", "pdf", &[], 2, "", ""),
        ("fund", "csv", &["--findings", "99999"], 2, "there is no finding 99999", ""),
        ("fund", "csv", &["--findings", "0"], 2, "", ""),
    ];
    for (partner, format, more, code, said, logged) in attempts {
        let before = station.log("refusal")?.len();
        let output = share(&station, partner, format, &[more, &["--to", "x"]].concat()).run()?;
        ensure!(
            output.code() == Some(code) && output.errors().contains(said),
            "{partner} {format}: {}",
            output.errors()
        );
        ensure!(!station.desk.path("x").exists(), "{partner}: a file was made");
        ensure!(!station.desk.path("x.part").exists(), "{partner}: something is left");
        let rows = station.rows("refusal")?;
        let grown = rows.len() - before;
        ensure!(grown == usize::from(!logged.is_empty()), "{partner} {format}: {grown} refusals");
        if !logged.is_empty() {
            ensure!(rows.last().is_some_and(|row| row["code"] == logged), "{:?}", rows.last());
        }
    }
    ensure!(station.log("share")?.is_empty(), "something left");
    // By another's key nothing leaves, and that is on record too.
    let stranger = station.desk.stranger_key("stranger")?;
    let output = share(&station, "fund", "csv", &["--to", "x", "--agent-key"]).arg(&stranger).run()?;
    one_line(&output, 3, &["names no agent"])?;
    ensure!(!station.desk.path("x").exists() && !station.desk.path("x.part").exists(), "a file is there");
    // A folder that is not there costs no entry.
    one_line(&share(&station, "fund", "csv", &["--to", "nowhere/x"]).run()?, 1, &["writing"])?;
    ensure!(station.log("share")?.is_empty(), "an entry about nothing");

    // A finding withdrawn leaves no more; of all, the rest does.
    let first = entries[0].to_string();
    let withdraw = ["finding", "withdraw", &first, "--reason", "it is bone", "--purpose", "second look"];
    station.vigie(&withdraw).run()?.success()?;
    one_line(&station.vigie(&withdraw).run()?, 2, &["was withdrawn before"])?;
    one_line(&share(&station, "fund", "csv", &["--to", "x", "--findings", &first]).run()?, 2, &["was withdrawn"])?;
    let made = report(share(&station, "fund", "csv", &["--to", "x", "--json"]))?;
    ensure!(
        made["findings"].as_array().map(Vec::len) == Some(2) && made["left_out"].as_array().map(Vec::len) == Some(1),
        "{made}"
    );

    // A stopped mandate stops sharing.
    let now = Timestamp::now() - SignedDuration::from_mins(1);
    let text = vigie_tests::desk::revocations(now, &[("M-2026-017", now, "opposition")]);
    station.desk.write_revocations("stop.toml", &text)?;
    station.vigie(&["mandate", "revoke", "stop.toml"]).run()?.success()?;
    one_line(&share(&station, "fund", "csv", &["--to", "y"]).run()?, 3, &["was stopped"])?;
    station.sound()?;
    Ok(())
}

fn answer(made: &Value, id: &str, more: &str) -> String {
    format!(
        "format = \"vigie.annotation/1\"\nshare = {}\nsha256 = {}\npartner = \"fund\"\n\n[[rows]]\nid = \"{id}\"\n\
         validated = true\nconfidence = \"high\"\nremark = \"lignes de Schreger, défense\"\n{more}\n",
        made["share"], made["sha256"]
    )
}

/// Signs an answer and hands it in.
fn annotate(station: &Station, text: &str, key: &str, share: &Value) -> Outcome<Output> {
    let file = station.desk.path("answer.toml");
    std::fs::write(&file, text)?;
    let signature = station.desk.sign(&file, "vigie-annotation", &station.desk.path(key))?;
    let entry = share["entry"].to_string();
    let fixed =
        ["annotation", "add", "answer.toml", "--share", &entry, "--purpose", "answer of the fund", "--signature"];
    Ok(station.vigie(&fixed).arg(signature).run()?)
}

fn answered(world: &World) -> CaseResult {
    let station = station(world, "share-answered")?;
    let entries = findings(&station)?;
    let made = report(share(&station, "fund", "csv", &["--to", "one.csv", "--json"]))?;
    let again = report(share(&station, "fund", "csv", &["--to", "two.csv", "--json"]))?;
    let preview = report(share(&station, "fund", "csv", &["--dry-run", "--json"]))?;
    let id_of = |preview: &Value, finding: u64| -> Outcome<String> {
        let rows = preview["rows"].as_array().ok_or("no rows")?;
        let row = rows.iter().find(|row| row["finding"] == finding).ok_or("no row")?;
        Ok(row["fields"][0]["value"].as_str().ok_or("no id")?.to_owned())
    };
    let id = id_of(&preview, entries[0])?;
    let text = answer(&made, &id, "");
    let elsewhere = report(share(&station, "europol", "csv", &["--dry-run", "--json"]))?;
    let other = id_of(&elsewhere, entries[0])?;

    let refused: [(String, &str, &Value, &str); 6] = [
        (text.clone(), "keys/agent", &made, "not the partner's key"),
        (text.clone(), "keys/europol", &made, "not the partner's key"),
        (text.clone(), "keys/fund", &again, "about another share"),
        (text.replace("partner = \"fund\"", "partner = \"europol\""), "keys/fund", &made, "about another share"),
        (answer(&made, &other, ""), "keys/fund", &made, "is not in that share"),
        (answer(&made, &"0".repeat(8), ""), "keys/fund", &made, ""),
    ];
    for (number, (text, key, share, said)) in refused.iter().enumerate() {
        let before = station.log("refusal")?.len();
        let output = annotate(&station, text, key, share)?;
        let code = if said.is_empty() { 2 } else { 3 };
        ensure!(output.code() == Some(code) && output.errors().contains(said), "{number}: {}", output.errors());
        ensure!(station.log("refusal")?.len() - before == usize::from(code == 3), "{number}: not logged");
    }
    // Altered after it was signed.
    annotate(&station, &text, "keys/agent", &made)?;
    let file = station.desk.path("answer.toml");
    let signature = station.desk.sign(&file, "vigie-annotation", &station.desk.path("keys/fund"))?;
    std::fs::write(&file, text.replace("high", "low"))?;
    let entry = made["entry"].to_string();
    let args = ["annotation", "add", "answer.toml", "--share", &entry, "--purpose", "x", "--signature"];
    one_line(&station.vigie(&args).arg(&signature).run()?, 3, &["altered"])?;
    one_line(&annotate(&station, &text, "keys/fund", &serde_json::json!({"entry": 1}))?, 2, &["is no share"])?;
    ensure!(station.log("annotation")?.is_empty(), "one was taken in");

    let taken = annotate(&station, &text, "keys/fund", &made)?.success()?;
    ensure!(taken.text().contains("1 rows annotated by fund"), "{}", taken.text());
    one_line(&annotate(&station, &text, "keys/fund", &made)?, 3, &["taken in before"])?;
    let shown = station.json(&["finding", "show", &entries[0].to_string()])?;
    ensure!(shown["annotations"][0]["partner"] == "fund" && shown["annotations"][0]["validated"] == true, "{shown}");
    let text = station.vigie(&["finding", "show", &entries[0].to_string()]).run()?.success()?.text();
    ensure!(text.contains("fund confirms it") && text.contains("Schreger"), "{text}");
    // It counts in the next share, to others too; of the other findings it says nothing.
    let next = report(share(&station, "europol", "csv", &["--dry-run", "--json"]))?;
    let validated: Vec<&str> = next["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| {
            row["fields"].as_array()?.iter().find(|field| field["column"] == "validated")?["value"].as_str()
        })
        .collect();
    ensure!(validated == ["yes", "no", "no"], "{validated:?}");
    // Another species confirms nothing.
    let doubt = answer(&made, &id, "taxon = \"Mammuthus primigenius\"");
    annotate(&station, &doubt, "keys/fund", &made)?.success()?;
    let shown = station.json(&["finding", "list"])?;
    ensure!(shown[0]["annotations"].as_array().map(Vec::len) == Some(2), "{shown}");
    let next = report(share(&station, "fund", "csv", &["--dry-run", "--json"]))?.to_string();
    ensure!(!next.contains("\"yes\""), "{next}");
    station.sound()?;
    another_implementation_reads_it(&station)
}

fn cited(world: &World) -> CaseResult {
    let station = station(world, "share-cited")?;
    let base = ["--exhibit", "1"];
    let wrong: [(&[&str], &str); 16] = [
        (&["--exhibit", "99"], "there is no exhibit 99"),
        (&["--exhibit", "all"], "by number"),
        (&["--exhibit", "1", "--term", "IVORY"], "term: \"IVORY\" is not in the list"),
        (&["--exhibit", "1", "--eu-annex", "E"], "eu-annex"),
        (&["--exhibit", "1", "--cites-appendix", "1"], "cites-appendix"),
        (&["--exhibit", "1", "--unit", "kg", "--quantity", "1"], "unit"),
        (&["--exhibit", "1", "--country-from", "XY"], "country-from"),
        (&["--exhibit", "1", "--currency", "EURO", "--price", "1"], "currency"),
        (&["--exhibit", "1", "--price", "1,5", "--currency", "EUR"], "price"),
        (&["--exhibit", "1", "--documents", "yes"], "documents"),
        (&["--exhibit", "1", "--status", "sold"], "status"),
        (&["--exhibit", "1", "--status", "duplicate-of:1"], "no finding 1"),
        (&["--exhibit", "1", "--taxon", "\u{202e}x"], "taxon"),
        (&["--exhibit", "1", "--name-as-advertised", "by nordwind", "--seller", "Nordwind"], "the seller's name"),
        (&["--exhibit", "1", "--name-as-advertised", "ask heron"], "a pseudonym"),
        (&["--exhibit", "1", "--last-seen", "2020-01-01T00:00:00Z"], "last-seen"),
    ];
    for (more, said) in wrong {
        let output = add(&station, more).run()?;
        ensure!(output.code() == Some(2) && output.errors().contains(said), "{more:?}: {}", output.errors());
    }
    let other = ["finding", "add", "--case", "C-0", "--site-class", "other", "--purpose", "x", "--exhibit", "1"];
    one_line(&station.vigie(&other).run()?, 2, &["no case C-0"])?;
    ensure!(station.log("finding")?.is_empty(), "one was taken");
    add(&station, &base).run()?.success()?;
    let row = station.rows("finding")?.pop().ok_or("no entry")?;
    ensure!(row["what"] == "added" && row["offer"]["first_seen"] == row["offer"]["last_seen"], "{row}");

    // A case of its own may not cite what another's mandate recorded.
    let targets = [Target::onion("market-b", &world.net.onion("market-b"))];
    let text = station.desk.mandate(&targets, Timestamp::now())?.with("id", "M-2").with("case", "C-2");
    station.sign_mandate(&text)?;
    station.vigie(&["mandate", "add", "mandate.toml"]).run()?.success()?;
    let foreign = ["finding", "add", "--case", "C-2", "--site-class", "other", "--purpose", "x", "--exhibit", "1"];
    one_line(&station.vigie(&foreign).run()?, 2, &["belongs to another case"])?;

    // Once erased, it is cited no more, and what cites it leaves no more.
    let paper = station.desk.path("D-1.toml");
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let certificate = format!(
        "format = \"vigie-retention/1\"\nid = \"D-1\"\ncase = \"{CASE_ID}\"\nissued = {now}\nkind = \"destruction\"\n\
         reason = \"as ordered\"\ndestroyed = [\"case\", \"escrow\"]\n"
    );
    std::fs::write(&paper, certificate)?;
    let mut take = station.vigie(&["retention", "take", "--purpose", "as ordered"]).arg(&paper);
    for key in ["authority", "custodian"] {
        let signature = station.desk.sign(&paper, "vigie-retention", &station.desk.path(&format!("keys/{key}")))?;
        let kept = station.desk.path(&format!("D-1-{key}.sig"));
        std::fs::rename(signature, &kept)?;
        take = take.arg("--signature").arg(kept);
    }
    take.run()?.success()?;
    let erase = ["retention", "erase", "--case", CASE_ID, "--early", "--purpose", "it has ended"];
    station.vigie(&erase).run()?.success()?;
    one_line(&add(&station, &base).run()?, 2, &["was erased"])?;
    let finding = station.json(&["finding", "list"])?[0]["finding"].to_string();
    let output = share(&station, "fund", "csv", &["--to", "x", "--findings", &finding]).run()?;
    one_line(&output, 2, &["was erased"])?;
    one_line(&share(&station, "fund", "csv", &["--to", "x"]).run()?, 2, &["no finding"])?;
    Ok(())
}
