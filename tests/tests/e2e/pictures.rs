//! Captured pages as pictures, and `vigie render`.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_warc::{RecordHead, WarcReader};

use crate::confined::{named, signal};
use crate::ensure;
use crate::machine::{PATIENCE, until};
use crate::station::{Outcome, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "pictures::a_captured_page_is_drawn_into_its_exhibit", run: drawn },
        Case { name: "pictures::what_the_mandate_withholds_is_a_box", run: withheld },
        Case { name: "pictures::a_page_whose_drawing_dies_is_captured", run: dies },
        Case { name: "pictures::a_plain_file_is_drawn", run: plain },
    ]
}

pub fn market(world: &World, paths: &[&str]) -> Target {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let include = [paths.clone(), vec!["/picture/**".into(), "/style.css".into(), "/face.ttf".into()]].concat();
    Target { entry: paths, include, ..Target::onion("market-a", &world.net.onion("market-a")) }
}

/// The records of an exhibit, opened with stock tools.
fn records(station: &Station, number: u64) -> Outcome<Vec<(RecordHead, Vec<u8>)>> {
    station.open_exhibit(number)?;
    records_of(&station.desk.path(&format!("{number}.warc.gz")))
}

pub fn records_of(path: &Path) -> Outcome<Vec<(RecordHead, Vec<u8>)>> {
    let mut reader = WarcReader::new(std::fs::File::open(path)?);
    let mut all = Vec::new();
    while let Some(one) = reader.next(|head, block| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(block, &mut bytes)?;
        Ok((head.clone(), bytes))
    })? {
        all.push(one);
    }
    Ok(all)
}

pub fn pictures(records: &[(RecordHead, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    let resources = records.iter().filter(|(head, _)| head.field("WARC-Type") == Some("resource"));
    resources.filter_map(|(head, block)| Some((head.field("WARC-Target-URI")?, block.as_slice()))).collect()
}

fn facts(records: &[(RecordHead, Vec<u8>)]) -> String {
    let about = records.iter().filter(|(head, _)| {
        head.field("WARC-Type") == Some("metadata")
            && head.field("WARC-Target-URI").is_some_and(|uri| uri.starts_with("urn:fullPage:"))
    });
    about.map(|(_, block)| String::from_utf8_lossy(block).into_owned()).collect()
}

/// Size of a PNG (ISO/IEC 15948 §11.2.2), when it is one.
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")?;
    let side = |at: usize| rest.get(at..at + 4).and_then(|four| Some(u32::from_be_bytes(four.try_into().ok()?)));
    Some((side(0)?, side(4)?))
}

fn drawn(world: &World) -> CaseResult {
    let station = Station::quick(world, "drawn", &[market(world, &["/", "/offer/3"])])?;
    station.with_pictures()?;
    station.run_once().run()?.exits(0)?;
    station.sound()?;
    // The second page's stylesheet was recorded with the first.
    for number in [1, 2] {
        let records = records(&station, number)?;
        let found = pictures(&records);
        let [(urn, png)] = found[..] else { return Err(format!("{} pictures", found.len()).into()) };
        ensure!(urn.starts_with("urn:fullPage:http://") && urn.contains(".onion/"), "{urn}");
        let (width, height) = size(png).ok_or("no PNG")?;
        ensure!(width == 1280 && height >= 800, "{width} x {height}");
        let facts = facts(&records);
        for words in ["renderer: vigie-render ", "renderer-part: blitz-dom ", "sha256:", "picture-of: <urn:uuid:"] {
            ensure!(facts.contains(words), "{words}: {facts}");
        }
        ensure!(!facts.contains("its format is not known") && !facts.contains("cannot be read"), "{facts}");
        ensure!(!facts.contains("style.css"), "the stylesheet is missing: {facts}");
        ensure!(facts.contains("/face.ttf: a font of the page itself is not used") || number == 2, "{facts}");
    }
    // Without pictures there is none, and nothing else changes.
    let text = std::fs::read_to_string(station.desk.path("vigie.toml"))?;
    std::fs::write(station.desk.path("vigie.toml"), text.replace("draw = true", "draw = false"))?;
    station.capture(&format!("http://{}/offer/3", world.net.onion("market-a"))).run()?.exits(0)?;
    let newest = station.json(&["exhibits"])?.as_array().map_or(0, Vec::len) as u64;
    ensure!(newest > 2 && pictures(&records(&station, newest)?).is_empty(), "drawn all the same");

    // The opened exhibit is drawn alike by hand.
    let render = |args: &[&str]| station.command(&[&["render", "1.warc.gz"], args].concat());
    render(&["--to", "page.png"]).run()?.success()?;
    let by_hand = std::fs::read(station.desk.path("page.png"))?;
    let first = records_of(&station.desk.path("1.warc.gz"))?;
    ensure!(pictures(&first)[0].1 == by_hand, "the picture in the exhibit is another");
    refused(&render(&["--to", "page.png"]).run()?, 2, &["exists already"])?;
    refused(&render(&["--to", "b.png", "--url", "http://no.test/"]).run()?, 2, &["no answer of that address"])?;
    Ok(())
}

fn withheld(world: &World) -> CaseResult {
    let station = Station::desk(world, "withheld-picture", &[market(world, &["/offer/3"])])?;
    let path = station.desk.path("mandate.toml");
    let text = std::fs::read_to_string(&path)?;
    ensure!(text.contains("listing_images = \"capture\""), "{text}");
    std::fs::write(&path, text.replace("listing_images = \"capture\"", "listing_images = \"hash-only\""))?;
    station.desk.sign(&path, "vigie-mandate", &station.desk.path("keys/authority"))?;
    station.set_up_quickly("store")?;
    station.with_pictures()?;
    station.run_once().run()?.exits(0)?;
    let records = records(&station, 1)?;
    ensure!(pictures(&records).len() == 1, "no picture");
    let facts = facts(&records);
    let line = facts.lines().find(|line| line.contains("/picture/3.png")).ok_or(facts.clone())?;
    ensure!(line.contains("withheld by the mandate, sha256:") && line.contains(" bytes"), "{line}");
    station.sound()?;
    Ok(())
}

/// A process that dies whenever it is there costs the picture and nothing else.
fn dies(world: &World) -> CaseResult {
    let station = Station::quick(world, "draw-dies", &[market(world, &["/offer/3"])])?;
    station.with_pictures()?;
    let mut run = station.run_once().spawn()?;
    until("the end of the run", || {
        if !station.log("session-open")?.is_empty()
            && let Some(draw) = named(&run, "vigie-draw")?
        {
            let _ = signal(draw, Signal::KILL);
        }
        Ok(run.has_ended().then_some(()))
    })?;
    let output = run.wait(PATIENCE)?.exits(0)?;
    let records = records(&station, 1)?;
    ensure!(pictures(&records).is_empty(), "it was drawn");
    let said = "has no picture: the process that draws pages failed on it: it was killed";
    ensure!(output.errors().contains(said), "{}", output.errors());
    let facts: String = records.iter().map(|(_, block)| String::from_utf8_lossy(block).into_owned()).collect();
    ensure!(facts.contains("picture: none: the process that draws pages failed on it"), "not in the record");
    station.sound()?;
    Ok(())
}

fn plain(world: &World) -> CaseResult {
    let station = Station::desk(world, "render", &[])?;
    let file = |name: &str, text: String| std::fs::write(station.desk.path(name), text);
    file("page.html", "<h1>Carved figure</h1><img src=/a.png alt=tusk>".into())?;
    file("tall.html", "<div style='height:20000px;background:red'></div>".into())?;
    file("many.html", "<p>x".repeat(100_000))?;
    std::fs::write(station.desk.path("no.warc.gz"), b"\x1f\x8b no gzip")?;
    let render = |file: &str, to: &str| station.command(&["render", file, "--to", to, "--json"]);
    let output = render("page.html", "page.png").run()?.success()?;
    let said: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(said["files"][0] == "page.png" && said["width"] == 1280, "{said}");
    ensure!(said["warnings"][0] == "picture http://file.invalid/a.png: not recorded", "{said}");
    ensure!(size(&std::fs::read(station.desk.path("page.png"))?) == Some((1280, 800)), "no PNG");
    let again = render("page.html", "again.png").run()?.success()?;
    ensure!(again.errors().is_empty(), "{}", again.errors());
    let same = std::fs::read(station.desk.path("page.png"))? == std::fs::read(station.desk.path("again.png"))?;
    ensure!(same, "the same page gives another picture");
    render("tall.html", "tall.png").run()?.success()?;
    let second = std::fs::read(station.desk.path("tall-2.png"))?;
    ensure!(size(&second) == Some((1280, 20_016 - 16_384)), "{:?}", size(&second));
    refused(&render("many.html", "many.png").run()?, 1, &["100003 elements", "not drawn"])?;
    refused(&render("none.html", "none.png").run()?, 2, &["reading none.html"])?;
    refused(&render("no.warc.gz", "no.png").run()?, 2, &["name a sound WARC file"])?;
    ensure!(!station.desk.path("many.png").exists(), "a file of nothing");
    Ok(())
}
