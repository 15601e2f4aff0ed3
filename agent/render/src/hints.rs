//! What old attributes say about looks (WHATWG HTML §15.2, *presentational hints*), as styles that any rule of the
//! page's own overrides. The renderer knows some; markets are full of the others.

use std::collections::BTreeSet;

/// Most different hints of a page.
const RULES: usize = 2_000;
/// Longest value, in bytes.
const VALUE: usize = 64;

/// Collects the hints of a page.
#[derive(Default)]
pub struct Hints {
    rules: BTreeSet<String>,
}

impl Hints {
    /// Looks at an element's attributes.
    pub fn element(&mut self, name: &str, given: &[(&str, &str)]) {
        for &(attribute, value) in given {
            if self.rules.len() < RULES && value.len() <= VALUE && value.chars().all(plain) {
                self.hint(name, attribute, value);
            }
        }
    }

    fn hint(&mut self, name: &str, attribute: &str, value: &str) {
        let number = value.trim().parse::<u16>().ok();
        let mut rule = |below: &str, style: String| {
            self.rules.insert(format!(":where({name}[{attribute}=\"{value}\"]{below}){{{style}}}\n"));
        };
        match (name, attribute) {
            ("font", "color") | ("body", "text") => {
                if let Some(color) = color(value) {
                    rule("", format!("color:{color}"));
                }
            }
            ("font", "face") => rule("", format!("font-family:{value}")),
            ("font", "size") => {
                if let Some(size) = size(value) {
                    rule("", format!("font-size:{size}"));
                }
            }
            ("body" | "table" | "thead" | "tbody" | "tfoot" | "tr" | "td" | "th", "bgcolor") => {
                if let Some(color) = color(value) {
                    rule("", format!("background-color:{color}"));
                }
            }
            ("table", "border") => {
                let width = if value.trim().is_empty() { 1 } else { number.unwrap_or_default() };
                if width > 0 {
                    rule("", format!("border:{width}px solid #808080"));
                    rule(" > * > tr > *", "border:1px solid #808080".into());
                }
            }
            ("table", "cellpadding") => {
                if let Some(width) = number {
                    rule(" > * > tr > *", format!("padding:{width}px"));
                }
            }
            ("table", "cellspacing") => {
                if let Some(width) = number {
                    rule("", format!("border-spacing:{width}px"));
                }
            }
            ("table", "align") if value.eq_ignore_ascii_case("center") => {
                rule("", "margin-left:auto;margin-right:auto;text-align:start".into());
            }
            ("table" | "img", "align") if value.eq_ignore_ascii_case("left") || value.eq_ignore_ascii_case("right") => {
                rule("", format!("float:{}", value.to_ascii_lowercase()));
            }
            ("tr" | "td" | "th" | "tbody" | "thead", "valign") => {
                let value = value.to_ascii_lowercase();
                if matches!(value.as_str(), "top" | "middle" | "bottom" | "baseline") {
                    rule("", format!("vertical-align:{value}"));
                }
            }
            ("td" | "th", "nowrap") => rule("", "white-space:nowrap".into()),
            _ => {}
        }
    }

    /// The hints as a stylesheet.
    pub fn sheet(&self) -> String {
        self.rules.iter().map(String::as_str).collect()
    }
}

/// Characters that end neither a string nor a declaration of CSS.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '#' | '%' | '.' | ',' | ' ' | '-' | '+')
}

/// A colour: its name, or six digits with or without the sign.
fn color(value: &str) -> Option<String> {
    let value = value.trim();
    let digits = value.strip_prefix('#').unwrap_or(value);
    if matches!(digits.len(), 3 | 6) && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Some(format!("#{digits}"));
    }
    (!value.is_empty() && value.chars().all(|c| c.is_ascii_alphabetic())).then(|| value.to_owned())
}

/// Sizes 1 to 7, or steps from 3 ("rules for parsing a legacy font size").
fn size(value: &str) -> Option<&'static str> {
    let value = value.trim();
    let number: i32 = value.parse().ok()?;
    let size = if value.starts_with(['+', '-']) { number.saturating_add(3) } else { number };
    let sizes = ["x-small", "small", "medium", "large", "x-large", "xx-large", "xxx-large"];
    Some(sizes[usize::try_from(size.clamp(1, 7) - 1).unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let mut hints = Hints::default();
        hints.element("font", &[("color", "ff0000"), ("face", "Arial, sans-serif"), ("size", "+2")]);
        hints.element("td", &[("bgcolor", "#abc"), ("valign", "TOP"), ("border", "3")]);
        hints.element("table", &[("border", ""), ("cellpadding", "4")]);
        let sheet = hints.sheet();
        for rule in [
            ":where(font[color=\"ff0000\"]){color:#ff0000}",
            ":where(font[face=\"Arial, sans-serif\"]){font-family:Arial, sans-serif}",
            ":where(font[size=\"+2\"]){font-size:x-large}",
            ":where(td[bgcolor=\"#abc\"]){background-color:#abc}",
            ":where(td[valign=\"TOP\"]){vertical-align:top}",
            ":where(table[border=\"\"]){border:1px solid #808080}",
            ":where(table[cellpadding=\"4\"] > * > tr > *){padding:4px}",
        ] {
            assert!(sheet.contains(rule), "{rule} in {sheet}");
        }
        assert_eq!(sheet.lines().count(), 8);
    }

    #[test]
    fn nothing_breaks_out() {
        let mut hints = Hints::default();
        hints.element("font", &[("color", "red\"]){} body{display:none"), ("face", "a;}"), ("size", "99999999999")]);
        hints.element("font", &[("color", "rgb(1,2,3)"), ("size", "x"), ("color", &"a".repeat(100))]);
        assert_eq!(hints.sheet(), "");
        for value in 0..10_000 {
            hints.element("font", &[("color", &format!("{value:06}"))]);
        }
        assert_eq!(hints.sheet().lines().count(), RULES);
    }
}
