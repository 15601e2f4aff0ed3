//! `vigie render`: a page of a plain file as a picture.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use vigie_wire::draw::{Picture, ToDrawPage};
use vigie_wire::limits::{DECODED_BODY_BYTES, PARSE_BODY_BYTES};
use vigie_wire::parse::Document;

use super::file::write_new;
use super::{SandboxArgs, show};
use crate::error::{Failing, Problem, exit};
use crate::monitor::{Monitor, Terminal};
use crate::parts::{DrawPool, Launcher, ParsePool};
use crate::picture::{Album, from_warc};

/// The address of a plain file's page, when none is given: nothing is ever asked there.
const NOWHERE: &str = "http://file.invalid/";

/// Draw a page of a file: HTML, or WARC with its stylesheets and pictures. Nothing is asked of any network.
#[derive(Args)]
#[command(
    after_help = "A page of more than 16,384 pixels goes on in FILE-2.png, FILE-3.png …\n\nExample:\n  vigie render opened.warc.gz --to page.png\n  vigie render saved.html --url http://….onion/item/7 --to page.png"
)]
pub struct RenderArgs {
    /// The page: an HTML file, or a .warc.gz.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The picture to write (PNG); it must not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Of a WARC file: the page (else: the first). Of HTML: the address that it came from.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// What was drawn, as JSON.
    #[arg(long)]
    json: bool,
}

/// What the command says.
#[derive(Serialize)]
struct Drawn<'d> {
    url: &'d str,
    width: u32,
    height: u32,
    files: Vec<String>,
    facts: Vec<[&'d str; 2]>,
    warnings: &'d [String],
}

pub fn render(args: RenderArgs) -> Result<u8, Problem> {
    if args.to.exists() {
        return Err(Problem::input(format!("{} exists already: name another file", args.to.display())));
    }
    let mut file = std::fs::File::open(&args.file)
        .map_err(|e| Problem::input(format!("reading {}: {e}: name a page or a WARC file", args.file.display())))?;
    let mut start = [0; 2];
    let read = read_up_to(&mut file, &mut start).failing(format!("reading {}", args.file.display()))?;
    let whole = start[..read].chain(file);
    let launcher = Arc::new(Launcher::start(&args.sandbox.dangerously_without_sandbox, None, &[])?);
    let monitor = Terminal::new(false);
    monitor.job("draw", 0, 2);
    let order = if start == [0x1f, 0x8b] {
        let pages = ParsePool::new(Arc::clone(&launcher));
        from_warc(whole, args.url.as_deref(), &pages).map_err(|problem| problem.of(&args.file))?
    } else {
        from_html(whole, args.url.as_deref()).map_err(|problem| problem.of(&args.file))?
    };
    monitor.job("draw", 1, 2);
    let url = order.page.url.clone();
    let drawn = DrawPool::new(launcher).draw(order);
    monitor.finish();
    let picture = drawn.map_err(|why| Problem::other(format!("the page is not drawn: {why}")).of(&args.file))?;
    let files = write(&picture, &args.to)?;
    if args.json {
        let shown = if url == NOWHERE { "" } else { url.as_str() };
        show::json(&Drawn {
            url: shown,
            width: picture.width,
            height: picture.height,
            files,
            facts: picture.facts.iter().map(|(name, value)| [name.as_str(), value.as_str()]).collect(),
            warnings: &picture.warnings,
        })?;
    } else {
        for warning in &picture.warnings {
            show::warning(&readable(warning));
        }
        show::line(format!("{} x {} pixels in {}", picture.width, picture.height, files.join(", ")))?;
    }
    Ok(exit::OK)
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// Text of a page, for a terminal.
fn readable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{b7}' } else { c }).collect()
}

/// Writes the tiles; all or none.
fn write(picture: &Picture, to: &Path) -> Result<Vec<String>, Problem> {
    let mut written: Vec<PathBuf> = Vec::new();
    for (number, tile) in (1..).zip(&picture.tiles) {
        let path = if number == 1 { to.to_owned() } else { numbered(to, number) };
        if let Err(problem) = write_new(&path, &tile.png) {
            for path in written {
                let _ = std::fs::remove_file(path);
            }
            return Err(problem);
        }
        written.push(path);
    }
    Ok(written.iter().map(|path| path.display().to_string()).collect())
}

/// `page.png`, `page-2.png` …
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

fn from_html(source: impl Read, url: Option<&str>) -> Result<ToDrawPage, Problem> {
    let mut body = Vec::new();
    source.take(PARSE_BODY_BYTES as u64 + 1).read_to_end(&mut body).failing("reading it")?;
    let cut = body.len() > PARSE_BODY_BYTES;
    if cut {
        return Err(Problem::input("it has more than 8 MiB: no such page is drawn"));
    }
    let page = Document {
        url: url.unwrap_or(NOWHERE).to_owned(),
        content_type: Some("text/html".into()),
        content_encoding: None,
        headers: Vec::new(),
        body: body.into(),
        cut,
        decoded_bytes: DECODED_BODY_BYTES as u32,
    };
    Ok(Album::default().order(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tiles() {
        assert_eq!(numbered(Path::new("a/page.png"), 2), Path::new("a/page-2.png"));
        assert_eq!(numbered(Path::new("page"), 3), Path::new("page-3"));
    }
}
