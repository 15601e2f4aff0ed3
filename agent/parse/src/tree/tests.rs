//! The guarded tree against the tree builder on its own, and the work it takes.

use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::TendrilSink;
use html5ever::tree_builder::TreeBuilderOpts;
use proptest::prelude::*;
use proptest::sample::select;
use scraper::{Html, HtmlTreeSink, Node};

use super::*;

/// Tags that the tree builder has rules for, in all their variety.
const NAMES: [&str; 61] = [
    "html",
    "head",
    "body",
    "title",
    "base",
    "meta",
    "link",
    "style",
    "script",
    "noscript",
    "p",
    "div",
    "span",
    "a",
    "b",
    "i",
    "font",
    "nobr",
    "h1",
    "h2",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "caption",
    "colgroup",
    "col",
    "tbody",
    "thead",
    "tr",
    "td",
    "th",
    "form",
    "input",
    "button",
    "select",
    "option",
    "optgroup",
    "textarea",
    "pre",
    "img",
    "br",
    "hr",
    "svg",
    "math",
    "foreignObject",
    "desc",
    "mi",
    "mtext",
    "annotation-xml",
    "image",
    "iframe",
    "xmp",
    "frameset",
    "frame",
    "noframes",
    "ruby",
    "rt",
    "center",
];
/// Without attributes: what the guard does to those of formatting elements is another test's matter.
const FORMATTING: [&str; 13] =
    ["b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
const ATTRIBUTES: [&str; 14] = [
    "",
    " href=x",
    " href='a>b'",
    " src=\"y\"",
    " class=c id=d",
    " onclick='<p>' title=t",
    " href=x href=y",
    " /",
    " type=hidden",
    " type=text name=n",
    " =x",
    " alt",
    " color=red",
    " data-x=1 style = 'a:b' ",
];
const OTHER: [&str; 30] = [
    "text",
    " ",
    "\n",
    "a &amp; b",
    "&lt",
    "&#65;",
    "&am",
    "& ",
    "<",
    "<1",
    "<!-- c -->",
    "<!-->",
    "<!-- > --!>",
    "<!doctype html>",
    "<!x>",
    "<?y>",
    "</>",
    "</1>",
    "<![CDATA[ <p> ]]>",
    "\0",
    "x\0y",
    "é€",
    "<<p>",
    "&x<b>",
    "</title>",
    "</script>",
    "</textarea>",
    "</style>",
    "<!--<script>",
    "]]>",
];

fn piece() -> impl Strategy<Value = String> {
    let start = (select(&NAMES[..]), select(&ATTRIBUTES[..])).prop_map(|(name, attributes)| {
        let attributes = if FORMATTING.contains(&name) { "" } else { attributes };
        format!("<{name}{attributes}>")
    });
    let end = select(&NAMES[..]).prop_map(|name| format!("</{name}>"));
    let other = select(&OTHER[..]).prop_map(str::to_owned);
    prop_oneof![4 => start, 3 => end, 3 => other]
}

/// A tree as text: elements with the attributes that are read, and text without white space, whose
/// place in tables depends on how it is cut into pieces.
fn outline(html: &Html) -> String {
    let mut out = String::new();
    for edge in html.tree.root().traverse() {
        match edge {
            ego_tree::iter::Edge::Open(node) => match node.value() {
                Node::Element(element) => {
                    out.push_str(&format!("\n<{}:{}", element.name.ns.len(), element.name()));
                    let read =
                        |name: &str| ["href", "src", "class", "id", "title", "type", "name", "alt"].contains(&name);
                    for (name, value) in element.attrs().filter(|(name, _)| read(name)) {
                        out.push_str(&format!(" {name}={value}"));
                    }
                    out.push('>');
                }
                Node::Text(text) => out.extend(text.chars().filter(|c| !c.is_whitespace() && *c != '\u{fffd}')),
                _ => {}
            },
            ego_tree::iter::Edge::Close(node) if node.value().is_element() => out.push(')'),
            ego_tree::iter::Edge::Close(_) => {}
        }
    }
    out
}

fn unguarded(text: &str) -> Html {
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let sink = HtmlTreeSink::new(Html::new_document());
    parse_document(sink, ParseOpts { tree_builder, ..ParseOpts::default() }).one(text)
}

fn guarded(text: &str) -> Tree {
    parse(text, false, &Budget::default(), &mut Warnings::default())
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn the_guard_changes_nothing_that_is_read(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        prop_assert_eq!(outline(&guarded(&text).html), outline(&unguarded(&text)), "{}", text);
    }
}

proptest! {
    #![proptest_config(cases(16))]

    /// Twice as much of anything takes twice as much looking, once nesting has reached its limit:
    /// the second doubling may cost about twice the first. Quadratic growth would cost four times.
    #[test]
    fn work_grows_with_the_page(
        start in prop::collection::vec(piece(), 0..4),
        pieces in prop::collection::vec(piece(), 1..5),
        end in prop::collection::vec(piece(), 0..3),
    ) {
        let page = |n: usize| format!("{}{}{}", start.concat(), pieces.concat().repeat(n), end.concat().repeat(n));
        let [one, two, four] = [1, 2, 4].map(|n| guarded(&page(n * 2_000)));
        let (first, second) = (two.looks - one.looks.min(two.looks), four.looks - two.looks.min(four.looks));
        prop_assert!(second <= first * 3 + 20_000, "{first} then {second}: {}", page(1));
        prop_assert!(four.most <= 3 * 464 + 8);
    }
}

/// Pages that are known to take a tree builder long, each of which must take about twice as long
/// when it is twice as long.
#[test]
fn known_attacks_take_no_more_than_their_size() {
    let many = |text: &str| {
        let text = text.to_owned();
        move |n: usize| text.repeat(n)
    };
    let numbered = |text: &str| {
        let text = text.to_owned();
        move |n: usize| (0..n).map(|i| text.replace('#', &i.to_string())).collect::<String>()
    };
    type Page = Box<dyn Fn(usize) -> String>;
    let attacks: Vec<(&str, Page)> = vec![
        ("nested", Box::new(many("<div>"))),
        ("nested, other end tags", Box::new(many("<div><span></span></x>"))),
        ("bold", Box::new(many("<b>"))),
        ("bold, each its own", Box::new(numbered("<b id=x#>"))),
        ("paragraphs of bold", Box::new(numbered("<p><b id=x#>x"))),
        (
            "text elements in foreign content",
            Box::new(|n| format!("{}{}", "<svg>".repeat(n), "<textarea><caption>".repeat(n))),
        ),
        ("void elements in foreign content", Box::new(|n| format!("<math>{}", "<param><source><title>".repeat(n)))),
        ("fonts in foreign content", Box::new(numbered("<svg><font color=c# id=x#>x"))),
        ("links", Box::new(many("<a href=x>"))),
        ("links around blocks", Box::new(many("<a href=x><p>"))),
        ("links in tables", Box::new(many("<a><table><tr><td>"))),
        ("adoption", Box::new(|n| format!("{}{}", "<b><p>".repeat(n), "</b>".repeat(n)))),
        ("nobr", Box::new(many("<nobr><p>"))),
        ("tables", Box::new(many("<table><tr><td>"))),
        ("foster parents", Box::new(|n| format!("<table>{}", "<b>x<p>".repeat(n)))),
        ("markers", Box::new(|n| format!("<table><tr>{}{}", "<td><object>".repeat(n), "</td><td><b></b>".repeat(n)))),
        ("marquees", Box::new(|n| format!("{}{}", "<table><td><marquee>".repeat(n), "<i></i>".repeat(n)))),
        ("templates", Box::new(|n| format!("{}{}", "<template><td></template>".repeat(n), "<b></b>".repeat(n)))),
        ("shadows", Box::new(many("<template shadowrootmode=open><td><b>"))),
        ("forms", Box::new(many("<form><input name=a>"))),
        ("lists", Box::new(many("<ul><li>"))),
        ("options", Box::new(many("<select><optgroup><option>"))),
        ("bodies", Box::new(numbered("<body class=c#><html id=x#>"))),
        ("svg", Box::new(many("<svg><g>"))),
        ("integration points", Box::new(many("<svg><foreignObject><b><p>"))),
        ("math", Box::new(many("<math><mi><a>"))),
        ("references on top of many blocks", Box::new(|n| format!("<b>{}{}", "<div>".repeat(390), "&lt;x".repeat(n)))),
        ("breaks on top of many blocks", Box::new(|n| format!("<b>{}{}", "<div>".repeat(390), "<br>".repeat(n)))),
        ("ruby", Box::new(many("<ruby><rb><rt><rtc>"))),
        ("framesets", Box::new(many("<frameset><frame>"))),
    ];
    for (name, page) in attacks {
        let (once, twice) = (guarded(&page(4_000)), guarded(&page(8_000)));
        assert!(twice.looks <= once.looks * 12 / 5 + 10_000, "{name}: {} then {}", once.looks, twice.looks);
        assert!(twice.most <= 3 * 464 + 8, "{name}: {} elements open", twice.most);
    }
}

/// What is repeated refers to nothing, so that repeating costs nothing to read.
#[test]
fn repeated_formatting_has_no_attributes() {
    let page = "<p><b id=x style='a:url(b)'><font color=red>one</p><p>two<p>three<svg><font size=1>four";
    let tree = guarded(page).html.tree;
    let elements = tree.values().filter_map(Node::as_element);
    let formatting = elements.filter(|element| FORMATTING.contains(&element.name()));
    let (with, without): (Vec<_>, Vec<_>) = formatting.partition(|element| element.attrs().next().is_some());
    assert_eq!(with.len(), 3, "each as often as it is written: {with:?}");
    assert!(without.len() >= 4, "{without:?}");
}

/// These would leave markers behind when a table closes around them, and each formatting end tag
/// would look through all of them.
#[test]
fn nothing_leaves_markers_behind() {
    let tree = guarded("<table><td><object data=x><applet><marquee>y</td></table>").html.tree;
    let elements: Vec<&str> = tree.values().filter_map(Node::as_element).map(|element| element.name()).collect();
    assert!(elements.contains(&crate::guard::OBJECT));
    assert!(!elements.iter().any(|name| ["object", "applet", "marquee", "template"].contains(name)), "{elements:?}");
}
