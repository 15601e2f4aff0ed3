//! An age plugin (C2SP age-plugin, state machine `identity-v1`): this binary acts as one when it is
//! asked to. It stands for a hardware token: the key is not in the identity file.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use age::Identity;
use age::secrecy::ExposeSecret;
use age_core::format::Stanza;
use data_encoding::BASE64_NOPAD;

/// Name under which clients look for it.
pub const NAME: &str = "age-plugin-vigietest";
/// What stands in an identity file for it (Bech32 of five bytes that say nothing).
pub const IDENTITY: &str = "AGE-PLUGIN-VIGIETEST-1W3HKKETWJD64EC";
/// Names the file with the "token's" key.
pub const TOKEN: &str = "VIGIE_E2E_TOKEN";
/// Bytes of a whole base64 line.
const LINE: usize = 64;

/// Whether this process was started as the plugin. Its name does not tell: clients resolve links.
pub fn is_meant() -> bool {
    std::env::args_os().any(|argument| argument == "--age-plugin=identity-v1")
}

pub fn main() -> ExitCode {
    match answer(&mut io::stdin().lock(), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(input: &mut impl BufRead, output: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let token = std::fs::read_to_string(std::env::var_os(TOKEN).ok_or("no token is plugged in")?)?;
    let line = token.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).ok_or("the token is empty")?;
    let key: age::x25519::Identity = line.parse()?;
    let mut found = None;
    loop {
        let stanza = read(input)?;
        match (stanza.tag.as_str(), stanza.args.as_slice()) {
            ("done", _) => break,
            ("add-identity", [identity]) if identity == IDENTITY => {}
            ("recipient-stanza", [_, tag, args @ ..]) => {
                let inner = Stanza { tag: tag.clone(), args: args.to_vec(), body: stanza.body };
                found = found.or(key.unwrap_stanza(&inner).and_then(Result::ok));
            }
            // A plugin ignores what it does not know, and clients send such things on purpose.
            _ => {}
        }
    }
    if let Some(file_key) = found {
        writeln!(output, "-> file-key 0\n{}", BASE64_NOPAD.encode(file_key.expose_secret()))?;
        output.flush()?;
        read(input)?;
    }
    write!(output, "-> done\n\n")?;
    Ok(output.flush()?)
}

fn read(input: &mut impl BufRead) -> Result<Stanza, Box<dyn std::error::Error>> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.trim_end().strip_prefix("-> ").ok_or("not a stanza")?.split(' ').map(str::to_owned);
    let tag = words.next().ok_or("a stanza without a name")?;
    let args = words.collect();
    let mut body = String::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        body.push_str(line.trim_end());
        if line.trim_end().len() < LINE {
            return Ok(Stanza { tag, args, body: BASE64_NOPAD.decode(body.as_bytes())? });
        }
    }
}
