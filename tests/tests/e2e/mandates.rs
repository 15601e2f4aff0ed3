//! Mandates that do not count, and sessions that may not begin under one that does.

use jiff::{SignedDuration, Timestamp};
use vigie_tests::desk::{self, MANDATE_NAMESPACE, MandateText, Target};
use vigie_tests::process::Command;
use vigie_tests::tornet::absent_onion;

use crate::clock;
use crate::ensure;
use crate::station::{Outcome, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "mandates::documents_that_do_not_count_are_refused", run: documents },
        Case { name: "mandates::recipients_of_a_case_stay_the_same", run: recipients },
        Case { name: "mandates::a_session_that_may_not_begin_starts_nothing", run: sessions },
        Case { name: "mandates::an_ended_mandate_begins_no_session", run: ended },
        Case { name: "mandates::revocation_lists_that_do_not_count_are_refused", run: lists },
    ]
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A target that nobody will reach; the sites are not asked in these cases.
fn targets() -> [Target; 1] {
    [Target::onion("market-a", &absent_onion())]
}

fn date(at: Timestamp) -> toml::value::Datetime {
    at.strftime("%Y-%m-%d").to_string().parse().expect("a date is TOML")
}

/// Who signs a document, and what happens to it then.
enum Signed {
    ByAuthority,
    ThenAltered,
    In(&'static str),
    ByStranger,
    ByNobody,
    WithGarbage,
}

/// Writes a document as the case wants it signed.
fn write(station: &Station, file: &str, text: &str, signed: &Signed) -> CaseResult {
    let path = station.desk.path(file);
    std::fs::write(&path, text)?;
    let authority = station.desk.path("keys/authority");
    match signed {
        Signed::ByAuthority => drop(station.desk.sign(&path, MANDATE_NAMESPACE, &authority)?),
        Signed::ThenAltered => {
            station.desk.sign(&path, MANDATE_NAMESPACE, &authority)?;
            std::fs::write(&path, text.replacen("depth = 3", "depth = 9", 1))?;
            ensure!(std::fs::read_to_string(&path)? != text, "nothing was altered");
        }
        Signed::In(namespace) => drop(station.desk.sign(&path, namespace, &authority)?),
        Signed::ByStranger => {
            let stranger = station.desk.stranger_key("stranger")?;
            station.desk.sign(&path, MANDATE_NAMESPACE, &stranger)?;
        }
        Signed::ByNobody => {}
        Signed::WithGarbage => std::fs::write(station.desk.path(&format!("{file}.sig")), "signed: yes\n")?,
    }
    Ok(())
}

/// `line N` of the line that begins with a word.
fn line(text: &str, start: &str) -> String {
    let at = text.lines().position(|line| line.trim_start().starts_with(start));
    format!("line {}: ", at.map_or(0, |at| at + 1))
}

/// The document with one line written otherwise.
fn rewritten(text: &str, start: &str, new: &str) -> String {
    text.lines().map(|line| if line.starts_with(start) { new } else { line }).collect::<Vec<_>>().join("\n") + "\n"
}

fn documents(world: &World) -> CaseResult {
    use Signed::{ByAuthority, ByNobody, ByStranger, In, ThenAltered, WithGarbage};
    let station = Station::desk(world, "documents", &targets())?;
    station.init()?;
    station.vigie(&["unlock"]).run()?.success()?;
    let now = Timestamp::now();
    let good = || station.desk.mandate(&targets(), now);
    let text = good()?.to_toml();
    // Name, document, signature, exit code, words of the one line, code of the log entry.
    let at = |text: &MandateText, start: &str| line(&text.to_toml(), start);
    let colour = good()?.with("limits.colour", "red");
    let depth = good()?.with("limits.depth", "sesame");
    let basis = good()?
        .with("legal_basis", "fr-cdd-public")
        .with("actions", vec![toml::Value::from("observe"), toml::Value::from("authenticate")]);
    let host = absent_onion();
    let typo =
        good()?.with("targets.0.host", format!("{}{}", if host.starts_with('a') { 'b' } else { 'a' }, &host[1..]));
    let impossible = rewritten(&text, "habilitated_until", "habilitated_until = 2027-02-30");
    let local = rewritten(&text, "from = ", "from = 2026-01-31T12:00:00");
    type Attempt<'a> = (&'a str, String, Signed, i32, Vec<String>, Option<&'a str>);
    let attempts: Vec<Attempt<'_>> = vec![
        (
            "expired",
            good()?.valid(now - DAY * 10, now - DAY).to_toml(),
            ByAuthority,
            3,
            words(&["is valid from", "ask the authority"]),
            Some("expired"),
        ),
        (
            "early",
            good()?.valid(now + DAY, now + DAY * 10).to_toml(),
            ByAuthority,
            3,
            words(&["is valid from", "ask the authority"]),
            Some("not-yet-valid"),
        ),
        ("altered", text.clone(), ThenAltered, 3, words(&["the document was altered"]), Some("mandate-signature")),
        ("unsigned", text.clone(), ByNobody, 3, words(&["is not signed"]), None),
        (
            "namespace",
            text.clone(),
            In("vigie-revocation"),
            3,
            words(&["namespace", "sign with -n vigie-mandate"]),
            Some("mandate-signature"),
        ),
        ("stranger", text.clone(), ByStranger, 3, words(&["SHA256:", "no allowed signer"]), Some("mandate-signature")),
        (
            "garbage",
            text.clone(),
            WithGarbage,
            3,
            words(&["not an armoured SSH signature", "ssh-keygen -Y sign"]),
            Some("mandate-signature"),
        ),
        (
            "principal",
            good()?.with("authority.principal", "other@court.example").to_toml(),
            ByAuthority,
            3,
            words(&["other@court.example", "the authority must sign"]),
            Some("mandate-principal"),
        ),
        ("field", colour.to_toml(), ByAuthority, 2, vec![at(&colour, "colour"), "unknown field `colour`".into()], None),
        (
            "type",
            depth.to_toml(),
            ByAuthority,
            2,
            vec![at(&depth, "depth"), "invalid type: string, expected".into()],
            None,
        ),
        (
            "basis",
            basis.to_toml(),
            ByAuthority,
            2,
            vec![at(&basis, "actions"), "fr-cdd-public cannot support the action authenticate".into()],
            None,
        ),
        ("host", typo.to_toml(), ByAuthority, 2, vec![at(&typo, "host"), "checksum does not hold".into()], None),
        (
            "impossible",
            impossible.clone(),
            ByAuthority,
            2,
            vec![line(&impossible, "habilitated_until"), "date".into()],
            None,
        ),
        ("local", local.clone(), ByAuthority, 2, vec![line(&local, "from = "), "written in UTC".into()], None),
    ];
    let mut logged = Vec::new();
    for (name, text, signed, code, mut expected, entry) in attempts {
        let file = format!("{name}.toml");
        write(&station, &file, &text, &signed)?;
        expected.push(file.clone());
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let check = ["mandate", "check", &file, "--allowed-signers", "keys/allowed_signers"];
        for output in [station.command(&check).run()?, station.vigie(&["mandate", "add", &file]).run()?] {
            refused(&output, code, &expected).map_err(|e| format!("{name}: {e}"))?;
            let said = output.text() + &output.errors();
            ensure!(said.trim_end().lines().count() == 1, "{name}: more than one line: {said}");
            ensure!(
                !said.contains(&host[1..20]) && !said.contains("sesame"),
                "{name}: a value stands in the output: {said}"
            );
        }
        logged.extend(entry);
    }
    let rows = station.rows("refusal")?;
    let codes: Vec<_> = rows.iter().map(|row| row["code"].as_str().unwrap_or_default()).collect();
    ensure!(codes == logged, "logged: {codes:?}, expected: {logged:?}");
    ensure!(station.log("mandate-imported")?.is_empty(), "one was taken in");
    station.vigie(&["mandate", "add", "mandate.toml"]).run()?.success()?;
    station.sound()?;
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn recipients(world: &World) -> CaseResult {
    let station = Station::desk(world, "recipients", &targets())?;
    station.init()?;
    station.vigie(&["unlock"]).run()?.success()?;
    station.vigie(&["mandate", "add", "mandate.toml"]).run()?.success()?;
    let keys = station.desk.recipients().clone();
    let second =
        |id: &str| Ok::<_, desk::DeskError>(station.desk.mandate(&targets(), Timestamp::now())?.with("id", id));
    let swapped = second("M-2026-018")?.with("recipients.case", keys.escrow).with("recipients.escrow", keys.case);
    station.desk.write_mandate("swapped.toml", &swapped)?;
    let output = station.vigie(&["mandate", "add", "swapped.toml"]).run()?;
    refused(&output, 3, &["swapped.toml", "M-2026-018", "other recipients than M-2026-017", "C-2026-004"])?;
    station.desk.write_mandate("changed.toml", &second("M-2026-017")?.with("limits.depth", 7))?;
    let output = station.vigie(&["mandate", "add", "changed.toml"]).run()?;
    refused(&output, 3, &["changed.toml", "a different mandate M-2026-017", "renews"])?;
    let codes: Vec<_> = station.rows("refusal")?.iter().map(|row| row["code"].clone()).collect();
    ensure!(codes == ["recipients", "mandate-id-taken"], "{codes:?}");
    // The same recipients: taken in; so is another case with others.
    station.desk.write_mandate("third.toml", &second("M-2026-019")?.with("renews", "M-2026-017"))?;
    station.vigie(&["mandate", "add", "third.toml"]).run()?.success()?;
    station.desk.write_mandate("other.toml", &swapped.with("case", "C-2026-005"))?;
    station.vigie(&["mandate", "add", "other.toml"]).run()?.success()?;
    ensure!(station.json(&["mandate", "list"])?.as_array().is_some_and(|list| list.len() == 3), "three are in");
    Ok(())
}

/// Several mandates of one case, each with one thing that forbids to begin.
fn sessions(world: &World) -> CaseResult {
    let station = Station::desk(world, "sessions", &targets())?;
    let now = Timestamp::now();
    station.init()?;
    station.vigie(&["unlock"]).run()?.success()?;
    station.vigie(&["mandate", "add", "mandate.toml"]).run()?.success()?;
    station.vigie(&["profile", "new", "profile.toml"]).run()?.success()?;
    let mut expected = Vec::new();
    let mut refuse = |more: &[&str], words: &[&str], code: &'static str| -> CaseResult {
        let output = station.run_once().args(["--profile", "heron"]).args(more).run()?;
        refused(&output, 3, words).map_err(|e| format!("{more:?}: {e}"))?;
        let said = output.text() + &output.errors();
        ensure!(said.trim_end().lines().count() == 1, "{more:?}: more than one line: {said}");
        expected.push(code);
        Ok(())
    };
    refuse(&[], &["no revocation list of the last 7 days", "vigie mandate revoke FILE"], "revocations-stale")?;

    let minute_ago = now - SignedDuration::from_mins(1);
    let stopped = [("M-revoked", minute_ago, "revocation"), ("M-opposed", minute_ago, "opposition")];
    station.desk.write_revocations("list.toml", &desk::revocations(now - DAY * 2, &stopped))?;
    station.vigie(&["mandate", "revoke", "list.toml"]).run()?.success()?;
    let add = |id: &str, change: &dyn Fn(MandateText) -> MandateText| -> CaseResult {
        let file = format!("{id}.toml");
        station.desk.write_mandate(&file, &change(station.desk.mandate(&targets(), now)?.with("id", id)))?;
        station.vigie(&["mandate", "add", &file]).run()?.success()?;
        Ok(())
    };
    let clock = |at: Timestamp| at.strftime("%H:%M").to_string();
    add("M-revoked", &|text| text)?;
    add("M-opposed", &|text| text)?;
    add("M-fresh", &|text| text.with("validity.revocations_max_age_days", 1))?;
    add("M-lapsed", &|text| text.with("agents.0.habilitated_until", date(now - DAY)))?;
    add("M-unborn", &|text| text.with("agents.0.habilitated_from", date(now + DAY)))?;
    add("M-name", &|text| text.with("pseudonyms", vec![toml::Value::from("egret")]))?;
    add("M-later", &|text| text.with("information.non_opposition", date(now + DAY)))?;
    add("M-night", &|text| {
        let text = text.with("limits.hours.zone", "Etc/UTC");
        text.with("limits.hours.from", clock(now + HOUR * 2)).with("limits.hours.until", clock(now + HOUR * 4))
    })?;
    refuse(&["--mandate", "M-revoked"], &["M-revoked was stopped (revocation)", "sample"], "revoked")?;
    refuse(&["--mandate", "M-opposed"], &["M-opposed was stopped (opposition)", "sample"], "revoked")?;
    refuse(&["--mandate", "M-fresh"], &["no revocation list of the last 1 days"], "revocations-stale")?;
    refuse(&["--mandate", "M-lapsed"], &["agent A-07 is not habilitated at this date"], "not-habilitated")?;
    refuse(&["--mandate", "M-unborn"], &["agent A-07 is not habilitated at this date"], "not-habilitated")?;
    refuse(&["--mandate", "M-name"], &["M-name does not name this pseudonym"], "profile-unknown")?;
    refuse(&["--mandate", "M-later"], &["non-opposition", "M-later runs from"], "before-non-opposition")?;
    refuse(&["--mandate", "M-night"], &["permits work from", "(Etc/UTC) only"], "outside-hours")?;
    station.desk.stranger_key("stranger")?;
    let stranger = ["--mandate", "M-2026-017", "--agent-key", "keys/stranger"];
    refuse(&stranger, &["M-2026-017 names no agent with this SSH key"], "agent-unknown")?;

    let rows = station.rows("refusal")?;
    let codes: Vec<_> = rows.iter().map(|row| row["code"].as_str().unwrap_or_default()).collect();
    ensure!(codes == expected, "logged: {codes:?}, expected: {expected:?}");
    ensure!(station.log("session-open")?.is_empty(), "a session began");
    ensure!(!station.store().join("tor").exists(), "Tor was started");

    // A pseudonym that the mandate does not name gets no profile.
    let profile = std::fs::read_to_string(station.desk.path("profile.toml"))?.replace("heron", "stork");
    std::fs::write(station.desk.path("stork.toml"), profile)?;
    let output = station.vigie(&["profile", "new", "stork.toml", "--mandate", "M-2026-017"]).run()?;
    refused(&output, 3, &["M-2026-017 does not name this pseudonym"])?;
    ensure!(station.log("profile-created")?.len() == 1, "there is a second profile");
    station.sound()?;
    Ok(())
}

/// Everything was in order when it was set up three days ago; the mandate ended yesterday.
fn ended(world: &World) -> CaseResult {
    let station = Station::desk(world, "ended", &targets())?;
    let now = Timestamp::now();
    let text = station.desk.mandate(&targets(), now - DAY * 3)?.valid(now - DAY * 4, now - DAY);
    station.sign_mandate(&text)?;
    station.desk.write_revocations("revocations.toml", &desk::revocations(now - DAY * 3, &[]))?;
    let then = |command: Command| -> Outcome<()> {
        clock::shifted(command, "-72h")?.run()?.success()?;
        Ok(())
    };
    then(station.command(&[
        "init",
        "store",
        "--allowed-signers",
        "keys/allowed_signers",
        "--origin",
        "vigie.example/old",
    ]))?;
    then(station.vigie(&["mandate", "add", "mandate.toml"]))?;
    then(station.vigie(&["mandate", "revoke", "revocations.toml"]))?;
    then(station.vigie(&["profile", "new", "profile.toml"]))?;
    let output = station.run_once().run()?;
    refused(&output, 3, &["M-2026-017 is valid from", "ask the authority"])?;
    ensure!(station.rows("refusal")?.iter().any(|row| row["code"] == "expired"), "no entry says so");
    ensure!(station.json(&["mandate", "list"])?[0]["state"] == "expired", "the list says something else");
    ensure!(!station.store().join("tor").exists(), "Tor was started");
    station.sound()?;
    Ok(())
}

fn lists(world: &World) -> CaseResult {
    let station = Station::desk(world, "lists", &targets())?;
    station.init()?;
    station.vigie(&["unlock"]).run()?.success()?;
    let now = Timestamp::now();
    let good = desk::revocations(now, &[("M-2026-017", now, "revocation")]);
    let ahead = desk::revocations(now + DAY, &[]);
    let kind = good.replace("\"revocation\"", "\"caprice\"");
    let authority = station.desk.path("keys/authority");
    for (name, text, namespace, code, expected) in [
        ("namespace", &good, MANDATE_NAMESPACE, 3, vec!["sign with -n vigie-revocation".to_owned()]),
        ("ahead", &ahead, desk::REVOCATION_NAMESPACE, 3, words(&["after this workstation's clock"])),
        ("kind", &kind, desk::REVOCATION_NAMESPACE, 2, vec![line(&kind, "kind"), "\"opposition\"".into()]),
    ] {
        let file = format!("{name}.toml");
        std::fs::write(station.desk.path(&file), text)?;
        station.desk.sign(&station.desk.path(&file), namespace, &authority)?;
        let expected: Vec<&str> = expected.iter().map(String::as_str).chain([file.as_str()]).collect();
        refused(&station.vigie(&["mandate", "revoke", &file]).run()?, code, &expected)?;
    }
    let codes: Vec<_> = station.rows("refusal")?.iter().map(|row| row["code"].clone()).collect();
    ensure!(codes == ["revocation-signature", "revocation-date"], "{codes:?}");
    ensure!(station.log("mandate-revoked")?.is_empty(), "one was taken in");
    Ok(())
}
