//! Is there a price in a text? A number beside a currency, in any of the ways people write it.

/// Currencies in lower case, by symbol, code and word.
const CURRENCIES: [&str; 44] = [
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
];
/// What may stand between a number and its currency without changing anything: thousands.
const MULTIPLIERS: [&str; 6] = ["k", "т", "тыс", "mio", "m", "mln"];

#[derive(Clone, Copy, PartialEq)]
enum Last {
    Nothing,
    Number,
    Currency,
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
                } else if MULTIPLIERS.contains(&token.as_str()) {
                    continue;
                } else {
                    Last::Nothing
                }
            }
            _ => Last::Nothing,
        };
        if matches!((last, now), (Last::Number, Last::Currency) | (Last::Currency, Last::Number)) {
            return true;
        }
        last = now;
    }
    false
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
    use super::is_in;

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
        ] {
            assert!(is_in(text), "{text:?}");
        }
    }

    #[test]
    fn other_numbers_are_no_prices() {
        for text in
            ["", "204 topics", "12.03.2025, 14:02", "42 % EU", "40 gram", "€uro 2024 cup", "BTC accepted", "1 от 5"]
        {
            assert!(!is_in(text), "{text:?}");
        }
    }
}
