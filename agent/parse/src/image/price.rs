//! Is there a price in a text? A number beside a currency, in any of the ways people write it.

/// Currencies in lower case, by symbol, code and word.
const CURRENCIES: [&str; 62] = [
    "$",
    "€",
    "£",
    "¥",
    "₽",
    "₴",
    "₿",
    "₹",
    "₺",
    "ƀ",
    "eur",
    "euro",
    "euros",
    "usd",
    "gbp",
    "chf",
    "rub",
    "rur",
    "руб",
    "рублей",
    "р",
    "uah",
    "грн",
    "pln",
    "zł",
    "zl",
    "czk",
    "kč",
    "kc",
    "sek",
    "nok",
    "dkk",
    "kr",
    "huf",
    "ft",
    "btc",
    "xmr",
    "ltc",
    "eth",
    "usdt",
    "bch",
    "zec",
    "mbtc",
    "sats",
    "xbt",
    "satoshi",
    "usdc",
    "doge",
    "trx",
    "dollar",
    "dollars",
    "pounds",
    "francs",
    "franken",
    "cad",
    "aud",
    "jpy",
    "cny",
    "rmb",
    "vb",
    "ono",
    "obo",
];
/// Words before the number that make it a price without a currency.
const LABELS: [&str; 16] = [
    "price",
    "prix",
    "prijs",
    "preis",
    "precio",
    "цена",
    "asking",
    "vraagprijs",
    "startpreis",
    "startprijs",
    "festpreis",
    "richtprijs",
    "gebot",
    "bod",
    "enchère",
    "bid",
];
/// What stands in the place of a price, as the whole of a text.
const WORDS: [&str; 41] = [
    "on request",
    "price on request",
    "poa",
    "ask for price",
    "make an offer",
    "make offer",
    "best offer",
    "free",
    "for free",
    "giveaway",
    "trade",
    "for trade",
    "swap",
    "sur demande",
    "prix sur demande",
    "nous consulter",
    "à débattre",
    "prix à débattre",
    "faire offre",
    "gratuit",
    "à donner",
    "échange",
    "à échanger",
    "op aanvraag",
    "prijs op aanvraag",
    "n.o.t.k",
    "notk",
    "bieden",
    "gratis",
    "gratis af te halen",
    "ruil",
    "ruilen",
    "te ruil",
    "auf anfrage",
    "preis auf anfrage",
    "vb",
    "verhandlungsbasis",
    "kostenlos",
    "zu verschenken",
    "tausch",
    "zum tausch",
];
/// Longest text that is looked up among them, in bytes.
const WORD_BYTES: usize = 48;

/// Whether the whole of a text, but for the word for price before it, says what one pays: a price
/// in words, or that there is none.
pub fn is_word(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || text.len() > WORD_BYTES {
        return false;
    }
    let text = text.to_lowercase();
    let said =
        text.split_once(':').filter(|(label, _)| LABELS.contains(&label.trim())).map_or(&*text, |(_, said)| said);
    WORDS.contains(&said.trim_matches(|c: char| !c.is_alphanumeric()))
}

/// Whether a number in it ends as whole amounts do: `45,-` and `45.–`.
fn is_whole_amount(text: &str) -> bool {
    let mut before = [' '; 2];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends = !chars.peek().is_some_and(char::is_ascii_digit);
        if before[0].is_ascii_digit() && matches!(before[1], ',' | '.') && matches!(c, '-' | '–' | '—') && ends {
            return true;
        }
        before = [before[1], c];
    }
    false
}
/// What may stand between a number and its currency without changing anything: thousands.
const MULTIPLIERS: [&str; 6] = ["k", "т", "тыс", "mio", "m", "mln"];

#[derive(Clone, Copy, PartialEq)]
enum Last {
    Nothing,
    Number,
    Currency,
    /// A word that only counts before a number.
    Label,
}

/// Whether a price stands in the text.
pub fn is_in(text: &str) -> bool {
    let mut last = Last::Nothing;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let kind = Kind::of(c);
        let end = match kind {
            Kind::Symbol => c.len_utf8(),
            _ => rest.find(|other| Kind::of(other) != kind).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        rest = after;
        let now = match kind {
            Kind::Space => continue,
            Kind::Digit => Last::Number,
            Kind::Symbol => Last::Currency,
            Kind::Letter if token.len() <= 16 => {
                let token = token.to_lowercase();
                if CURRENCIES.contains(&token.as_str()) {
                    Last::Currency
                } else if LABELS.contains(&token.as_str()) {
                    Last::Label
                } else if MULTIPLIERS.contains(&token.as_str()) {
                    continue;
                } else {
                    Last::Nothing
                }
            }
            _ => Last::Nothing,
        };
        if matches!((last, now), (Last::Number, Last::Currency) | (Last::Currency | Last::Label, Last::Number)) {
            return true;
        }
        last = now;
    }
    is_whole_amount(text)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Digit,
    Letter,
    Symbol,
    /// Also what numbers are grouped with.
    Space,
    Other,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            '0'..='9' => Self::Digit,
            '$' | '€' | '£' | '¥' | '₽' | '₴' | '₿' | '₹' | '₺' => Self::Symbol,
            '.' | ',' | ':' | '\'' | '’' | '-' | '–' | '~' | '≈' | '(' => Self::Space,
            c if c.is_whitespace() => Self::Space,
            c if c.is_alphabetic() => Self::Letter,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_in, is_word};

    #[test]
    fn prices_are_seen_however_written() {
        for text in [
            "From: 200 $",
            "€ 1.250,00",
            "0.0123 BTC",
            "12k €",
            "USD 900",
            "1 200,00 €",
            "$2,900.00",
            "48 000 руб.",
            "15 т.р. пара",
            "90 000 р.",
            "600€",
            "Preis: 60 € VB",
            "kr 450",
            "€\u{a0}95,00",
            "2.5XMR",
            "Prix : 340",
            "45,- p.st.",
            "12.– das Paar",
            "60 VB",
        ] {
            assert!(is_in(text), "{text:?}");
        }
    }

    #[test]
    fn other_numbers_are_no_prices() {
        for text in [
            "",
            "204 topics",
            "12.03.2025, 14:02",
            "42 % EU",
            "40 gram",
            "€uro 2024 cup",
            "BTC accepted",
            "1 от 5",
            "12.-14. Mai",
            "3 bid",
            "price list",
        ] {
            assert!(!is_in(text), "{text:?}");
        }
    }

    #[test]
    fn words_stand_for_prices_only_alone() {
        for text in ["Free", " Prix sur demande. ", "Prijs: n.o.t.k.", "VB", "à échanger", "op aanvraag", "Preis: VB"]
        {
            assert!(is_word(text), "{text:?}");
        }
        for text in ["", "free shipping", "trade marks", "frei", "Ruilbeurs in mei", "Note: free"] {
            assert!(!is_word(text), "{text:?}");
        }
    }
}
