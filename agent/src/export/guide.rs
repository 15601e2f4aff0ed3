//! `VERIFY.txt`: how to check an export with tools that are not ours, command by command, with what each prints.

use std::fmt::Write as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use jiff::Timestamp;

use super::plan::Shown;
use super::{Order, put};
use crate::error::Problem;

/// Lines longer than this are broken where they can be, in characters.
const WIDTH: usize = 96;

/// Writes it, and the page that checks in a browser, beside the lists.
///
/// # Errors
/// The disk is full.
pub fn write(order: &Order<'_>, data: &Path, bundle: &str, created: Timestamp) -> Result<(), Problem> {
    put(&data.join("verify.html"), vigie_verify::PAGE.as_bytes())?;
    put(&data.join("VERIFY.txt"), text(order, data, bundle, created).as_bytes())
}

fn paragraph(out: &mut String, text: &str) {
    let mut line = 0;
    for word in text.split_whitespace() {
        if line > 0 && line + 1 + word.chars().count() > WIDTH {
            out.push('\n');
            line = 0;
        } else if line > 0 {
            out.push(' ');
            line += 1;
        }
        out.push_str(word);
        line += word.chars().count();
    }
    out.push_str("\n\n");
}

fn command(out: &mut String, lines: &[&str], prints: &str) {
    for line in lines {
        // A line that goes on has no prompt.
        let prompt = if line.starts_with(' ') { ' ' } else { '$' };
        let _ = writeln!(out, "    {prompt} {line}");
    }
    let _ = writeln!(out, "    must print: {prints}\n");
}

fn section(out: &mut String, number: &mut u32, title: &str) {
    *number += 1;
    let _ = writeln!(out, "{number}. {title}\n");
}

fn text(order: &Order<'_>, data: &Path, bundle: &str, created: Timestamp) -> String {
    let reader = &order.reader;
    let root = HEXLOWER.encode(&reader.root());
    let (all, shown) = (order.plan.exhibits.len(), order.plan.disclosed().count());
    let erased = order.plan.exhibits.values().filter(|exhibit| exhibit.shown == Shown::Erased).count();
    let mut sections = 0;
    let mut out = format!("HOW TO CHECK {bundle}\nmade {created} by vigie {}\n\n", env!("CARGO_PKG_VERSION"));
    paragraph(
        &mut out,
        &format!(
            "Case {} has {all} exhibits in the log of {}: {shown} are in this folder, {erased} were erased, the others are \
             listed in data/inventory.jsonl with their number, time and digest. Type the commands in the folder that \
             holds bagit.txt. None of them needs Vigie.",
            order.plan.case,
            reader.origin()
        ),
    );
    section(&mut out, &mut sections, "The folder is whole (sha256sum, or bagit.py of the Library of Congress)");
    command(&mut out, &["sha256sum --check --quiet tagmanifest-sha256.txt"], "nothing");
    command(&mut out, &["sha256sum --check --quiet manifest-sha256.txt"], "nothing");
    command(&mut out, &["bagit.py --validate ."], "a line that ends with \"is valid\"");
    paragraph(
        &mut out,
        "This shows that nothing was damaged on the way. It does not show who made the folder: that is what the log's \
         signed head is for, which you should have received by another way as well (on paper, from the witness).",
    );
    section(&mut out, &mut sections, "The head of the log, signed with the log's key (openssl 3)");
    let _ = writeln!(
        out,
        "    entries:     {}\n    root:        {root}\n    fingerprint: {}\n",
        reader.size(),
        vigie_verify::fingerprint_of(reader.checkpoint())
    );
    command(
        &mut out,
        &[
            "openssl pkeyutl -verify -pubin -inkey data/log/openssl/log-key.pem -rawin \\",
            "      -in data/log/openssl/head.txt -sigfile data/log/openssl/head.sig",
        ],
        "Signature Verified Successfully",
    );
    paragraph(
        &mut out,
        "Compare the fingerprint with what you have by another way: it is the SHA-256 of data/log/openssl/head.txt (what \
         vigie checkpoint prints). data/log/checkpoint is the same head as \
         a C2SP signed note; data/witness/ has heads that witnesses cosigned, with their keys.",
    );
    section(&mut out, &mut sections, "An exhibit's entry is in that log");
    if let Some(number) = order.plan.disclosed().next() {
        let exhibit = &order.plan.exhibits[&number];
        let sequence = exhibit.entry.sequence;
        let leaf = HEXLOWER.encode(&exhibit.entry.leaf_hash());
        command(
            &mut out,
            &[&format!("(printf '\\0'; cat data/log/entries/{sequence:08}.entry) | sha256sum")],
            &format!("{leaf}  -"),
        );
        paragraph(
            &mut out,
            &format!(
                "That is the leaf of exhibit {number}, as data/inventory.jsonl has it (RFC 6962, section 2.1). Its path to \
                 the root is data/log/proofs/exhibit-{number:06}.tlog-proof (C2SP tlog-proof). The hashes of all leaves are \
                 data/log/tile/0/ (C2SP tlog-tiles), 32 bytes each, so that every entry can be counted and the root made anew."
            ),
        );
        if !order.open_only {
            section(&mut out, &mut sections, "The sealed layer is what was logged");
            let sealed = format!("data/sealed/exhibit-{number:06}.age");
            match (&exhibit.entry.age, order.seal_to.is_empty()) {
                (Some(age), true) => command(
                    &mut out,
                    &[&format!("sha256sum {sealed}")],
                    &format!("{}  {sealed}", HEXLOWER.encode(&age.sha256)),
                ),
                _ => paragraph(
                    &mut out,
                    "It was sealed anew for its readers; what is inside is bound to the log by the commitment \
                     `plaintext` of each entry.",
                ),
            }
            let openings = format!("data/sealed/openings-{number:06}.jsonl.age");
            command(
                &mut out,
                &[
                    &format!("age -d -i KEY {sealed} | sha256sum"),
                    &format!("age -d -i KEY {openings} | grep plaintext"),
                ],
                "a digest; a line whose value_base64 is the same 32 bytes",
            );
            paragraph(
                &mut out,
                "SHA-256 of the salt and the value, both as bytes, is the `commit plaintext` line of the entry. In the same \
                 way each line of data/redactions.jsonl has a commitment whose salt and value are in that file: put back at \
                 their places, they make the open layer the sealed one.",
            );
        }
    }
    section(&mut out, &mut sections, "The pages");
    paragraph(
        &mut out,
        "data/evidence.wacz opens in ReplayWeb.page (also offline) and with any WARC reader. The archive's own signature \
         is made with a key of its own and shows only that archive and list belong together.",
    );
    command(&mut out, &["wacz validate -f data/evidence.wacz"], "Validation succeeded, the passed WACZ is valid");
    if data.join("time").is_dir() {
        section(&mut out, &mut sections, "Time stamps (RFC 3161)");
        command(
            &mut out,
            &["openssl ts -verify -in data/time/NAME.tsr -data data/time/NAME -CAfile data/time/ROOT.pem"],
            "Verification: OK",
        );
    }
    if data.join("descriptors").is_dir() {
        section(&mut out, &mut sections, "What each onion's key holder published");
        command(
            &mut out,
            &["python3 data/descriptors/check_descriptor.py data/descriptors/entry-*.json"],
            "OK, one line for each",
        );
    }
    if !order.open_only {
        section(&mut out, &mut sections, "The mandate");
        let id = order.plan.mandates.last().map_or("ID", |mandate| mandate.id());
        command(
            &mut out,
            &[
                &format!("age -d -i KEY -o mandate.toml data/sealed/mandate-{id}.toml.age"),
                &format!("age -d -i KEY -o mandate.toml.sig data/sealed/mandate-{id}.toml.sig.age"),
                "ssh-keygen -Y verify -f ALLOWED_SIGNERS -I PRINCIPAL -n vigie-mandate -s mandate.toml.sig < mandate.toml",
            ],
            "Good \"vigie-mandate\" signature for …",
        );
    }
    if order.plan.two_persons {
        section(&mut out, &mut sections, "The release by a second person");
        command(
            &mut out,
            &[
                "ssh-keygen -Y verify -f ALLOWED_SIGNERS -I PRINCIPAL -n vigie-release -s release.sig < manifest-sha256.txt",
            ],
            "Good \"vigie-release\" signature for …",
        );
    }
    section(&mut out, &mut sections, "Or all at once, with programs of ours (optional)");
    command(
        &mut out,
        &["vigie-verify . --fingerprint 'THE ONE YOU RECEIVED BY ANOTHER WAY'"],
        "GREEN, or AMBER with what is left to compare; RED when something does not hold",
    );
    paragraph(
        &mut out,
        "data/verify.html does most of it in a browser, opened from the disk with the network off. Whoever changed this \
         folder could have changed that page too: take it, or vigie-verify, from somewhere else when it matters.",
    );
    out.push_str("What these checks cannot show\n\n");
    paragraph(
        &mut out,
        "That a site told the truth; that the clock of the workstation was right (the signed Tor consensus of each session \
         bounds it from below, time stamps from above); that whoever holds the log's key did not write another log: for \
         that, compare the head with one that left the workstation before.",
    );
    out
}
