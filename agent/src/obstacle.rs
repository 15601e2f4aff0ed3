//! What a response says when it is not the page that was asked for: from what *parse* saw in it, else from
//! its status (RFC 9110 §15).

use std::time::Duration;

use vigie_wire::parse::{Obstacle, Page};

use crate::fetch::Exchange;
use crate::retry;

/// A word for what stands in the way, or `None` when nothing does.
pub fn find(status: u16, page: Option<&Page>) -> Option<&'static str> {
    let seen = page.and_then(|page| page.obstacles.first()).map(|obstacle| match obstacle {
        Obstacle::BlocksTor => "blocks-tor",
        Obstacle::Captcha => "captcha",
        Obstacle::WaitingRoom => "waiting-room",
        Obstacle::Login => "login",
        Obstacle::NeedsJavascript => "needs-javascript",
    });
    // What a page that is not there says beside it is not about the page that was asked for.
    match status {
        404 | 410 => Some("http-not-found"),
        _ if seen.is_some() => seen,
        0 => Some("http-malformed"),
        300..=399 => Some("http-redirect"),
        401 | 407 => Some("http-login"),
        403 => Some("http-forbidden"),
        429 => Some("http-rate-limited"),
        451 => Some("http-legal"),
        400..=499 => Some("http-client-error"),
        500..=599 => Some("http-server-error"),
        _ => None,
    }
}

/// How long to wait before the page is asked once more, when what stood in the way says *later*.
pub fn later(obstacle: &str, exchange: &Exchange, visit: u32) -> Option<Duration> {
    if !matches!(obstacle, "waiting-room" | "http-rate-limited" | "http-server-error") {
        return None;
    }
    // A date (RFC 9110 §10.2.3) counts as none: the server's clock is not ours.
    let asked = exchange.header("retry-after").and_then(|value| value.trim().parse().ok());
    retry::again(visit, asked, getrandom::u64().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(obstacles: &[Obstacle]) -> Page {
        Page { obstacles: obstacles.to_vec(), ..Page::default() }
    }

    #[test]
    fn statuses_and_pages() {
        let none = page(&[]);
        for (status, word) in [
            (200, None),
            (206, None),
            (0, Some("http-malformed")),
            (302, Some("http-redirect")),
            (401, Some("http-login")),
            (403, Some("http-forbidden")),
            (404, Some("http-not-found")),
            (410, Some("http-not-found")),
            (418, Some("http-client-error")),
            (429, Some("http-rate-limited")),
            (451, Some("http-legal")),
            (500, Some("http-server-error")),
            (503, Some("http-server-error")),
            (999, None),
        ] {
            assert_eq!(find(status, Some(&none)), word, "{status}");
            assert_eq!(find(status, None), word, "{status}");
        }
        // What the page itself says is more than its status.
        assert_eq!(find(503, Some(&page(&[Obstacle::WaitingRoom, Obstacle::NeedsJavascript]))), Some("waiting-room"));
        assert_eq!(find(200, Some(&page(&[Obstacle::Login]))), Some("login"));
        assert_eq!(find(403, Some(&page(&[Obstacle::BlocksTor]))), Some("blocks-tor"));
        assert_eq!(find(404, Some(&page(&[Obstacle::Login]))), Some("http-not-found"));
    }
}
