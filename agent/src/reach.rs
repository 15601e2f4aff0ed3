//! How a target could be reached over time: spans of like attempts, a line of blocks for a terminal, a
//! drawing (SVG 1.1).

use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// The page was recorded.
    Answered,
    /// Something else was recorded: a login, a queue, an error of the server.
    Obstructed,
    /// The service itself refused.
    Down,
    /// Nothing came, and nothing can be said of the far side.
    Unknown,
}

impl Came {
    const ALL: [Self; 4] = [Self::Answered, Self::Obstructed, Self::Unknown, Self::Down];

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answers",
            Self::Obstructed => "obstructed",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Answered => "#2e7d32",
            Self::Obstructed => "#f9a825",
            Self::Down => "#b71c1c",
            Self::Unknown => "#9e9e9e",
        }
    }
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When its entry was written.
    pub time: Timestamp,
    /// What it came to.
    pub came: Came,
    /// The reason by name; empty when the page was recorded.
    pub reason: String,
}

/// Attempts in a row that came to the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first of them.
    pub from: Timestamp,
    /// The last of them.
    pub until: Timestamp,
    /// How many.
    pub attempts: u64,
    /// What they came to.
    pub came: Came,
    /// The reason by name; empty when the page was recorded.
    pub reason: String,
}

/// Attempts as spans, oldest first.
pub fn spans(attempts: &[Attempt]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for attempt in attempts {
        match spans.last_mut() {
            Some(span) if span.came == attempt.came && span.reason == attempt.reason => {
                span.until = attempt.time;
                span.attempts += 1;
            }
            _ => spans.push(Span {
                from: attempt.time,
                until: attempt.time,
                attempts: 1,
                came: attempt.came,
                reason: attempt.reason.clone(),
            }),
        }
    }
    spans
}

/// Counts by what attempts came to, in the order of [`Came::ALL`].
type Counts = [u32; 4];

/// Attempts in equal parts of a time.
fn parts(attempts: &[Attempt], from: Timestamp, until: Timestamp, count: usize) -> Vec<Counts> {
    let mut parts = vec![Counts::default(); count];
    let length = (until.as_nanosecond() - from.as_nanosecond()).max(1);
    for attempt in attempts {
        let since = (attempt.time.as_nanosecond() - from.as_nanosecond()).clamp(0, length);
        let place = usize::try_from(since * count as i128 / length).unwrap_or(0).min(count.saturating_sub(1));
        let kind = Came::ALL.iter().position(|came| *came == attempt.came).unwrap_or(0);
        if let Some(part) = parts.get_mut(place) {
            part[kind] += 1;
        }
    }
    parts
}

/// A line of `count` characters: the higher the block, the larger the share of attempts in that part of the
/// time that were answered; `x` when none was, `!` when the service itself refused, a space when there was none.
pub fn sparkline(attempts: &[Attempt], from: Timestamp, until: Timestamp, count: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    parts(attempts, from, until, count)
        .into_iter()
        .map(|[answered, obstructed, unknown, down]| {
            let (good, all) = (answered + obstructed, answered + obstructed + unknown + down);
            match (good, all) {
                (_, 0) => ' ',
                (0, _) if down > 0 => '!',
                (0, _) => 'x',
                _ => BLOCKS[(((good * 8).div_ceil(all)) as usize).clamp(1, 8) - 1],
            }
        })
        .collect()
}

/// Most parts that a drawing has.
const PARTS: usize = 120;
/// Width of one part, height of one row and of its bars, width of the names, in pixels.
const PART_PX: usize = 6;
const ROW_PX: usize = 34;
const BAR_PX: u32 = 24;
const NAMES_PX: usize = 190;

/// A drawing of all targets over one time axis. Colours are not alone: each part has a title in words.
pub fn svg(targets: &[(String, Vec<Attempt>)], from: Timestamp, until: Timestamp) -> String {
    let width = NAMES_PX + PARTS * PART_PX + 20;
    let height = targets.len() * ROW_PX + 90;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<title>Reachability of targets, {from} to {until}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (row, (name, attempts)) in targets.iter().enumerate() {
        let top = row * ROW_PX + 10;
        let _ = writeln!(out, "<text x=\"10\" y=\"{}\">{}</text>", top + 17, escaped(name));
        for (place, counts) in parts(attempts, from, until, PARTS).into_iter().enumerate() {
            part(&mut out, NAMES_PX + place * PART_PX, top, counts);
        }
    }
    let axis = targets.len() * ROW_PX + 24;
    let right = NAMES_PX + PARTS * PART_PX;
    let _ = writeln!(
        out,
        "<line x1=\"{NAMES_PX}\" y1=\"{0}\" x2=\"{right}\" y2=\"{0}\" stroke=\"#000000\"/>\n\
         <text x=\"{NAMES_PX}\" y=\"{1}\">{from:.0}</text>\n<text x=\"{right}\" y=\"{1}\" text-anchor=\"end\">{until:.0}</text>",
        axis - 12,
        axis + 6
    );
    for (place, came) in Came::ALL.into_iter().enumerate() {
        let left = NAMES_PX + place * 130;
        let _ = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>\n<text x=\"{}\" y=\"{}\">{}</text>",
            axis + 24,
            came.colour(),
            left + 18,
            axis + 35,
            came.word()
        );
    }
    out.push_str("</svg>\n");
    out
}

/// One part of a row: its attempts stacked by their shares.
fn part(out: &mut String, left: usize, top: usize, counts: Counts) {
    let all: u32 = counts.iter().sum();
    if all == 0 {
        return;
    }
    let said: Vec<_> = Came::ALL
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(came, count)| format!("{count} {}", came.word()))
        .collect();
    let _ = writeln!(out, "<g><title>{}</title>", said.join(", "));
    let mut below = 0;
    let mut sum = 0;
    for (came, count) in Came::ALL.iter().zip(counts).filter(|(_, count)| *count > 0) {
        sum += count;
        // Rounded from the bottom, so that the shares fill the bar.
        let above = (u64::from(BAR_PX) * u64::from(sum)).div_ceil(u64::from(all));
        let (y, height) = (top as u64 + u64::from(BAR_PX) - above, above - below);
        let (wide, colour) = (PART_PX - 1, came.colour());
        let _ = writeln!(out, "<rect x=\"{left}\" y=\"{y}\" width=\"{wide}\" height=\"{height}\" fill=\"{colour}\"/>");
        below = above;
    }
    out.push_str("</g>\n");
}

/// Text within XML; control characters, which XML has no way to write, are replaced.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            '"' => "&quot;".to_owned(),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => "\u{fffd}".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn attempt(second: i64, came: Came, reason: &str) -> Attempt {
        Attempt { time: at(second), came, reason: reason.into() }
    }

    #[test]
    fn like_attempts_are_one_span() {
        let attempts = [
            attempt(0, Came::Answered, ""),
            attempt(5, Came::Answered, ""),
            attempt(6, Came::Unknown, "timeout"),
            attempt(7, Came::Unknown, "rendezvous"),
            attempt(8, Came::Answered, ""),
        ];
        let spans = spans(&attempts);
        let seen: Vec<_> =
            spans.iter().map(|s| (s.from.as_second(), s.until.as_second(), s.attempts, s.came)).collect();
        assert_eq!(
            seen,
            [(0, 5, 2, Came::Answered), (6, 6, 1, Came::Unknown), (7, 7, 1, Came::Unknown), (8, 8, 1, Came::Answered)]
        );
    }

    #[test]
    fn blocks_show_the_share_that_was_answered() {
        let line = |attempts: &[Attempt], count| sparkline(attempts, at(0), at(100), count);
        let mut attempts = vec![attempt(0, Came::Answered, ""), attempt(30, Came::Unknown, "timeout")];
        assert_eq!(line(&attempts, 4), "█x  ");
        attempts.push(attempt(35, Came::Obstructed, "login"));
        attempts.push(attempt(99, Came::Down, "stream-refused"));
        attempts.push(attempt(100, Came::Unknown, "timeout"));
        assert_eq!(line(&attempts, 4), "█▄ !");
        assert_eq!(line(&[], 3), "   ");
        assert_eq!(sparkline(&[attempt(5, Came::Answered, "")], at(5), at(5), 3), "█  ", "a moment alone");
    }

    proptest! {
        /// As many characters as asked for; every attempt is in some part; the drawing is XML and full height.
        #[test]
        fn whatever_happened(seconds in prop::collection::vec((0i64..10_000, 0usize..4), 0..200), count in 1usize..100, name in ".{0,20}") {
            let attempts: Vec<_> = seconds.iter().map(|(second, came)| attempt(*second, Came::ALL[*came], "")).collect();
            let line = sparkline(&attempts, at(0), at(10_000), count);
            prop_assert_eq!(line.chars().count(), count);
            let counted: u32 = parts(&attempts, at(0), at(10_000), count).iter().flatten().sum();
            prop_assert_eq!(counted as usize, attempts.len());
            prop_assert_eq!(spans(&attempts).iter().map(|span| span.attempts).sum::<u64>() as usize, attempts.len());
            let drawn = svg(&[(name, attempts)], at(0), at(10_000));
            prop_assert_eq!(drawn.matches("<g>").count(), drawn.matches("</g>").count());
            prop_assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
            prop_assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()));
            for tag in drawn.split('<').skip(1) {
                prop_assert!(["svg ", "/svg>", "title>", "/title>", "rect ", "g>", "/g>", "text ", "/text>", "line "].iter().any(|known| tag.starts_with(known)), "{}", tag);
            }
        }
    }
}
