//! Pages to measure with: each 80,000 bytes, different, and made in no time.

use bytes::Bytes;
use std::fmt::Write;

use super::reply::{self, Ask, Reply};

/// Pages under `/page/0` … `/page/999`.
pub const PAGES: usize = 1000;
/// Length of each, in bytes.
pub const PAGE_BYTES: usize = 80_000;

pub(super) fn answer(ask: &Ask) -> Reply {
    let path = ask.uri.path();
    if path == "/" {
        return reply::body(200, "text/html; charset=utf-8", index());
    }
    match path.strip_prefix("/page/").and_then(|n| n.parse().ok()) {
        Some(number) if number < PAGES => reply::body(200, "text/html; charset=utf-8", page(number)),
        _ => reply::text(404, "no such page"),
    }
}

fn index() -> String {
    let mut html = String::from("<!DOCTYPE html><html lang=en><title>Bulk</title><h1>Bulk</h1><ul>");
    for number in 0..PAGES {
        let _ = write!(html, "<li><a href=/page/{number}>page {number}</a>");
    }
    html + "</ul></html>"
}

/// A page of running text whose words depend on its number, so that pages do not compress alike.
pub fn page(number: usize) -> Bytes {
    const WORDS: [&str; 16] = [
        "lot", "brass", "shell", "clock", "carved", "box", "linen", "old", "print", "glass", "horn", "map", "chair",
        "button", "wool", "coin",
    ];
    let mut html = format!(
        "<!DOCTYPE html><html lang=en><head><title>Page {number}</title></head><body><h1>Page {number}</h1>\
         <p><a href=/page/{}>next</a></p>\n<p>",
        (number + 1) % PAGES
    );
    const END: &str = "</p></body></html>\n";
    // A linear congruence (Knuth, MMIX): the same page each time, unlike its neighbours.
    let mut state = number as u64;
    while html.len() < PAGE_BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = WORDS[(state >> 60) as usize];
        let _ = write!(html, "{word} {} ", (state >> 40) & 0xffff);
        if (state >> 36) & 0xf == 0 {
            html.push_str("</p>\n<p>");
        }
    }
    html.truncate(PAGE_BYTES - END.len());
    html.push_str(END);
    Bytes::from(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_their_size_and_differ() {
        assert!((0..PAGES).step_by(37).all(|n| page(n).len() == PAGE_BYTES));
        assert_ne!(page(1), page(2));
        assert_eq!(page(7), page(7));
    }
}
