//! How results and errors look: text for people, JSON for programs; colours only on a terminal.

use std::io::Write;

use serde::Serialize;
use vigie_store::{Progress, StoreEvents};

use crate::error::{Failing, Problem};
use crate::monitor::{Monitor, Terminal};

/// One line on standard error.
pub fn error(problem: &Problem) {
    let _ = writeln!(anstream::stderr(), "\u{1b}[31mvigie:\u{1b}[0m {problem}");
}

/// Something to know that stops nothing: one line on standard error.
pub fn warning(line: &str) {
    let _ = writeln!(anstream::stderr(), "\u{1b}[33mvigie:\u{1b}[0m {line}");
}

/// A line on standard output.
pub fn line(text: impl std::fmt::Display) -> Result<(), Problem> {
    bytes(format!("{text}\n").as_bytes())
}

/// Text as it is on standard output. A reader that went away (`vigie log | head`) is no fault: the
/// command goes on in silence, and its exit code still says what it found.
pub fn bytes(text: &[u8]) -> Result<(), Problem> {
    let mut out = anstream::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.failing("writing to standard output"),
    }
}

/// A value as one JSON document.
pub fn json(value: &impl Serialize) -> Result<(), Problem> {
    line(serde_json::to_string_pretty(value).failing("writing JSON")?)
}

/// A table with aligned columns; widths by characters.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Result<(), Problem> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let draw = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.trim_end().to_owned()
    };
    line(format!("\u{1b}[1m{}\u{1b}[0m", draw(&mut head.iter().copied())))?;
    for row in rows {
        line(draw(&mut row.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// Numbers of one thing, runs of them shortened: `exhibits 1 to 3, 7`.
pub fn numbered(what: &str, numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let runs: Vec<_> = runs
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") })
        .collect();
    match numbers {
        [] => format!("no {what}"),
        [one] => format!("{what} {one}"),
        _ => format!("{what}s {}", runs.join(", ")),
    }
}

/// What the store says while it opens (recovery): standard error.
pub struct Events;

impl StoreEvents for Events {
    fn event(&self, text: &str) {
        let _ = writeln!(anstream::stderr(), "store: {text}");
    }
}

/// The same, with a bar while the catalogue is made anew.
pub struct Rebuilding(pub Terminal);

impl StoreEvents for Rebuilding {
    fn event(&self, text: &str) {
        self.0.finish();
        Events.event(text);
    }

    fn rebuilding(&self, done: u64, total: u64) {
        self.0.job("rebuild", done, total);
    }
}

/// A progress bar of a job of the store's, by its name.
pub struct Bar(pub Terminal, pub &'static str);

impl Progress for Bar {
    fn progress(&self, done: u64, total: u64) {
        self.0.job(self.1, done, total);
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn runs_of_numbers() {
        for (numbers, text) in [
            (&[][..], "no exhibit"),
            (&[4], "exhibit 4"),
            (&[1, 2, 3], "exhibits 1 to 3"),
            (&[1, 3, 4, 9], "exhibits 1, 3 to 4, 9"),
        ] {
            assert_eq!(numbered("exhibit", numbers), text);
        }
    }
}
