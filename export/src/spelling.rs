//! The spellings in which a page may hold a value: other letter case, percent signs, entities, escapes
//! of scripts, Base64, UTF-16 and older character sets.

use data_encoding::{BASE64, BASE64URL};

/// Shortest part of a value that a Base64 spelling is looked for by, in characters: below it, ordinary
/// text would match.
const BASE64_CHARS: usize = 8;

/// Byte strings that are looked for in any letter case.
pub fn folded(value: &str) -> Vec<Vec<u8>> {
    let mut all = vec![value.as_bytes().to_vec()];
    for other in [value.to_lowercase(), value.to_uppercase()] {
        all.push(other.into_bytes());
    }
    let utf16 = |bytes: fn(u16) -> [u8; 2]| value.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    all.push(utf16(u16::to_le_bytes));
    all.push(utf16(u16::to_be_bytes));
    if !value.is_ascii() {
        let sets = [
            encoding_rs::WINDOWS_1252,
            encoding_rs::WINDOWS_1251,
            encoding_rs::KOI8_R,
            encoding_rs::ISO_8859_2,
            encoding_rs::ISO_8859_7,
            encoding_rs::IBM866,
            encoding_rs::SHIFT_JIS,
            encoding_rs::GB18030,
            encoding_rs::BIG5,
            encoding_rs::EUC_KR,
        ];
        for set in sets {
            for text in [value.to_owned(), value.to_lowercase(), value.to_uppercase()] {
                let (bytes, _, lossy) = set.encode(&text);
                if !lossy {
                    all.push(bytes.into_owned());
                }
            }
        }
    }
    tidy(all)
}

/// Byte strings that are looked for as they are: what each Base64 alphabet makes of the value at each
/// place in a group of three bytes, without the characters that its neighbours decide.
pub fn exact(value: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for lead in 0..3_usize {
        let mut bytes = vec![0; lead];
        bytes.extend_from_slice(value.as_bytes());
        // The first characters hold bits of what stands before, the last ones of what comes after.
        let first = [0, 2, 3][lead];
        let whole = bytes.len() * 8 / 6;
        for alphabet in [BASE64, BASE64URL] {
            let text = alphabet.encode(&bytes);
            if let Some(part) = text.get(first..whole)
                && part.len() >= BASE64_CHARS
            {
                all.push(part.as_bytes().to_vec());
            }
        }
    }
    tidy(all)
}

fn tidy(mut all: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    all.sort();
    all.dedup();
    all.retain(|bytes| !bytes.is_empty());
    all
}

/// Bytes with escapes undone, and for each of them where it came from.
pub struct View {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Start of each byte in the original; one more for the end.
    pub from: Vec<usize>,
}

/// Undoes percent signs (RFC 3986), character references of HTML and escapes of JSON and scripts, as often
/// as they are nested, at most three times. `None` when there is nothing to undo.
pub fn undone(bytes: &[u8]) -> Option<View> {
    let mut view: Option<View> = None;
    for _ in 0..3 {
        let source = view.as_ref().map_or(bytes, |view| &view.bytes);
        let Some(next) = once(source) else { break };
        view = Some(match view {
            None => next,
            Some(before) => View {
                from: next.from.iter().map(|place| before.from.get(*place).copied().unwrap_or(bytes.len())).collect(),
                bytes: next.bytes,
            },
        });
    }
    view
}

fn once(bytes: &[u8]) -> Option<View> {
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'&' | b'\\')) {
        return None;
    }
    let mut view = View { bytes: Vec::with_capacity(bytes.len()), from: Vec::with_capacity(bytes.len() + 1) };
    let (mut at, mut changed) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let found = match byte {
            b'%' => percent(rest),
            b'&' => reference(rest),
            b'\\' => escape(rest),
            _ => None,
        };
        let (text, length) = found.unwrap_or_else(|| (vec![byte], 1));
        changed |= length > 1;
        view.from.extend(std::iter::repeat_n(at, text.len()));
        view.bytes.extend(text);
        at += length;
    }
    view.from.push(bytes.len());
    changed.then_some(view)
}

fn hex(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(text, 16).ok()
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    char::from_u32(code).map(|character| character.to_string().into_bytes())
}

fn percent(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let byte = hex(rest.get(1..3)?)?;
    Some((vec![u8::try_from(byte).ok()?], 3))
}

/// `&#64;`, `&#x40;`, and the names that stand for ASCII and for nothing seen (HTML, *Named character references*).
fn reference(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    const NAMED: [(&[u8], &str); 15] = [
        (b"amp", "&"),
        (b"lt", "<"),
        (b"gt", ">"),
        (b"quot", "\""),
        (b"apos", "'"),
        (b"commat", "@"),
        (b"period", "."),
        (b"lowbar", "_"),
        (b"hyphen", "-"),
        (b"sol", "/"),
        (b"num", "#"),
        (b"nbsp", " "),
        (b"shy", ""),
        (b"zwj", ""),
        (b"zwnj", ""),
    ];
    const LONGEST: usize = 12;
    let end = rest.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let name = rest.get(1..end)?;
    let text = match name.strip_prefix(b"#") {
        Some(number) => {
            let code = match number.strip_prefix(b"x").or(number.strip_prefix(b"X")) {
                Some(digits) => hex(digits)?,
                None => std::str::from_utf8(number).ok()?.parse().ok()?,
            };
            utf8(code)?
        }
        None => NAMED.iter().find(|(known, _)| *known == name)?.1.as_bytes().to_vec(),
    };
    Some((text, end + 1))
}

/// `\u0040`, `\u{40}`, `\x40`, `\/` and escaped quotes.
fn escape(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    match rest.get(1)? {
        b'u' if rest.get(2) == Some(&b'{') => {
            let end = rest.iter().take(11).position(|byte| *byte == b'}')?;
            Some((utf8(hex(rest.get(3..end)?)?)?, end + 1))
        }
        b'u' => {
            let first = hex(rest.get(2..6)?)?;
            if let (0xD800..=0xDBFF, Some(b"\\u")) = (first, rest.get(6..8)) {
                let second = hex(rest.get(8..12)?)?;
                let code = 0x1_0000 + ((first - 0xD800) << 10) + second.checked_sub(0xDC00)?;
                return Some((utf8(code)?, 12));
            }
            Some((utf8(first)?, 6))
        }
        b'x' => Some((utf8(hex(rest.get(2..4)?)?)?, 4)),
        byte @ (b'/' | b'"' | b'\'' | b'\\') => Some((vec![*byte], 2)),
        _ => None,
    }
}
