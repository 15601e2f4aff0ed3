//! `srcset` and `imagesrcset` (WHATWG HTML §4.8.4.3.10, parsing a srcset attribute).

/// Most candidates of one attribute.
pub const CANDIDATES: usize = 64;

/// The addresses of all candidates, since which one a browser takes depends on its window; and
/// whether there were more.
pub fn candidates(value: &str) -> (Vec<&str>, bool) {
    let mut found = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        if rest.is_empty() || found.len() == CANDIDATES {
            return (found, !rest.is_empty());
        }
        let (url, after) = rest.split_at(rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len()));
        // A comma at the end belongs to the list, one inside to the address.
        found.push(url.trim_end_matches(','));
        rest = if url.ends_with(',') { after } else { &after[descriptor(after)..] };
    }
}

/// Length of what stands between an address and the comma that ends its candidate: a comma in
/// parentheses does not.
fn descriptor(text: &str) -> usize {
    let mut within = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => within = true,
            b')' => within = false,
            b',' if !within => return at,
            _ => {}
        }
    }
    text.len()
}
