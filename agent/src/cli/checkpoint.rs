//! `vigie checkpoint`: the signed head of the log, for whoever keeps it elsewhere.

use std::path::PathBuf;

use clap::Args;
use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;
use vigie_store::Reader;

use super::file::write_new;
use super::{StoreArgs, head_leaves, reader, show};
use crate::error::{Problem, exit};

/// Light modules around the code (ISO/IEC 18004 section 5.3.8).
const QUIET: i32 = 4;

/// Print the signed head of the log, as text and as a QR code.
#[derive(Args)]
#[command(
    after_help = "Keep it where nobody who can write to the store can: on paper, with the custodian, in a mail. Later,\nvigie verify --heads FILE shows whether the log still goes on from it.\n\nExample:\n  vigie checkpoint --store store > checkpoint.txt\n  vigie checkpoint --store store --qr\n  vigie checkpoint --store store --svg checkpoint.svg"
)]
pub struct CheckpointArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// Also print the verifier key (a line for the custodian's list of known logs).
    #[arg(long)]
    key: bool,
    /// Also draw it as a QR code, which holds the same text.
    #[arg(long, conflicts_with = "json")]
    qr: bool,
    /// Also print its fingerprint (SHA-256 of the three lines that are signed), for paper and telephone.
    #[arg(long, conflicts_with = "json")]
    fingerprint: bool,
    /// Write it to this file instead; it must not exist.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["qr", "json"])]
    to: Option<PathBuf>,
    /// Also write a page with the QR code, to be printed; the file must not exist.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    origin: &'a str,
    size: u64,
    root_sha256: String,
    fingerprint: String,
    key: String,
    checkpoint: &'a str,
}

pub fn checkpoint(args: CheckpointArgs) -> Result<u8, Problem> {
    if args.to.is_some() && args.to == args.svg {
        return Err(Problem::input("--to and --svg name the same file: name two"));
    }
    let reader = reader(&args.at.store)?;
    let note = reader.checkpoint();
    if let Some(file) = &args.svg {
        write_new(file, page(&code(note)?, &reader).as_bytes())?;
    }
    match &args.to {
        Some(file) => write_new(file, note.as_bytes())?,
        None if args.json => show::json(&told(&reader))?,
        None => {
            if args.key {
                show::line(reader.verifier_key())?;
                show::line("")?;
            }
            show::line(note.trim_end())?;
        }
    }
    if args.qr {
        for line in drawn(&code(note)?) {
            show::line(format!("\u{1b}[30;107m{line}\u{1b}[0m"))?;
        }
    }
    if args.fingerprint {
        show::line("")?;
        show::line(format!("fingerprint {}", vigie_verify::fingerprint_of(note)))?;
    }
    head_leaves(&args.at.store)?;
    Ok(exit::OK)
}

fn told(reader: &Reader) -> Told<'_> {
    Told {
        origin: reader.origin(),
        size: reader.size(),
        root_sha256: data_encoding::HEXLOWER.encode(&reader.root()),
        fingerprint: vigie_verify::fingerprint_of(reader.checkpoint()),
        key: reader.verifier_key(),
        checkpoint: reader.checkpoint(),
    }
}

/// The note as a QR code (ISO/IEC 18004), byte for byte.
fn code(note: &str) -> Result<QrCode, Problem> {
    QrCode::encode_binary(note.as_bytes(), QrCodeEcc::Medium).map_err(|_| {
        Problem::other(format!("drawing a QR code of {} bytes: it is too long for one; use the text", note.len()))
    })
}

/// Two rows of modules in a line; dark is drawn.
fn drawn(code: &QrCode) -> Vec<String> {
    let side = -QUIET..code.size() + QUIET;
    let line = |y: i32| {
        side.clone()
            .map(|x| match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect()
    };
    side.clone().step_by(2).map(line).collect()
}

/// A page for the printer: the code, and below it what a person compares.
fn page(code: &QrCode, reader: &Reader) -> String {
    let side = code.size() + 2 * QUIET;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            path.push_str(&format!("M{},{}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    let root = data_encoding::HEXLOWER.encode(&reader.root());
    let print = vigie_verify::fingerprint_of(reader.checkpoint());
    let half = print.len() / 2;
    let lines = [
        reader.origin(),
        &format!("{} entries, root (SHA-256)", reader.size()),
        &root[..32],
        &root[32..],
        "fingerprint",
        print[..half].trim_end(),
        print[half..].trim_start(),
    ];
    let longest = lines.iter().map(|line| line.len()).max().unwrap_or(1) as f64;
    // A letter of a monospaced face is at most 0.62 of its height.
    let height = (f64::from(side - 2 * QUIET) / longest / 0.62).min(3.0);
    let mut texts = String::new();
    for (number, line) in lines.iter().enumerate() {
        let y = f64::from(side) + height * 1.4 * (number + 1) as f64;
        texts.push_str(&format!("<text x=\"{QUIET}\" y=\"{y:.2}\">{}</text>\n", escaped(line)));
    }
    let bottom = f64::from(side) + height * 1.4 * lines.len() as f64 + f64::from(QUIET);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {bottom:.2}\" width=\"120mm\">\n<rect width=\"{side}\" height=\"{bottom:.2}\" fill=\"#fff\"/>\n<path d=\"{path}\" fill=\"#000\" shape-rendering=\"crispEdges\"/>\n<g font-family=\"monospace\" font-size=\"{height:.2}\">\n{texts}</g>\n</svg>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_on_a_terminal_is_the_code() {
        let code = code("vigie.example/desk-1\n12\n").expect("fits");
        let lines = drawn(&code);
        for y in -QUIET..code.size() + QUIET {
            for x in -QUIET..code.size() + QUIET {
                let line = &lines[((y + QUIET) / 2) as usize];
                let cell = line.chars().nth((x + QUIET) as usize).expect("a cell");
                let upper = (y + QUIET) % 2 == 0;
                let dark = matches!((cell, upper), ('█', _) | ('▀', true) | ('▄', false));
                assert_eq!(dark, code.get_module(x, y), "{x},{y}");
            }
        }
    }

    #[test]
    fn a_head_too_long_for_a_code_is_said() {
        assert!(code(&"x".repeat(2000)).is_ok());
        assert!(code(&"x".repeat(3000)).err().expect("too long").line.contains("use the text"));
    }
}
