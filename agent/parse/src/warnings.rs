//! What was odd about a page, one line each, without repeats and without end.

use vigie_wire::limits::TEXT_BYTES;

/// Most lines kept.
const LINES: usize = 100;

/// Collects warnings.
#[derive(Debug, Default)]
pub struct Warnings {
    lines: Vec<String>,
}

impl Warnings {
    /// Adds a line, once.
    pub fn add(&mut self, line: impl Into<String>) {
        let line = fold(&line.into());
        if self.lines.len() < LINES && !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    /// The lines.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// Folds white space and control characters to single spaces and cuts at the length limit of a
/// text field.
pub fn fold(text: &str) -> String {
    let mut out = String::new();
    fold_into(&mut out, text);
    out.truncate(out.trim_end().len());
    out
}

/// Adds folded text; gives `false` when the length limit is reached.
pub fn fold_into(out: &mut String, text: &str) -> bool {
    for c in text.chars() {
        let c = if c.is_whitespace() || c.is_control() { ' ' } else { c };
        if c == ' ' && (out.is_empty() || out.ends_with(' ')) {
            continue;
        }
        if out.len() + c.len_utf8() > TEXT_BYTES {
            return false;
        }
        out.push(c);
    }
    true
}
