//! What CSS refers to (CSS Syntax, tokens by cssparser): imports, fonts, images.

use cssparser::{ParseError, Parser, Token};
use vigie_wire::parse::RequisiteClass;

use crate::warnings::Warnings;

/// Deepest nesting of blocks that is looked into; deeper ones are skipped.
const NESTING: u8 = 32;

/// Takes what is found: the reference as written, and its class.
pub type Found<'f> = &'f mut dyn FnMut(&str, RequisiteClass);

/// Reads a stylesheet or a `<style>` element.
pub fn sheet(text: &str, found: Found<'_>, warnings: &mut Warnings) {
    read(text, true, found, warnings);
}

/// Reads a `style` attribute; its images are of the class given.
pub fn inline(text: &str, found: Found<'_>, warnings: &mut Warnings) {
    // Most style attributes refer to nothing; an escape may hide the name of a function, but not
    // its parenthesis.
    if text.contains('(') {
        read(text, false, found, warnings);
    }
}

fn read(text: &str, rules: bool, found: Found<'_>, warnings: &mut Warnings) {
    let mut parser = Parser::new(text);
    // Counted here: the parser would give up where this skips.
    parser.set_nested_block_limit(0);
    let mut reader = Reader { found, imports: rules, rules, too_deep: false };
    reader.block(&mut parser, Within::default());
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

/// What the tokens up to the next `;` or block belong to.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// A declaration, or a selector.
    None,
    /// `@import`, whose next token is an address.
    Import,
    FontFace,
    /// The prelude of any other rule, or what follows an import's address: a condition such as
    /// `supports(background: url(…))` fetches nothing.
    Prelude,
}

struct Reader<'f> {
    found: Found<'f>,
    /// An `@import` counts only before other rules (CSS Cascade §2).
    imports: bool,
    /// There may be rules, and so blocks; not in a `style` attribute (CSS Style Attributes §3).
    rules: bool,
    too_deep: bool,
}

impl Reader<'_> {
    fn block(&mut self, parser: &mut Parser<'_>, within: Within) {
        let mut rule = Rule::None;
        let top = within.depth == 0;
        while let Ok(token) = parser.next() {
            let token = token.clone();
            let address = match &token {
                Token::UnquotedUrl(url) => Some(url),
                Token::QuotedString(text) if rule == Rule::Import || within.strings => Some(text),
                _ => None,
            };
            if let Some(address) = address {
                self.take(address, within, rule);
            }
            match &token {
                Token::AtKeyword(name) => {
                    rule = self.at_rule(name, top);
                    continue;
                }
                Token::Semicolon => {
                    rule = Rule::None;
                    continue;
                }
                Token::CDO | Token::CDC => continue,
                Token::Function(name) if rule == Rule::None || rule == Rule::Import => {
                    let url = name.eq_ignore_ascii_case("url");
                    let set = ["image-set", "-webkit-image-set"].iter().any(|set| name.eq_ignore_ascii_case(set));
                    if url {
                        self.address(parser, within, rule);
                    } else if rule == Rule::None {
                        // Of `type("…")` and `format("…")` inside, the strings are no addresses.
                        self.nested(parser, Within { strings: set, ..within });
                    }
                }
                Token::CurlyBracketBlock => {
                    let font = within.font || rule == Rule::FontFace;
                    if self.rules {
                        self.nested(parser, Within { font, strings: false, ..within });
                    }
                    rule = Rule::None;
                    self.imports &= !top;
                    continue;
                }
                Token::ParenthesisBlock | Token::SquareBracketBlock if rule == Rule::None => {
                    self.nested(parser, within);
                }
                _ => {}
            }
            match rule {
                // Only what stands right after `@import` is its address.
                Rule::Import => rule = Rule::Prelude,
                Rule::None => self.imports &= !top,
                _ => {}
            }
        }
    }

    fn at_rule(&mut self, name: &str, top: bool) -> Rule {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("import") && top && self.imports {
            return Rule::Import;
        }
        // `@layer a, b;` may stand before imports; a block of it ends them like any other.
        if top && !is("charset") && !is("layer") && !is("import") {
            self.imports = false;
        }
        if is("font-face") { Rule::FontFace } else { Rule::Prelude }
    }

    fn nested(&mut self, parser: &mut Parser<'_>, within: Within) {
        if within.depth >= NESTING {
            // The parser skips it when it goes on.
            self.too_deep = true;
            return;
        }
        let within = Within { depth: within.depth + 1, ..within };
        let _: Result<(), ParseError<()>> = parser.parse_nested_block(|parser| {
            self.block(parser, within);
            Ok(())
        });
    }

    /// The string of `url("…")`; modifiers may follow it.
    fn address(&mut self, parser: &mut Parser<'_>, within: Within, rule: Rule) {
        let _: Result<(), ParseError<()>> = parser.parse_nested_block(|parser| {
            if let Ok(Token::QuotedString(text)) = parser.next().cloned() {
                self.take(&text, within, rule);
            }
            while parser.next().is_ok() {}
            Ok(())
        });
    }

    fn take(&mut self, reference: &str, within: Within, rule: Rule) {
        let class = match rule {
            Rule::Import => RequisiteClass::Stylesheet,
            Rule::FontFace | Rule::Prelude => return,
            Rule::None if within.font => RequisiteClass::Font,
            Rule::None => RequisiteClass::OtherImage,
        };
        (self.found)(reference, class);
    }
}
