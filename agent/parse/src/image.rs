//! Does a picture show an offer? By where it stands and how it is named, never by what it shows.
//!
//! **How doubt is resolved.** A picture that is missed may be gone tomorrow, and the offer's proof
//! with it; its address stays in the sealed page, so that it can be asked for while it is there.
//! A picture taken too many may go beyond what the mandate permits. What weighs more depends on
//! what else the picture may be:
//!
//! - an offer or mere decoration: it counts as an offer. A logo taken by mistake touches nobody.
//! - an offer or a person (an avatar, a seller's portrait): it does not. Nothing gives a face back.
//! - nothing speaks for an offer: it does not. Permission needs a reason.
//!
//! A reason is a *record*: an element that repeats beside others built alike (a row, a card, a
//! post) and has a price, or stands in a list where others have one, or is followed by its price in
//! a flat list; or the *block* of a product
//! page: a heading and a price that belong to no record. In it one picture is certain, the first
//! in the link that bears the title, or else the first at all; those that share a folder, a number,
//! a parent or an enlargement with it are more views of the same.

mod facts;
mod marks;
mod price;

use std::collections::{HashMap, HashSet};

use ego_tree::NodeId;
use scraper::{ElementRef, Html};

use crate::sets::Requisites;
use crate::warnings::start;
use facts::Scene;
use marks::Mark;

/// Most pictures told apart; a page with more has no reader.
const PICTURES: usize = 5_000;
/// Ancestors looked at.
const ANCESTORS: usize = 24;
/// Ancestors whose names are looked at where no record ends them.
const NEAR: usize = 3;
/// Smallest declared side of a picture that shows something, in CSS pixels.
const SIDE: u32 = 33;
/// Declared side from which on a picture is no icon.
const LARGE: u32 = 64;
/// From how many records on the same picture belongs to none of them.
const RECORDS: usize = 3;
/// Letters of a record, and of a post.
const LETTERS: usize = 3;
const PROSE: usize = 24;

/// A picture: the element that shows it, and where its addresses are among the requisites.
pub struct Picture {
    /// The element.
    pub node: NodeId,
    /// The address that is shown at first when a script puts another in its place.
    pub first: Option<usize>,
    /// All addresses.
    pub places: Vec<usize>,
}

/// Places of the requisites that show offers.
pub fn offers(html: &Html, pictures: &[Picture], requisites: &Requisites, title: &str) -> Vec<usize> {
    let mut scene = Scene::new(html);
    let mut looks: Vec<Look> = Vec::new();
    for picture in pictures.iter().take(PICTURES) {
        looks.extend(Look::at(picture, &mut scene, requisites));
    }
    let records: HashSet<NodeId> = looks.iter().filter_map(|look| look.record).collect();
    // The same picture in several records, or under several that a script fills later.
    let mut uses: HashMap<usize, HashSet<NodeId>> = HashMap::new();
    let mut fillers: HashMap<usize, usize> = HashMap::new();
    for look in &looks {
        for &place in &look.picture.places {
            uses.entry(place).or_default().insert(look.record.unwrap_or(look.picture.node));
        }
        if look.picture.places.len() > 1
            && let Some(first) = look.picture.first
        {
            *fillers.entry(first).or_default() += 1;
        }
    }
    let sale = sale(title);
    let mut blocks: HashSet<NodeId> = HashSet::new();
    for look in looks.iter_mut().filter(|look| look.record.is_none() && look.mark <= Mark::PerhapsPerson) {
        look.record = block(look, &mut scene, &records);
        blocks.extend(look.record);
        if look.record.is_none() {
            look.record = post(look, &mut scene, sale);
        }
    }
    for look in &mut looks {
        // A block in a block is a part of it: the picture beside the price and that beside both.
        if look.record.is_some_and(|record| blocks.contains(&record)) {
            let outer = look.ancestors.iter().chain(&look.body).rfind(|id| blocks.contains(id));
            look.record = outer.copied().or(look.record);
        }
    }
    let mut groups: HashMap<NodeId, Vec<&Look>> = HashMap::new();
    let mut order: Vec<NodeId> = Vec::new();
    for look in &looks {
        if let Some(record) = look.record {
            groups.entry(record).or_insert_with(|| {
                order.push(record);
                Vec::new()
            });
            groups.entry(record).and_modify(|group| group.push(look));
        }
    }
    let uses = |place: usize| uses.get(&place).map_or(0, HashSet::len);
    let filler = |place: usize| fillers.get(&place).is_some_and(|&count| count > 1);
    let mut found = Vec::new();
    for record in order {
        let title = scene.facts(record).title;
        for look in chosen(&groups[&record], title.as_deref(), &uses, requisites) {
            let fits =
                |place: &&usize| !filler(**place) && marks::of_address(requisites.url(**place)) != Mark::Decoration;
            found.extend(look.picture.places.iter().filter(fits));
        }
    }
    found
}

/// What is seen of one picture.
struct Look<'p> {
    picture: &'p Picture,
    parent: Option<NodeId>,
    mark: Mark,
    /// Its declared size says that it is no icon.
    large: bool,
    /// An animated picture or one of few colours, as decoration often is.
    gif: bool,
    /// The link it stands in, and where that leads.
    link: Option<(NodeId, String)>,
    /// Around it, from the inside, without body and html.
    ancestors: Vec<NodeId>,
    body: Option<NodeId>,
    /// The record it stands in.
    record: Option<NodeId>,
    /// The address that counts: the one a script fills in, if there is one.
    main: String,
}

impl<'p> Look<'p> {
    fn at(picture: &'p Picture, scene: &mut Scene<'_>, requisites: &Requisites) -> Option<Self> {
        let element = scene.element(picture.node)?;
        let chain: Vec<ElementRef<'_>> = element.ancestors().filter_map(ElementRef::wrap).take(ANCESTORS).collect();
        let body = chain.iter().find(|a| a.value().name() == "body").map(|a| a.id());
        let inside: Vec<ElementRef<'_>> = chain.into_iter().filter(|a| !is_root(*a)).collect();
        let record = record(&inside, scene).or_else(|| {
            let mut near = std::iter::once(&element).chain(&inside).take(NEAR).map(|at| at.id());
            near.find(|id| scene.priced_in_flow(*id))
        });
        let outside = record.and_then(|record| inside.iter().position(|a| a.id() == record));
        let mut mark = own_mark(element, picture, requisites);
        for (at, ancestor) in inside.iter().enumerate() {
            let within = outside.is_none_or(|record| at < record);
            let whole = scene.facts(ancestor.id()).price;
            mark = mark.max(around(*ancestor, at, (record.is_some(), within, whole), &inside[at + 1..]));
        }
        // A picture that is a background is the element itself.
        let mut links = std::iter::once(&element).chain(&inside).filter(|a| a.value().name() == "a");
        let link =
            links.next().map(|a| (a.id(), start(a.value().attr("href").unwrap_or_default(), 400).trim().to_owned()));
        // What one has to look at to fill in a form is a riddle; goods have a price.
        let form = inside.iter().find(|a| a.value().name() == "form").map(|form| scene.facts(form.id()));
        // What is behind a heading is a background and no picture of its own.
        let behind = scene.facts(element.id()).heading;
        if behind || form.is_some_and(|form| form.field && !form.price) {
            mark = mark.max(Mark::Decoration);
        }
        if link.as_ref().is_some_and(|(_, href)| marks::leads_to_person(href)) {
            mark = Mark::Person;
        }
        let main = picture.places.last().map_or("", |&place| requisites.url(place)).to_owned();
        Some(Self {
            picture,
            parent: inside.first().map(|a| a.id()),
            mark,
            large: sides(element).is_some_and(|(width, height)| width.max(height) >= LARGE),
            gif: marks::path(&main).to_ascii_lowercase().ends_with(".gif"),
            link,
            ancestors: inside.iter().map(|a| a.id()).collect(),
            body,
            record,
            main,
        })
    }
}

fn is_root(element: ElementRef<'_>) -> bool {
    matches!(element.value().name(), "html" | "body")
}

fn own_mark(element: ElementRef<'_>, picture: &Picture, requisites: &Requisites) -> Mark {
    let value = element.value();
    let attr = |name: &str| value.attr(name).unwrap_or_default();
    let named = marks::of_class(attr("class")).max(marks::of_class(attr("id")));
    let said = marks::of_text(attr("alt")).max(marks::of_text(attr("title")));
    let place = picture.places.last().map_or(Mark::None, |&place| marks::of_address(requisites.url(place)));
    let mark = named.max(said).max(place);
    if unlike_photograph(element) { mark.max(Mark::Decoration) } else { mark }
}

/// Declared width and height, in CSS pixels; of one alone, the same for both.
fn sides(element: ElementRef<'_>) -> Option<(u32, u32)> {
    let side = |name: &str| {
        let text = element.value().attr(name)?.trim();
        text.trim_end_matches("px").trim().parse::<u32>().ok()
    };
    match (side("width"), side("height")) {
        (Some(width), Some(height)) => Some((width, height)),
        (Some(one), None) | (None, Some(one)) => Some((one, one)),
        (None, None) => None,
    }
}

/// Too small, or shaped like an advertisement.
fn unlike_photograph(element: ElementRef<'_>) -> bool {
    let Some((width, height)) = sides(element) else { return false };
    let (short, long) = (width.min(height), width.max(height));
    short < SIDE || long >= 4 * short || matches!((width, height), (970, 250) | (160, 600) | (300, 600) | (120, 600))
}

/// What an element around a picture says of it, the `at`th from it. `within` means: inside the
/// picture's record, if one is `known`; `whole`: with a price.
fn around(
    ancestor: ElementRef<'_>,
    at: usize,
    (known, within, whole): (bool, bool, bool),
    beyond: &[ElementRef<'_>],
) -> Mark {
    let value = ancestor.value();
    let name = value.name();
    let attr = |name: &str| value.attr(name).unwrap_or_default();
    // The header and footer of a card or a post are not the page's.
    let part = beyond.iter().any(|a| matches!(a.value().name(), "article" | "section" | "main" | "li" | "td"));
    let named = marks::is_frame(attr("class")) || marks::is_frame(attr("id"));
    let frame = name == "nav"
        || (matches!(name, "header" | "footer") && !part)
        || matches!(attr("role"), "banner" | "navigation" | "contentinfo");
    if frame || (named && !(known && within)) {
        return Mark::Decoration;
    }
    // Around a whole record, and far away, names say where a picture stands, not what it is.
    let named = |of: fn(&str) -> Mark| of(attr("class")).max(of(attr("id")));
    match at {
        _ if !within || whole => Mark::None,
        0 => named(marks::of_class),
        1..NEAR => named(marks::of_outer_class),
        _ if known => named(marks::of_outer_class),
        _ => Mark::None,
    }
}

/// The innermost element around a picture that repeats and has a price, or stands among others that
/// have one.
fn record(ancestors: &[ElementRef<'_>], scene: &mut Scene<'_>) -> Option<NodeId> {
    for ancestor in ancestors {
        let id = ancestor.id();
        // A term and its definition make a record even where there is no other.
        if ancestor.value().name() == "dt" && scene.priced_after(id) {
            return Some(id);
        }
        if !scene.repeats(id) {
            continue;
        }
        let facts = scene.facts(id);
        if facts.letters < LETTERS {
            continue;
        }
        // Cells of a layout are alike too: something must say that these are items of a list.
        let classed = ancestor.value().attr("class").is_some_and(|class| !class.trim().is_empty());
        let listed = classed || matches!(ancestor.value().name(), "li" | "article");
        let others = || listed && facts.title.is_some();
        if facts.price || scene.priced_after(id) || (others() && scene.priced_sibling(id)) {
            return Some(id);
        }
    }
    None
}

/// The block of a product page: the nearest element around a picture that has a heading and a price
/// outside all records; the body only where there are no records at all, or the price follows the
/// heading of the page.
fn block(look: &Look<'_>, scene: &mut Scene<'_>, records: &HashSet<NodeId>) -> Option<NodeId> {
    for &id in look.ancestors.iter().chain(&look.body) {
        let facts = scene.rest(id, records);
        if look.body == Some(id) && !records.is_empty() && !facts.headed {
            continue;
        }
        let product = scene.element(id).is_some_and(|element| {
            let kind = element.value().attr("itemtype").unwrap_or_default();
            kind.ends_with("/Product") || kind.ends_with("/Offer")
        });
        if (facts.heading && facts.price) || product {
            return Some(id);
        }
    }
    None
}

/// A post in a thread that sells, with a picture in its text.
fn post(look: &Look<'_>, scene: &mut Scene<'_>, sale: bool) -> Option<NodeId> {
    if !sale || look.gif {
        return None;
    }
    let post = *look.ancestors.iter().find(|id| scene.repeats(**id) && scene.facts(**id).letters >= PROSE)?;
    Some(post)
}

/// Words of titles that offer something.
const SALE: [&str; 26] = [
    "wts",
    "sale",
    "sell",
    "selling",
    "vend",
    "vends",
    "vendre",
    "vente",
    "koop",
    "verkoop",
    "verkaufe",
    "verkauf",
    "biete",
    "vendo",
    "venta",
    "vende",
    "продам",
    "продаю",
    "продажа",
    "price",
    "prix",
    "prijs",
    "preis",
    "precio",
    "цена",
    "fs",
];

fn sale(title: &str) -> bool {
    let title = title.to_lowercase();
    title.split(|c: char| !c.is_alphanumeric()).any(|word| SALE.contains(&word))
}

/// The pictures of a record that show its offer.
fn chosen<'l, 'p>(
    group: &[&'l Look<'p>],
    title: Option<&str>,
    uses: &dyn Fn(usize) -> usize,
    requisites: &Requisites,
) -> Vec<&'l Look<'p>> {
    let fewer = |look: &Look<'_>, most: usize| look.picture.places.iter().any(|&place| uses(place) < most);
    let alone = |look: &Look<'_>| look.large || fewer(look, RECORDS);
    // A link that bears the title leads to the offer: its first picture shows it, whatever folder
    // the picture is in.
    let titled = |look: &&&Look<'_>| {
        look.mark <= Mark::PerhapsPerson
            && look.link.as_ref().is_some_and(|(_, href)| !href.is_empty() && Some(href.as_str()) == title)
    };
    let plain = |look: &&&Look<'_>| look.mark == Mark::None && !look.gif && alone(look);
    let Some(first) = group.iter().find(titled).or_else(|| group.iter().find(plain)) else { return Vec::new() };
    let mut chosen: Vec<&'l Look<'p>> = vec![first];
    for look in group.iter().filter(|look| plain(look)) {
        let known = chosen.iter().any(|other| std::ptr::eq(*other, *look));
        let beside = |other: &&Look<'_>| look.parent == other.parent && fewer(look, 2);
        let belongs = |other: &&Look<'_>| beside(other) || related(look, other);
        if !known && (enlarges(look, requisites) || chosen.iter().any(belongs)) {
            chosen.push(look);
        }
    }
    chosen
}

/// The picture's link leads to the picture in another size.
fn enlarges(look: &Look<'_>, requisites: &Requisites) -> bool {
    let Some((_, href)) = &look.link else { return false };
    let number = numbers(href).pop();
    let photo =
        [".jpg", ".jpeg", ".png", ".webp"].iter().any(|end| marks::path(href).to_ascii_lowercase().ends_with(end));
    photo
        || look.picture.places.iter().any(|&place| requisites.url(place).ends_with(href.as_str()) && !href.is_empty())
        || (number.is_some() && number == numbers(&look.main).pop())
}

/// Two pictures whose addresses say that they are views of one thing.
fn related(look: &Look<'_>, other: &Look<'_>) -> bool {
    let (ours, theirs) = (marks::folder(&look.main), marks::folder(&other.main));
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')) && marks::path(outer).len() > 1
    };
    look.picture.places.iter().any(|place| other.picture.places.contains(place))
        || ours == theirs
        || below(&ours, &theirs)
        || named_alike(&ours, &theirs)
        || numbers(&look.main).iter().any(|number| numbers(&other.main).contains(number))
}

/// Two folders that only differ in their last part, which no word would have: `g/bVUA` and `g/cRtB`.
fn named_alike(one: &str, other: &str) -> bool {
    let (Some((above, one)), Some((beside, other))) = (one.rsplit_once('/'), other.rsplit_once('/')) else {
        return false;
    };
    let made = |name: &str| name.len() >= 3 && name.chars().any(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    above == beside && one.len() == other.len() && made(one) && made(other)
}

/// Numbers long enough to be those of an offer or a picture, and not a year.
fn numbers(url: &str) -> Vec<&str> {
    let digits = url.split(|c: char| !c.is_ascii_digit());
    digits.filter(|n| n.len() > 4 || (n.len() == 4 && !n.starts_with("19") && !n.starts_with("20"))).collect()
}
