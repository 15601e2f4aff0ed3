//! The folder as BagIt has it (RFC 8493): every file listed, with its digest, and none beside.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;

use crate::Unreadable;
use crate::folder::Folder;
use crate::report::Report;

/// Manifest of the payload.
pub const MANIFEST: &str = "manifest-sha256.txt";
const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
const DECLARATION: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
/// Form of a bundle, in `bag-info.txt`.
const FORM: &str = "vigie.bundle/1";
/// Files that every bundle has, beside those that other checks ask for.
const EXPECTED: [&str; 4] = ["data/VERIFY.txt", "data/case.jsonld", "data/custody.jsonl", "data/custody.txt"];
/// Most bytes of a small file.
pub const SMALL: u64 = 1 << 20;

/// A field of `bag-info.txt`.
pub fn field(files: &Folder, label: &str) -> Result<Option<String>, Unreadable> {
    let text = files.text("bag-info.txt", SMALL)?.unwrap_or_default();
    let find = |line: &str| line.strip_prefix(label)?.strip_prefix(": ").map(str::to_owned);
    Ok(text.lines().find_map(find))
}

pub fn check(files: &Folder, report: &mut Report) -> Result<(), Unreadable> {
    let Some(declared) = files.text("bagit.txt", SMALL)? else {
        return Err(Unreadable::Input("there is no bagit.txt in it: name the folder that vigie export made".into()));
    };
    if declared != DECLARATION {
        match declared.lines().next().and_then(|line| line.strip_prefix("BagIt-Version: ")) {
            Some(version) if version != "1.0" && version.len() < 16 => {
                return Err(Unreadable::Input(format!(
                    "a bundle of BagIt {version}: this program knows 1.0; get a newer vigie-verify"
                )));
            }
            _ => report.red("bag.declaration", "bagit.txt is not the declaration of a BagIt 1.0 folder"),
        }
    }
    if let Some(form) = field(files, "Vigie-Bundle")?.filter(|form| form != FORM) {
        return Err(Unreadable::Input(format!(
            "a bundle of the form {}: this program knows {FORM}; get a newer vigie-verify",
            form.escape_default().to_string().chars().take(40).collect::<String>()
        )));
    }
    report.bundle = field(files, "External-Identifier")?;
    let mut payload = BTreeSet::new();
    let mut tags = BTreeSet::new();
    let bytes = manifest(files, MANIFEST, true, &mut payload, report)?;
    manifest(files, TAG_MANIFEST, false, &mut tags, report)?;
    for name in EXPECTED.iter().filter(|name| !files.has(name)) {
        report.red("bag.files", format!("{name} is missing: every bundle has it"));
    }
    for name in files.files.keys() {
        let listed = if name.starts_with("data/") { payload.contains(name) } else { tags.contains(name) };
        if !listed && name != TAG_MANIFEST {
            report.red("bag.files", format!("{name} is in the folder and in no list"));
        }
    }
    report.holds(
        "bag.files",
        format!("all {} files are those of the lists, and there is no other", payload.len() + tags.len()),
    );
    let oxum = field(files, "Payload-Oxum")?;
    if oxum.as_deref() == Some(&format!("{bytes}.{}", payload.len())) {
        report.green("bag.oxum", "number and bytes of the files are those that bag-info.txt gives");
    } else {
        report.red("bag.oxum", "number or bytes of the files are not those that bag-info.txt gives (Payload-Oxum)");
    }
    Ok(())
}

/// Holds each line against its file; gives the bytes of all.
fn manifest(
    files: &Folder,
    list: &'static str,
    payload: bool,
    seen: &mut BTreeSet<String>,
    report: &mut Report,
) -> Result<u64, Unreadable> {
    if !files.has(list) {
        report.red("bag.files", format!("the list {list} is missing"));
        return Ok(0);
    }
    let mut bytes = 0;
    for line in files.lines(list)? {
        let line = match line {
            Ok(line) => line,
            Err(why) => {
                report.red("bag.files", format!("{list}: {why}"));
                continue;
            }
        };
        let parts = line.split_once("  ").filter(|(sum, name)| sum.len() == 64 && is_name(name, payload));
        let Some((sum, name)) = parts else {
            report.red("bag.files", format!("{list} has a line that names no file of the folder"));
            continue;
        };
        let name = name.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%");
        if !seen.insert(name.clone()) {
            report.red("bag.files", format!("{list} names {name} twice"));
            continue;
        }
        if !files.has(&name) {
            report.red("bag.files", format!("{name} is listed and missing"));
            continue;
        }
        let (found, length) = files.digest(&name)?;
        bytes += length;
        if HEXLOWER.encode(&found) != sum.to_ascii_lowercase() {
            report.red("bag.files", format!("{name} was changed after the list was made"));
        }
    }
    Ok(bytes)
}

/// A name that stays in the folder.
fn is_name(name: &str, payload: bool) -> bool {
    let within = name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains(['\\', '\0']);
    within && name.starts_with("data/") == payload
}
