//! The text of an entry (store/FORMAT.md, "The entry"), read strictly: there is one spelling.

/// What the checks need of it.
pub struct Entry {
    pub sequence: u64,
    pub kind: String,
    pub time: String,
    pub mandate: Option<String>,
    pub session: Option<String>,
    pub exhibit: Option<u64>,
    /// SHA-256 and length of the sealed exhibit.
    pub age: Option<(String, u64)>,
    pub digests: Vec<(String, String)>,
    pub commits: Vec<(String, String)>,
}

/// Why a text is none.
pub enum NoEntry {
    /// Of a later format.
    Newer(String),
    /// Not in its one spelling.
    Malformed,
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn hex(text: &str, bytes: usize) -> Option<&str> {
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (text.len() == 2 * bytes && lower).then_some(text)
}

fn sized(text: &str) -> Option<(String, u64)> {
    let (sum, length) = text.split_once(' ')?;
    Some((hex(sum, 32)?.to_owned(), number(length)?))
}

fn is_time(text: &str) -> bool {
    let shape = text.len() == 30
        && text
            .bytes()
            .zip("dddd-dd-ddTdd:dd:dd.dddddddddZ".bytes())
            .all(|(b, shape)| if shape == b'd' { b.is_ascii_digit() } else { b == shape });
    shape && text.parse::<jiff::Timestamp>().is_ok() && !text.contains(":60")
}

fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Reads one.
pub fn parse(bytes: &[u8]) -> Result<Entry, NoEntry> {
    let text = std::str::from_utf8(bytes).map_err(|_| NoEntry::Malformed)?;
    let first = text.lines().next().unwrap_or_default();
    if let Some(version) = first.strip_prefix("vigie.entry/")
        && version != "1"
        && number(version).is_some()
    {
        return Err(NoEntry::Newer(first.to_owned()));
    }
    read(text).ok_or(NoEntry::Malformed)
}

fn read(text: &str) -> Option<Entry> {
    if !text.is_ascii() {
        return None;
    }
    let mut lines = text.strip_suffix('\n')?.split('\n').peekable();
    (lines.next()? == "vigie.entry/1").then_some(())?;
    let mut value = |name: &str| {
        let found = lines.peek()?.strip_prefix(name)?.strip_prefix(' ')?;
        lines.next();
        Some(found)
    };
    let sequence = number(value("seq")?)?;
    let kind = value("kind").filter(|kind| is_name(kind))?.to_owned();
    let time = value("time").filter(|time| is_time(time))?.to_owned();
    number(value("mono")?)?;
    let boot = value("boot")?;
    ((1..=64).contains(&boot.len()) && boot.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')).then_some(())?;
    matches!(value("clock")?, "synchronised" | "unsynchronised" | "unknown").then_some(())?;
    let optional = |found: Option<&str>, bytes: usize| match found {
        None => Some(None),
        Some(found) => hex(found, bytes).map(|found| Some(found.to_owned())),
    };
    let mandate = optional(value("mandate"), 32)?;
    let session = optional(value("session"), 16)?;
    let exhibit = match value("exhibit") {
        None => None,
        Some(found) => Some(number(found).filter(|number| *number > 0)?),
    };
    let age = match value("age") {
        None => None,
        Some(found) => Some(sized(found)?),
    };
    if (kind == "exhibit") != exhibit.is_some() || exhibit.is_some() != age.is_some() {
        return None;
    }
    if let Some(found) = value("private") {
        sized(found)?;
    }
    hex(value("prev")?, 32)?;
    let mut list = |name: &str| {
        let mut all: Vec<(String, String)> = Vec::new();
        while let Some(found) = value(name) {
            let (own, sum) = found.split_once(' ')?;
            let ascends = all.last().is_none_or(|(last, _)| last.as_str() < own);
            (is_name(own) && ascends && all.len() < 64).then_some(())?;
            all.push((own.to_owned(), hex(sum, 32)?.to_owned()));
        }
        Some(all)
    };
    let digests = list("digest")?;
    let commits = list("commit")?;
    lines.next().is_none().then_some(Entry { sequence, kind, time, mandate, session, exhibit, age, digests, commits })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> String {
        let sum = "ab".repeat(32);
        format!(
            "vigie.entry/1\nseq 12\nkind exhibit\ntime 2026-11-24T02:14:00.000000007Z\nmono 99\nboot 5f-0c\nclock unknown\n\
             mandate {sum}\nsession {}\nexhibit 3\nage {sum} 81000\nprivate {sum} 700\nprev {sum}\ndigest a {sum}\n\
             commit plaintext {sum}\ncommit url {sum}\n",
            "cd".repeat(16)
        )
    }

    #[test]
    fn one_spelling_is_read() {
        let entry = read(&text()).expect("an entry");
        assert_eq!((entry.sequence, entry.exhibit, entry.commits.len()), (12, Some(3), 2));
        for (from, to) in [
            ("seq 12", "seq 012"),
            ("seq 12", "seq +12"),
            ("exhibit 3", "exhibit 0"),
            ("kind exhibit", "kind read"),
            ("clock unknown", "clock good"),
            ("00.000000007Z", "00.00000007Z"),
            ("commit url", "commit plaintext"),
            ("mono 99", "mono 99 "),
            ("abab", "ABab"),
        ] {
            assert!(read(&text().replacen(from, to, 1)).is_none(), "{from} -> {to}");
        }
        assert!(
            read(text().trim_end()).is_none()
                && read(&(text() + "\n")).is_none()
                && read(&(text() + "x y\n")).is_none()
        );
        assert!(matches!(parse(text().replace("entry/1", "entry/2").as_bytes()), Err(NoEntry::Newer(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_entry_or_none(at in 0usize..600, byte: u8, cut in 0usize..700) {
            let mut bytes = text().into_bytes();
            if let Some(own) = bytes.get_mut(at) { *own = byte; }
            bytes.truncate(cut);
            let _ = parse(&bytes);
        }
    }
}
