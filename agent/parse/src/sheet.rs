//! What a stylesheet refers to (CSS Syntax Level 3): imports, fonts, images.

use cssparser::{ParseError, Parser, Token};
use vigie_wire::parse::{RequisiteClass, Stylesheet};

use crate::refs::{Base, Requisites};

/// Deepest nesting of blocks that is followed.
const DEPTH: u32 = 32;

/// Reads a stylesheet's references, resolved against its own address.
pub fn read(url: &str, text: &str) -> Stylesheet {
    let mut requisites = Requisites::default();
    collect(&Base::new(url), text, &mut requisites);
    let mut warnings = Vec::new();
    if requisites.full {
        warnings.push("the stylesheet refers to more than can be listed".to_owned());
    }
    Stylesheet { requisites: requisites.list, warnings }
}

/// Adds the references of a sheet, a style element or a style attribute.
pub fn collect(base: &Base, text: &str, requisites: &mut Requisites) {
    let mut parser = Parser::new(text);
    walk(&mut parser, base, requisites, false, 0);
}

/// Walks tokens; `font` inside an `@font-face` block.
fn walk(parser: &mut Parser<'_>, base: &Base, requisites: &mut Requisites, font: bool, depth: u32) {
    let mut import = false;
    let mut at_font = false;
    while let Ok(token) = parser.next_including_whitespace_and_comments().cloned() {
        match token {
            Token::AtKeyword(name) => {
                import = name.eq_ignore_ascii_case("import");
                at_font = name.eq_ignore_ascii_case("font-face");
            }
            Token::QuotedString(text) if import => {
                requisites.add(base.resolve(&text), RequisiteClass::Stylesheet);
                import = false;
            }
            Token::UnquotedUrl(text) => {
                requisites.add(base.resolve(&text), class(import, font));
                import = false;
            }
            Token::Semicolon => import = false,
            Token::Function(name) if name.eq_ignore_ascii_case("url") || name.eq_ignore_ascii_case("src") => {
                let found = parser.parse_nested_block(|inner| Ok::<String, ParseError<()>>(inner.expect_string()?.to_string()));
                if let Ok(text) = found {
                    requisites.add(base.resolve(&text), class(import, font));
                }
                import = false;
            }
            Token::Function(_) | Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock => {
                let font = font || (at_font && matches!(token, Token::CurlyBracketBlock));
                at_font = false;
                if depth < DEPTH {
                    let _ = parser.parse_nested_block(|inner| {
                        walk(inner, base, requisites, font, depth + 1);
                        Ok::<(), ParseError<()>>(())
                    });
                }
            }
            _ => {}
        }
    }
}

fn class(import: bool, font: bool) -> RequisiteClass {
    match (import, font) {
        (true, _) => RequisiteClass::Stylesheet,
        (_, true) => RequisiteClass::Font,
        _ => RequisiteClass::OtherImage,
    }
}
