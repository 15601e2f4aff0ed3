//! What CSS refers to (CSS Syntax, tokens by cssparser): imports, fonts, images.

use cssparser::{ParseError, Parser, Token};
use vigie_wire::parse::RequisiteClass;

use crate::address::Base;
use crate::sets::Requisites;
use crate::warnings::Warnings;

/// Deepest nesting of blocks that is looked into; deeper ones are skipped.
const NESTING: u8 = 32;

/// Reads a stylesheet or a `<style>` element.
pub fn sheet(text: &str, base: &Base, found: &mut Requisites, warnings: &mut Warnings) {
    read(text, base, RequisiteClass::OtherImage, found, warnings);
}

/// Reads a `style` attribute; its images are of the class given.
pub fn inline(text: &str, base: &Base, class: RequisiteClass, found: &mut Requisites, warnings: &mut Warnings) {
    // Most style attributes refer to nothing; an escape may hide the word.
    if text.contains('(') || text.contains('@') {
        read(text, base, class, found, warnings);
    }
}

fn read(text: &str, base: &Base, class: RequisiteClass, found: &mut Requisites, warnings: &mut Warnings) {
    let mut parser = Parser::new(text);
    parser.set_nested_block_limit(0);
    let mut reader = Reader { base, class, found, too_deep: false };
    reader.block(&mut parser, Within { depth: 0, ..Within::default() });
    if reader.too_deep {
        warnings.add(format!("blocks of CSS nested more than {NESTING} deep were not read"));
    }
}

/// Where tokens stand.
#[derive(Clone, Copy, Default)]
struct Within {
    depth: u8,
    /// In an `@font-face` block.
    font: bool,
    /// In a function whose strings are addresses.
    strings: bool,
}

/// What an at-keyword makes of the tokens up to its `;` or block.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    None,
    Import,
    FontFace,
    Namespace,
}

struct Reader<'a> {
    base: &'a Base,
    class: RequisiteClass,
    found: &'a mut Requisites,
    too_deep: bool,
}

impl Reader<'_> {
    fn block(&mut self, parser: &mut Parser<'_>, within: Within) {
        let mut rule = Rule::None;
        while let Ok(token) = parser.next() {
            let token = token.clone();
            match &token {
                Token::AtKeyword(name) => {
                    rule = match_rule(name);
                }
                Token::Semicolon => rule = Rule::None,
                Token::UnquotedUrl(url) => {
                    self.take(url, within, rule);
                    rule = after_url(rule);
                }
                Token::QuotedString(text) if rule == Rule::Import || within.strings => {
                    self.take(text, within, rule);
                    rule = after_url(rule);
                }
                Token::Function(name) => {
                    let name = name.to_ascii_lowercase();
                    let url = matches!(name.as_str(), "url" | "src");
                    let set = matches!(name.as_str(), "image-set" | "-webkit-image-set" | "image");
                    // Of `type("…")` and `format("…")` inside, the strings are no addresses.
                    self.nested(parser, Within { strings: url || set, ..within }, rule);
                    if url {
                        rule = after_url(rule);
                    }
                }
                Token::CurlyBracketBlock => {
                    let font = within.font || rule == Rule::FontFace;
                    self.nested(parser, Within { font, strings: false, ..within }, Rule::None);
                    rule = Rule::None;
                }
                Token::ParenthesisBlock | Token::SquareBracketBlock => {
                    self.nested(parser, within, rule);
                }
                _ => {}
            }
        }
    }

    fn nested(&mut self, parser: &mut Parser<'_>, within: Within, rule: Rule) {
        if within.depth >= NESTING {
            self.too_deep = true;
            return;
        }
        let within = Within { depth: within.depth + 1, ..within };
        // What the closure leaves is skipped by the parser.
        let _: Result<(), ParseError<()>> = parser.parse_nested_block(|parser| {
            match rule {
                Rule::Import | Rule::Namespace if within.strings => {
                    if let Ok(Token::QuotedString(text)) = parser.next().cloned() {
                        self.take(&text, within, rule);
                    }
                    while parser.next().is_ok() {}
                }
                _ => self.block(parser, within),
            }
            Ok(())
        });
    }

    fn take(&mut self, reference: &str, within: Within, rule: Rule) {
        let class = match rule {
            Rule::Import => RequisiteClass::Stylesheet,
            Rule::Namespace => return,
            _ if within.font => RequisiteClass::Font,
            _ => self.class,
        };
        self.found.add(self.base, reference, class);
    }
}

fn match_rule(name: &str) -> Rule {
    if name.eq_ignore_ascii_case("import") {
        Rule::Import
    } else if name.eq_ignore_ascii_case("font-face") {
        Rule::FontFace
    } else if name.eq_ignore_ascii_case("namespace") {
        Rule::Namespace
    } else {
        Rule::None
    }
}

/// Only the first address after `@import` is one.
fn after_url(rule: Rule) -> Rule {
    if rule == Rule::Import { Rule::None } else { rule }
}
