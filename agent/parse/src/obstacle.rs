//! What stands between a reader and the page that was asked for: login, queue, puzzle, a page that wants
//! scripts, a refusal of Tor. General signs, no rule for any one site: a short page that says or holds one.

use ego_tree::NodeRef;
use scraper::{Html, Node};
use vigie_wire::parse::{Obstacle, Page, RequisiteClass};

use crate::warnings::start;

/// Nodes looked at.
const NODES: usize = 20_000;
/// A page with more text than this is one that was shown, whatever else it holds; in characters.
const THIN_CHARS: usize = 1_500;
/// So is one with more links.
const THIN_LINKS: usize = 25;
/// A page with less text than this shows nothing, in characters.
const EMPTY_CHARS: usize = 40;
/// Text kept to look for words, in bytes.
const TEXT_BYTES: usize = 8 * 1024;
/// Of one attribute this much is looked at, in bytes.
const ATTRIBUTE_BYTES: usize = 256;

/// Names in markup that only puzzles have.
const PUZZLE_NAMES: [&str; 4] = ["captcha", "cf-turnstile", "friendlychallenge", "altcha"];

/// How pages say that a person is to be told from a program (English, French, Dutch, German, Spanish, Russian).
const PUZZLE: [&str; 16] = [
    "captcha",
    "you are human",
    "you are a human",
    "not a robot",
    "are you a robot",
    "characters shown",
    "characters in the image",
    "êtes humain",
    "pas un robot",
    "les caractères",
    "geen robot",
    "kein roboter",
    "ein mensch sind",
    "no soy un robot",
    "es humano",
    "не робот",
];

/// How pages say that one has to wait.
const WAIT: [&str; 22] = [
    "waiting room",
    "in the queue",
    "in a queue",
    "in line",
    "queue position",
    "position in queue",
    "please wait",
    "estimated wait",
    "checking your browser",
    "just a moment",
    "ddos protection",
    "anti-ddos",
    "veuillez patienter",
    "file d'attente",
    "salle d'attente",
    "bitte warten",
    "warteschlange",
    "een ogenblik geduld",
    "wachtrij",
    "por favor espere",
    "sala de espera",
    "подождите",
];

/// How pages ask for scripts: one of each.
const SCRIPTS: ([&str; 2], [&str; 17]) = (
    ["javascript", "java script"],
    [
        "enable",
        "turn on",
        "required",
        "requires",
        "need",
        "must",
        "without",
        "disabled",
        "activer",
        "activez",
        "désactivé",
        "inschakelen",
        "nodig",
        "aktivieren",
        "benötigt",
        "habilit",
        "включ",
    ],
);

/// How pages name what they refuse: these alone, or one of [`REFUSED`] beside one of [`VIA_TOR`].
const BLOCKED: [&str; 5] =
    ["unusual traffic", "trafic inhabituel", "ongewoon verkeer", "ungewöhnlichen datenverkehr", "tráfico inusual"];
/// See [`BLOCKED`].
const VIA_TOR: [&str; 9] =
    ["tor exit", "tor network", "tor browser", "tor users", "réseau tor", "anonymous proxy", "anonymi", "vpn", "proxy"];
/// See [`BLOCKED`].
const REFUSED: [&str; 16] = [
    "block",
    "denied",
    "not allowed",
    "forbidden",
    "banned",
    "restricted",
    "not permitted",
    "refus",
    "bloqu",
    "interdit",
    "geweigerd",
    "geblokkeerd",
    "gesperrt",
    "verweigert",
    "denegado",
    "запрещ",
];

/// Every sign that the page shows, the one that says most first.
pub fn find(html: &Html, page: &Page) -> Vec<Obstacle> {
    let mut looked = Looked::default();
    looked.tree(html);
    let thin = looked.chars < THIN_CHARS && page.links.len() <= THIN_LINKS;
    if !thin {
        return Vec::new();
    }
    let text = format!("{} {}", page.title, looked.text).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let scripts = page.requisites.iter().any(|r| r.class == RequisiteClass::Script) || looked.scripts;
    let shows = !page.links.is_empty() || !page.forms.is_empty() || looked.pictures;
    let password = page.forms.iter().flat_map(|form| &form.fields).any(|(_, kind)| kind == "password");
    let mut found = Vec::new();
    if says(&BLOCKED) || (says(&VIA_TOR) && says(&REFUSED)) {
        found.push(Obstacle::BlocksTor);
    }
    if looked.puzzle || (says(&PUZZLE) && !page.forms.is_empty()) {
        found.push(Obstacle::Captcha);
    }
    // A word alone is not enough: a queue lets the reader do nothing but wait.
    if says(&WAIT) && !password && (page.refresh.is_some() || scripts || page.links.len() <= 3) {
        found.push(Obstacle::WaitingRoom);
    }
    if password {
        found.push(Obstacle::Login);
    }
    let asked = says(&SCRIPTS.0) && says(&SCRIPTS.1);
    if asked || (found.is_empty() && scripts && looked.chars < EMPTY_CHARS && !shows) {
        found.push(Obstacle::NeedsJavascript);
    }
    found
}

/// What one look over the tree gives.
#[derive(Default)]
struct Looked {
    /// Visible text, folded, its beginning.
    text: String,
    /// Length of all of it, white space folded, in characters.
    chars: usize,
    /// There are scripts, also such as stand in the page.
    scripts: bool,
    /// There are pictures.
    pictures: bool,
    /// Markup names a puzzle.
    puzzle: bool,
}

impl Looked {
    fn tree(&mut self, html: &Html) {
        for node in html.tree.root().descendants().take(NODES) {
            match node.value() {
                Node::Text(text) if !is_hidden(node) => self.words(text),
                Node::Element(element) => {
                    self.scripts |= element.name() == "script";
                    self.pictures |= matches!(element.name(), "img" | "picture" | "video" | "object");
                    self.puzzle |= element.attrs().any(|(name, value)| {
                        let naming = matches!(name, "id" | "class" | "name" | "src" | "alt" | "action");
                        naming && is_puzzle(value)
                    });
                }
                _ => {}
            }
        }
    }

    fn words(&mut self, text: &str) {
        for word in text.split_whitespace() {
            self.chars += word.chars().count() + 1;
            if self.text.len() + word.len() < TEXT_BYTES {
                self.text.push_str(word);
                self.text.push(' ');
            }
        }
    }
}

fn is_puzzle(value: &str) -> bool {
    let value = start(value, ATTRIBUTE_BYTES).to_ascii_lowercase();
    PUZZLE_NAMES.iter().any(|name| value.contains(name))
}

/// Text that no reader sees.
fn is_hidden(node: NodeRef<'_, Node>) -> bool {
    let parent = node.parent().and_then(|parent| parent.value().as_element().map(|e| e.name().to_owned()));
    matches!(parent.as_deref(), Some("script" | "style" | "title" | "template"))
}
