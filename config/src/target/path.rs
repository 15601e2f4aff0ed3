//! Paths and the patterns of a mandate. Servers read one path in many ways: decoded once or
//! several times, with dot segments resolved, slashes folded, `;parameters` cut off, or an encoded
//! `?` taken for a real one. A pattern is therefore tested against every reading: what is included
//! must be included at all of them, what is excluded may be met at none.

use std::collections::BTreeSet;

use percent_encoding::percent_decode;

/// A path that is still encoded after so many decodings is refused.
const DECODINGS: usize = 5;
/// Longest pattern, in bytes.
const PATTERN_BYTES: usize = 1000;

/// One way to read a path and its query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reading {
    path: String,
    query: Option<String>,
    /// Something in it is still encoded that every server decodes.
    raw: bool,
}

impl Reading {
    fn full(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// Every reading of a path with its query (origin form, canonical); `None` when the path hides
/// control characters, a backslash, overlong UTF-8 or `%uXXXX`, or is encoded without end.
pub(crate) fn readings(text: &str) -> Option<Vec<Reading>> {
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let levels = path_levels(path)?;
    let stands_for_itself = |level: usize, of: usize| level > 0 || of == 1;
    let mut paths = BTreeSet::new();
    for (at, level) in levels.iter().enumerate() {
        let raw = !stands_for_itself(at, levels.len());
        paths.extend(variants(&String::from_utf8_lossy(level)).into_iter().map(|(path, tail)| (path, tail, raw)));
    }
    let queries: Vec<(Option<String>, bool)> = match query {
        None => vec![(None, false)],
        Some(query) => {
            let levels = query_levels(query)?;
            let of = levels.len();
            levels.into_iter().enumerate().map(|(at, query)| (Some(query), !stands_for_itself(at, of))).collect()
        }
    };
    let mut found = BTreeSet::new();
    for (path, tail, raw_path) in paths {
        for (query, raw_query) in &queries {
            let query = match (&tail, query) {
                (Some(tail), Some(query)) => Some(format!("{tail}?{query}")),
                (Some(tail), None) => Some(tail.clone()),
                (None, query) => query.clone(),
            };
            found.insert(Reading { path: path.clone(), query, raw: raw_path || *raw_query });
        }
    }
    Some(found.into_iter().collect())
}

/// Decoded until stable, dot segments resolved, slashes folded, without query.
pub(crate) fn normal(text: &str) -> Option<String> {
    let path = text.split('?').next().unwrap_or_default();
    let levels = path_levels(path)?;
    Some(fold(&resolve(&String::from_utf8_lossy(levels.last()?))))
}

/// The path decoded 0 … n times. At level 0 only bytes outside ASCII are decoded: they have no
/// other meaning, and a pattern may be written in any script.
fn path_levels(path: &str) -> Option<Vec<Vec<u8>>> {
    let mut levels = vec![decode_high(path.as_bytes())];
    loop {
        let last = levels.last()?;
        if !is_plain(last) {
            return None;
        }
        let next: Vec<u8> = percent_decode(last).collect();
        if next == *last {
            return Some(levels);
        }
        if levels.len() > DECODINGS {
            return None;
        }
        levels.push(next);
    }
}

/// Nothing in it that servers read in ways nobody can list.
fn is_plain(bytes: &[u8]) -> bool {
    let overlong = |pair: &[u8]| matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]);
    let unicode_escape =
        |six: &[u8]| six[0] == b'%' && six[1].eq_ignore_ascii_case(&b'u') && six[2..].iter().all(u8::is_ascii_hexdigit);
    !bytes.iter().any(|b| b.is_ascii_control() || *b == b'\\')
        && !bytes.windows(2).any(overlong)
        && !bytes.windows(6).any(unicode_escape)
}

/// The query decoded 0 … n times, `%uXXXX` and overlong UTF-8 read as lenient servers do. A query
/// is data of the page's own, so odd bytes in it are no reason to refuse.
fn query_levels(query: &str) -> Option<Vec<String>> {
    let mut last = decode_high(query.as_bytes());
    let mut levels = Vec::new();
    loop {
        levels.push(String::from_utf8_lossy(&last).into_owned());
        let next = shorten_overlong(&percent_decode(&decode_unicode_escapes(&last)).collect::<Vec<u8>>());
        if next == last {
            return Some(levels);
        }
        if levels.len() > DECODINGS {
            return None;
        }
        last = next;
    }
}

fn decode_high(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match bytes.get(at..at + 3).and_then(escape).filter(|value| !value.is_ascii()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// The value of `%XX`.
fn escape(three: &[u8]) -> Option<u8> {
    let [b'%', high, low] = three else { return None };
    let digit = |b: &u8| char::from(*b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn decode_unicode_escapes(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let value = match bytes.get(at..at + 6) {
            Some([b'%', b'u' | b'U', hex @ ..]) => std::str::from_utf8(hex).ok().and_then(|hex| {
                let plain = hex.bytes().all(|b| b.is_ascii_hexdigit());
                plain.then(|| u32::from_str_radix(hex, 16).ok()).flatten().and_then(char::from_u32)
            }),
            _ => None,
        };
        match value {
            Some(value) => {
                decoded.extend(value.encode_utf8(&mut [0; 4]).bytes());
                at += 6;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// Two-byte forms of ASCII characters as the character.
fn shorten_overlong(bytes: &[u8]) -> Vec<u8> {
    let mut short = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (0xc0 | 0xc1, Some(next @ 0x80..=0xbf)) => {
                short.push(((byte & 1) << 6) | (next & 0x3f));
                at += 2;
            }
            _ => {
                short.push(*byte);
                at += 1;
            }
        }
    }
    short
}

/// What one decoded path may mean, with what follows a `?` or `#` in it apart.
fn variants(path: &str) -> Vec<(String, Option<String>)> {
    let mut texts = vec![(path.to_owned(), None)];
    if let Some(at) = path.find(['?', '#']) {
        texts.push((path[..at].to_owned(), Some(path[at + 1..].to_owned())));
    }
    let bare: Vec<_> = texts.iter().map(|(path, tail)| (without_parameters(path), tail.clone())).collect();
    texts.extend(bare);
    let mut found = BTreeSet::new();
    for (path, tail) in texts {
        found.insert((fold(&resolve(&path)), tail.clone()));
        found.insert((resolve(&fold(&path)), tail.clone()));
        found.insert((path, tail));
    }
    found.into_iter().collect()
}

/// Each segment up to its first `;` (RFC 3986 section 3.3).
fn without_parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

/// Dot segments removed (RFC 3986 section 5.2.4).
fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in path.split('/').skip(1) {
        open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    if open {
        // `/a/.` and `/a/b/..` are the folder `/a/`.
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

/// Repeated slashes as one.
fn fold(path: &str) -> String {
    let mut folded = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !folded.ends_with('/') {
            folded.push(c);
        }
    }
    folded
}

/// A pattern of paths, written decoded: `*` stands for any characters but `/`, `**` for any
/// characters; all else stands for itself. A pattern with `?` is compared with path and query, any
/// other with the path.
#[derive(Clone, Debug)]
pub struct PathPattern {
    tokens: Vec<Token>,
    /// The same in lower case, for excluding.
    folded: Vec<Token>,
    with_query: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Begins otherwise: would never be met.
    #[error("a path pattern begins with / or **")]
    NoSlash,
    /// Too long.
    #[error("a path pattern has at most 1,000 bytes")]
    TooLong,
    /// Characters that no path has.
    #[error("a path pattern holds no control character, backslash or #")]
    Character,
    /// `%41`.
    #[error("a path pattern is written decoded: write the character instead of its %XX")]
    Encoded,
    /// `***`.
    #[error("a path pattern knows * (within a segment) and ** (anything), no more stars in a row")]
    Stars,
    /// Would never be met, which for an exclude pattern is dangerous.
    #[error("a path pattern holds no //, /./ or /../: such a pattern would never be met")]
    NeverMet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    Star,
    Stars,
}

impl PathPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') && !text.starts_with("**") {
            return Err(PatternError::NoSlash);
        }
        if text.len() > PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        if text.contains(|c: char| c.is_control() || c == '\\' || c == '#') {
            return Err(PatternError::Character);
        }
        if text.contains('%') {
            return Err(PatternError::Encoded);
        }
        if text.contains("***") {
            return Err(PatternError::Stars);
        }
        let path = text.split('?').next().unwrap_or_default();
        if path.contains("//") || path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(PatternError::NeverMet);
        }
        Ok(Self { tokens: tokens(text), folded: tokens(&text.to_lowercase()), with_query: text.contains('?') })
    }

    /// The reading is one that the pattern means. A raw reading is left to its decoded ones: a
    /// pattern cannot be written so that it met both.
    pub(crate) fn includes(&self, reading: &Reading) -> bool {
        reading.raw || matches(&self.tokens, &if self.with_query { reading.full() } else { reading.path.clone() })
    }

    /// The reading may be one that the pattern means: letter case, what ends a file name on some
    /// systems, and a query do not count.
    pub(crate) fn excludes(&self, reading: &Reading) -> bool {
        let path = reading.path.to_lowercase();
        let full = reading.full().to_lowercase();
        let end = path.trim_end_matches(['/', '.', ' ']);
        [full.as_str(), &path, end].iter().any(|text| matches(&self.folded, text))
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        found.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => Token::Stars,
            '*' => Token::Star,
            other => Token::Char(other),
        });
    }
    found
}

/// All places of the pattern at once, so that no text takes more than its length times the
/// pattern's.
fn matches(pattern: &[Token], text: &str) -> bool {
    let mut at = vec![false; pattern.len() + 1];
    at[0] = true;
    skip_stars(pattern, &mut at);
    for c in text.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (place, token) in pattern.iter().enumerate().filter(|(place, _)| at[*place]) {
            match token {
                Token::Char(wanted) => next[place + 1] |= *wanted == c,
                Token::Star => next[place] |= c != '/',
                Token::Stars => next[place] = true,
            }
        }
        skip_stars(pattern, &mut next);
        at = next;
    }
    at[pattern.len()]
}

/// A star may stand for nothing.
fn skip_stars(pattern: &[Token], at: &mut [bool]) {
    for (place, token) in pattern.iter().enumerate() {
        if at[place] && !matches!(token, Token::Char(_)) {
            at[place + 1] = true;
        }
    }
}
