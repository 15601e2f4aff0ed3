//! Pictures of offers told from other pictures, on pages labelled by hand.
//!
//! `pages/later/` was written after the rules: it says how well they hold on pages they never saw.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use vigie_wire::parse::RequisiteClass;

use crate::fixture::{URL, html, of_class};

/// Counts over pages.
#[derive(Default)]
struct Score {
    found: usize,
    missed: usize,
    wrong: usize,
    pages: usize,
}

impl Score {
    fn recall(&self) -> f64 {
        self.found as f64 / (self.found + self.missed).max(1) as f64
    }

    fn precision(&self) -> f64 {
        self.found as f64 / (self.found + self.wrong).max(1) as f64
    }
}

/// The addresses in a label line at the top of a page: `<!-- offers: a.jpg b.jpg -->`.
fn label(text: &str, name: &str, base: &url::Url) -> BTreeSet<String> {
    let start = format!("<!-- {name}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&start)).expect("labelled");
    let words = line.trim_end().trim_end_matches("-->").split_whitespace();
    words.map(|word| base.join(word).expect("an address").to_string()).collect()
}

fn score(folder: &str) -> Score {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reading").join(folder);
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|end| end == "html"));
    names.sort();
    let mut all = Score::default();
    for path in names {
        let text = fs::read_to_string(&path).unwrap();
        let page = html(&text);
        let base = url::Url::parse(URL).unwrap();
        let base = if text.contains("<base href=\"http://winkel.test/\">") {
            url::Url::parse("http://winkel.test/").unwrap()
        } else {
            base
        };
        let (offers, others) = (label(&text, "offers", &base), label(&text, "others", &base));
        let found: BTreeSet<String> =
            of_class(&page, RequisiteClass::ListingImage).into_iter().map(str::to_owned).collect();
        let rest: BTreeSet<String> =
            of_class(&page, RequisiteClass::OtherImage).into_iter().map(str::to_owned).collect();
        let labelled: BTreeSet<String> = offers.union(&others).cloned().collect();
        let seen: BTreeSet<String> = found.union(&rest).cloned().collect();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(seen, labelled, "{name}: every picture is found and labelled");
        let missed: Vec<_> = offers.difference(&found).collect();
        let wrong: Vec<_> = found.intersection(&others).collect();
        println!("{name}: {} offers, missed {missed:?}, wrong {wrong:?}", offers.len());
        all.found += offers.len() - missed.len();
        all.missed += missed.len();
        all.wrong += wrong.len();
        all.pages += 1;
    }
    println!(
        "{} pages, {} pictures of offers: recall {:.3}, precision {:.3}",
        all.pages,
        all.found + all.missed,
        all.recall(),
        all.precision()
    );
    all
}

/// Written before the rules were, and those that showed where these were wrong.
#[test]
fn offers_are_told_from_decoration() {
    let score = score("pages");
    assert!(score.pages >= 12);
    assert!(score.recall() >= 0.95 && score.precision() >= 0.95);
    // More than is asked for, so that a change that makes it worse is seen. The one is a heading that
    // is a picture, above a catalogue without other headings.
    assert_eq!((score.missed, score.wrong), (0, 1));
}

/// When these were read for the first time, recall was 0.95 and precision 0.91. Three rules came
/// of it: riddles in forms, backgrounds of headings, and pictures that say they are missing.
#[test]
fn pages_written_later_are_read_as_well() {
    let score = score("pages/later");
    assert!(score.recall() >= 0.95 && score.precision() >= 0.95);
    assert_eq!((score.missed, score.wrong), (1, 0));
}

/// Layouts in which no class is to be relied on: flat lists, rows that belong together, prices in
/// words. Written to improve the rules on, which found 0.07 of them before. Still missed: pictures in
/// one row and prices in another, and pictures in the definition rather than the term.
#[test]
fn layouts_of_all_kinds_are_read() {
    let score = score("pages/varied");
    assert!(score.pages >= 12);
    assert!(score.recall() >= 0.80 && score.precision() >= 0.95);
    assert_eq!((score.missed, score.wrong), (6, 0));
}

/// When these were read for the first time, after the rules for the layouts above stood, recall was
/// 0.79 and precision 1.00 (0.61 and 1.00 with the rules before). Their author had written the rules.
#[test]
fn layouts_read_once_are_read() {
    let score = score("pages/unseen");
    assert!(score.pages >= 10);
    assert!(score.recall() >= 0.78 && score.precision() >= 0.95);
}

/// One rule at a time: the pictures of the offer, among all.
#[test]
fn each_rule_by_itself() {
    let two = |record: &str| format!("<h1>List</h1>{}{}", record.replace('#', "1"), record.replace('#', "2"));
    let cases = [
        // A person is none, whatever tells: a name, or where the link leads.
        ("<li>9 EUR <a href=/x/#><img src=/avatars/#.jpg></a> offer", vec![]),
        ("<li>9 EUR <img class=seller src=/a/#.jpg> offer", vec![]),
        ("<li>9 EUR <a href=/member/#><img src=/a/#.jpg></a> offer", vec![]),
        ("<li><a href=/member/#><img src=/a/#.jpg></a> 9 EUR <img src=/b/#.jpg> offer", vec!["/b/1.jpg", "/b/2.jpg"]),
        ("<li><a href=/user.php?u=#><img src=/a/#.jpg></a> 9 EUR offer", vec![]),
        // A folder of users alone is none where the picture opens the offer.
        (
            "<li>9 EUR <a href=/o/#><img src=/users/#/a.jpg></a><a href=/o/#>offer</a>",
            vec!["/users/1/a.jpg", "/users/2/a.jpg"],
        ),
        ("<li>9 EUR <img src=/users/#/a.jpg> offer", vec![]),
        // Small, long or drawn pictures are none.
        ("<li>9 EUR <img src=/#.jpg width=20> offer", vec![]),
        ("<li>9 EUR <img src=/#.jpg width=400 height=50> offer", vec![]),
        ("<li>9 EUR <img src=/#.svg> offer", vec![]),
        ("<li>9 EUR <img src=/#.gif> offer", vec![]),
        ("<li>9 EUR <a href=/o/#><img src=/#.gif></a><a href=/o/#>offer</a>", vec!["/1.gif", "/2.gif"]),
        // More views of the same: folder, number, enlargement; and what is not.
        (
            "<li>9 EUR <i><img src=/a/#/x.jpg></i><b><img src=/a/#/y.jpg></b> offer",
            vec!["/a/1/x.jpg", "/a/1/y.jpg", "/a/2/x.jpg", "/a/2/y.jpg"],
        ),
        (
            "<li>9 EUR <i><img src=/a/4711#.jpg></i><b><img src=/b/4711#s.jpg></b> offer",
            vec!["/a/47111.jpg", "/b/47111s.jpg", "/a/47112.jpg", "/b/47112s.jpg"],
        ),
        (
            "<li>9 EUR <i><img src=/a/#.jpg></i><b><a href=/c/#.jpg><img src=/b/#.jpg></a></b> offer",
            vec!["/a/1.jpg", "/b/1.jpg", "/a/2.jpg", "/b/2.jpg"],
        ),
        ("<li>9 EUR <i><img src=/a/#.jpg></i><b><img src=/b/#.jpg></b> offer", vec!["/a/1.jpg", "/a/2.jpg"]),
        // Goods may have the name of a decoration, but a file of that name alone is one.
        ("<li>9 EUR <img src=/p/star-tortoise-#.jpg> offer", vec!["/p/star-tortoise-1.jpg", "/p/star-tortoise-2.jpg"]),
        ("<li>9 EUR <img src=/p/star-#.jpg> offer", vec![]),
        // Nothing says that anything is offered.
        ("<li><img src=/#.jpg> nice", vec![]),
        ("<nav><li>9 EUR <img src=/#.jpg> offer</nav>", vec![]),
    ];
    for (record, expected) in cases {
        let text = two(record);
        let page = html(&text.replace("<h1>List</h1>", "<p>"));
        let mut found: Vec<&str> = of_class(&page, RequisiteClass::ListingImage);
        let mut expected: Vec<String> = expected.iter().map(|url| format!("http://market.test{url}")).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}
