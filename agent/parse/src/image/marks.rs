//! What names say about a picture: classes, ids and the parts of addresses.
//!
//! Two kinds of word are told apart. Some are never said of goods (`captcha`, `avatar`). Others may
//! just as well be in the name of what is offered (a star tortoise, a flag tail, white lines): they
//! only count where a designer wrote them (a class, a folder), or as the whole name of a file.

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Nothing.
    None,
    /// Perhaps a person: the address names users, as that of an upload by a user may too.
    PerhapsPerson,
    /// Decoration.
    Decoration,
    /// A person.
    Person,
}

/// Never said of goods.
const DECORATION: [&str; 40] = [
    "logo",
    "icon",
    "ico",
    "favicon",
    "banner",
    "bannière",
    "captcha",
    "kapcha",
    "sprite",
    "emoji",
    "emoticon",
    "smiley",
    "smilie",
    "smile",
    "spinner",
    "loader",
    "spacer",
    "placeholder",
    "btn",
    "button",
    "bouton",
    "knopf",
    "statusicon",
    "advert",
    "advertisement",
    "publicite",
    "publicité",
    "publicidad",
    "werbung",
    "reklama",
    "sponsor",
    "signature",
    "sig",
    "reaction",
    "favorite",
    "counter",
    "tracker",
    "watermark",
    "slideshow",
    "blank",
];
/// Decoration where a designer says so.
const DESIGN: [&str; 58] = [
    "star",
    "stern",
    "etoile",
    "étoile",
    "estrella",
    "ster",
    "rating",
    "flag",
    "drapeau",
    "flagge",
    "bandera",
    "vlag",
    "badge",
    "medal",
    "medaille",
    "rank",
    "level",
    "lvl",
    "trust",
    "verified",
    "online",
    "offline",
    "heart",
    "pin",
    "arrow",
    "line",
    "separator",
    "divider",
    "pixel",
    "clear",
    "transparent",
    "bg",
    "background",
    "fond",
    "fondo",
    "hintergrund",
    "social",
    "payment",
    "pay",
    "visa",
    "mastercard",
    "paypal",
    "bitcoin",
    "btc",
    "monero",
    "xmr",
    "ltc",
    "escrow",
    "brand",
    "ads",
    "adv",
    "pub",
    "promo",
    "teaser",
    "slide",
    "lang",
    "cart",
    "new",
];
/// Parts of a page that hold no offers; of a card they are just its upper or lower part.
const FRAME: [&str; 16] = [
    "header",
    "footer",
    "menu",
    "nav",
    "navbar",
    "navigation",
    "sidebar",
    "masthead",
    "topbar",
    "breadcrumb",
    "kopf",
    "fuß",
    "fuss",
    "entête",
    "entete",
    "cabecera",
];
/// Said of people, never of goods.
const PERSON: [&str; 8] = ["avatar", "ava", "userpic", "gravatar", "customavatar", "portrait", "headshot", "selfie"];
/// Said of people where a designer says so.
const PEOPLE: [&str; 31] = [
    "user",
    "member",
    "profile",
    "author",
    "vendor",
    "seller",
    "poster",
    "u",
    "membre",
    "profil",
    "auteur",
    "vendeur",
    "utilisateur",
    "usr",
    "gebruiker",
    "lid",
    "leden",
    "verkoper",
    "mitglied",
    "mitglieder",
    "benutzer",
    "nutzer",
    "verkäufer",
    "verkaeufer",
    "usuario",
    "miembro",
    "perfil",
    "autor",
    "vendedor",
    "polzovatel",
    "prodavec",
];
/// Words for goods and their pictures: beside one of them, a word of [`DESIGN`] says which of the
/// goods it is, and after one of [`PEOPLE`] it says what is theirs.
const GOODS: [&str; 22] = [
    "item",
    "product",
    "produit",
    "produkt",
    "listing",
    "offer",
    "offre",
    "angebot",
    "aanbod",
    "annonce",
    "anzeige",
    "advertentie",
    "article",
    "artikel",
    "lot",
    "kavel",
    "gallery",
    "upload",
    "attachment",
    "ware",
    "good",
    "swiper",
];
/// Of addresses only: a vendor's folder holds his goods.
const PEOPLE_IN_PATHS: [&str; 12] = [
    "user",
    "member",
    "profile",
    "u",
    "membre",
    "profil",
    "usuario",
    "miembro",
    "perfil",
    "gebruiker",
    "leden",
    "mitglieder",
];
/// What a file says is missing.
const MISSING: [&str; 7] = ["image", "img", "photo", "pic", "picture", "thumb", "thumbnail"];
/// Sizes that only advertisements have, as names of files give them.
const BANNERS: [&str; 9] =
    ["468x60", "728x90", "970x90", "970x250", "160x600", "120x600", "300x600", "234x60", "88x31"];
/// Longest text looked at, in bytes.
const LOOK_BYTES: usize = 400;

/// The words of a name, in lower case and the singular.
pub fn words(text: &str) -> Vec<String> {
    let text = crate::warnings::start(text, LOOK_BYTES);
    let mut words: Vec<String> = Vec::new();
    let mut upper = true;
    for c in text.chars() {
        // `userPic` is two words, `LOGO` one.
        if !c.is_alphanumeric() || (c.is_uppercase() && !upper) {
            words.push(String::new());
        }
        upper = c.is_uppercase() || !c.is_alphanumeric();
        if c.is_alphanumeric() {
            if words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
    }
    words.retain_mut(|word| {
        // `468x60` is a size; of `slide2` and `lvl5` the number says nothing.
        let plain = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if !plain.is_empty() && !plain.starts_with(|c: char| c.is_ascii_digit()) {
            word.truncate(plain.len());
        }
        if word.len() > 3 && word.ends_with('s') {
            word.pop();
        }
        !word.is_empty()
    });
    words
}

fn any(words: &[String], list: &[&str]) -> bool {
    words.iter().any(|word| list.contains(&word.as_str()))
}

/// Whether one of the classes names people and no goods after them: `seller-item` is a thing,
/// `item-seller` a person.
fn names_people(text: &str) -> bool {
    crate::warnings::start(text, LOOK_BYTES).split_ascii_whitespace().any(|class| {
        let words = words(class);
        let last = |list: &[&str]| words.iter().rposition(|word| list.contains(&word.as_str()));
        last(&PEOPLE).is_some_and(|person| last(&GOODS).is_none_or(|goods| goods < person))
    })
}

/// What a class or an id of the picture itself, or of what holds it alone, says.
pub fn of_class(text: &str) -> Mark {
    let words = words(text);
    if any(&words, &PERSON) || names_people(text) {
        Mark::Person
    } else if any(&words, &DECORATION) || (!any(&words, &GOODS) && any(&words, &DESIGN)) {
        Mark::Decoration
    } else {
        Mark::None
    }
}

/// What a class or an id further out says, where a designer's word may be about anything in it.
pub fn of_outer_class(text: &str) -> Mark {
    let words = words(text);
    if any(&words, &PERSON) || names_people(text) {
        Mark::Person
    } else if any(&words, &DECORATION) {
        Mark::Decoration
    } else {
        Mark::None
    }
}

/// Whether a link leads to a person: `/member/77`, `user.php?id=7`, `?action=profile`.
pub fn leads_to_person(href: &str) -> bool {
    let (path, query) = href.split_once('?').unwrap_or((href, ""));
    let mut parts = path.trim_end_matches('/').rsplit('/');
    let file = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    let name = file.rsplit_once('.').map_or("", |(name, _)| name);
    let alone = |text: &str| matches!(&words(text)[..], [one] if PEOPLE.contains(&one.as_str()));
    let asked = query.split(['&', ';']).any(|part| part.split('=').any(alone));
    alone(folder) || (!name.is_empty() && alone(name)) || asked
}

/// Whether a class or an id names a part of the page that holds no offers.
pub fn is_frame(text: &str) -> bool {
    any(&words(text), &FRAME)
}

/// What an address says: its folders, and the name of the file.
pub fn of_address(url: &str) -> Mark {
    let path = path(url);
    let file_at = path.rfind('/').map_or(0, |at| at + 1);
    let (folders, file) = path.split_at(file_at);
    let (name, ending) = file.rsplit_once('.').unwrap_or((file, ""));
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let folders = words(folders);
    let parts = words(name);
    let asked = words(query);
    let marked = |list: &[&str]| any(&folders, list) || any(&parts, list) || any(&asked, list);
    if marked(&PERSON) {
        return Mark::Person;
    }
    let number = |word: &String| word.len() <= 2 || word.chars().all(|c| c.is_ascii_digit());
    let whole = !parts.is_empty()
        && parts.iter().any(|word| !number(word))
        && parts.iter().all(|word| number(word) || DESIGN.contains(&word.as_str()) || FRAME.contains(&word.as_str()));
    // Drawings, not photographs.
    let drawn = ending.eq_ignore_ascii_case("svg") || ending.eq_ignore_ascii_case("ico");
    // `no_photo`, `noimage`: stands where a picture is missing.
    let missing = matches!(&parts[..], [no, what] if no == "no" && MISSING.contains(&what.as_str()))
        || matches!(&parts[..], [one] if one.strip_prefix("no").is_some_and(|what| MISSING.contains(&what)));
    let banner = name.split(['-', '_', '.']).any(|part| BANNERS.iter().any(|size| part.ends_with(size)));
    // `ads` is a folder of advertisements, `prod-ads` one of goods.
    let designed =
        path[..file_at].split('/').any(|folder| matches!(&words(folder)[..], [one] if DESIGN.contains(&one.as_str())));
    if drawn || missing || banner || whole || designed || marked(&DECORATION) {
        return Mark::Decoration;
    }
    if any(&folders, &PEOPLE_IN_PATHS) { Mark::PerhapsPerson } else { Mark::None }
}

/// What the text says that stands for a picture.
pub fn of_text(text: &str) -> Mark {
    let words = words(text);
    // A title of goods is longer, and may hold any word.
    if words.len() > 3 {
        Mark::None
    } else if any(&words, &PERSON) {
        Mark::Person
    } else if any(&words, &DECORATION) {
        Mark::Decoration
    } else {
        Mark::None
    }
}

/// The path of an address.
pub fn path(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url,
    }
}

/// The part of an address before the file, without the numbers of its host: pictures of one site
/// lie on many.
pub fn folder(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let folder = url.rfind('/').map_or("", |at| &url[..at]);
    let path_at = folder.find("://").map_or(0, |at| at + 3);
    let host_end = folder[path_at..].find('/').map_or(folder.len(), |at| path_at + at);
    let host: String = folder[..host_end].chars().filter(|c| !c.is_ascii_digit()).collect();
    host + &folder[host_end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_people_read_them() {
        assert_eq!(words("userPic-small_LOGO2 icons"), ["user", "pic", "small", "logo", "icon"]);
        assert_eq!(words("468x60"), ["468x60"]);
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(words("étoile"), ["étoile"]);
    }

    #[test]
    fn goods_may_have_any_name() {
        for url in [
            "http://m.test/media/star-tortoise.jpg",
            "http://m.test/p/flag-tail-7.jpg",
            "http://m.test/p/new-england-scrimshaw.webp",
            "http://m.test/vendors/12/tusk.jpg",
        ] {
            assert_eq!(of_address(url), Mark::None, "{url}");
        }
        assert_eq!(of_text("Indian star tortoise, female"), Mark::None);
        assert_eq!(of_text("Star tortoise"), Mark::None);
    }

    #[test]
    fn what_is_said_of_no_goods_marks() {
        for (url, mark) in [
            ("http://m.test/logo.png", Mark::Decoration),
            ("http://m.test/img/site-logo-2x.png", Mark::Decoration),
            ("http://m.test/img/stars-5.png", Mark::Decoration),
            ("http://m.test/flags/gb.png", Mark::Decoration),
            ("http://m.test/a/b.svg", Mark::Decoration),
            ("http://m.test/x/banner_468x60.gif", Mark::Decoration),
            ("http://m.test/captcha.php?r=1", Mark::Decoration),
            ("http://m.test/image.php?type=avatar&u=4", Mark::Person),
            ("http://m.test/customavatars/4.gif", Mark::Person),
            ("http://m.test/users/4/photo.jpg", Mark::PerhapsPerson),
        ] {
            assert_eq!(of_address(url), mark, "{url}");
        }
        assert_eq!(of_class("rounded avatar"), Mark::Person);
        assert_eq!(of_class("seller-photo"), Mark::Person);
        assert_eq!(of_class("card-img-top"), Mark::None);
        assert_eq!(of_class("seller-item-image"), Mark::None);
        assert_eq!(of_class("item-seller"), Mark::Person);
        assert_eq!(of_class("item seller"), Mark::Person);
        assert_eq!(of_class("item-seller-avatar"), Mark::Person);
        assert_eq!(of_text("Logo"), Mark::Decoration);
    }
}
