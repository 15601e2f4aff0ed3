//! Does a picture show an offer? By where it stands, never by what it shows.

use scraper::ElementRef;

/// Names that mark decoration, in `class`, `id`, `src` or `alt`.
const DECORATION: &[&str] = &[
    "logo", "icon", "banner", "captcha", "avatar", "sprite", "emoji", "flag", "badge", "spinner", "pixel", "rating",
    "star",
];
/// Parts of a page that hold no offers.
const FRAME: &[&str] = &["header", "nav", "footer", "aside"];
/// Smallest declared side of a picture that shows something, in CSS pixels.
const SIDE: u32 = 33;
/// Ancestors looked at.
const ANCESTORS: usize = 12;

/// The picture stands where offers stand: in a record that repeats, or in a page's main part
/// beside its heading; and nothing marks it as decoration.
pub fn shows_offer(image: ElementRef<'_>) -> bool {
    let value = image.value();
    let marks = ["class", "id", "src", "alt"].iter().filter_map(|name| value.attr(name)).any(|text| {
        let text: String = text.chars().take(500).collect::<String>().to_ascii_lowercase();
        DECORATION.iter().any(|word| words(&text).any(|found| found == *word || found.strip_suffix('s') == Some(word)))
    });
    let small = ["width", "height"]
        .iter()
        .filter_map(|name| value.attr(name))
        .any(|side| side.trim_end_matches("px").trim().parse::<u32>().is_ok_and(|side| side < SIDE));
    if marks || small {
        return false;
    }
    let ancestors: Vec<ElementRef<'_>> = image.ancestors().filter_map(ElementRef::wrap).take(ANCESTORS).collect();
    if ancestors.iter().any(|a| FRAME.contains(&a.value().name())) {
        return false;
    }
    let linked_or_record = ancestors.iter().any(|a| repeats(*a));
    let product = ancestors.iter().any(|a| matches!(a.value().name(), "main" | "article" | "figure"))
        || ancestors
            .iter()
            .any(|a| a.value().attr("itemtype").is_some_and(|kind| kind.contains("Product") || kind.contains("Offer")))
        || ancestors.iter().any(|a| {
            a.value().attr("class").is_some_and(|class| {
                let class = class.to_ascii_lowercase();
                ["product", "listing", "item", "offer", "annonce", "gallery", "photo"]
                    .iter()
                    .any(|word| class.contains(word))
            })
        });
    linked_or_record || product
}

/// An element whose siblings are built alike (same name and class), as rows and cards are.
fn repeats(element: ElementRef<'_>) -> bool {
    let name = element.value().name();
    if !matches!(name, "li" | "tr" | "article" | "div" | "section" | "td" | "dd" | "a") {
        return false;
    }
    let class = element.value().attr("class");
    let alike = |other: &ElementRef<'_>| other.value().name() == name && other.value().attr("class") == class;
    let near = element.prev_siblings().take(8).chain(element.next_siblings().take(8));
    near.filter_map(ElementRef::wrap).any(|other| alike(&other))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}
