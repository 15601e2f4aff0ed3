//! What was odd about a page, one line each, without repeats and without end.

use vigie_wire::limits::TEXT_BYTES;

/// Most lines kept.
const LINES: usize = 100;
/// Most bytes looked at for one text field: white space may fill megabytes and fold to nothing.
pub const LOOK_BYTES: usize = 16 * TEXT_BYTES;

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

    /// Adds the lines of another.
    pub fn append(&mut self, other: Self) {
        other.lines.into_iter().for_each(|line| self.add(line));
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
    fold_into(&mut out, start(text, LOOK_BYTES));
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

/// The beginning of a text, at most as many bytes as given.
pub fn start(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
