//! Pictures of offers told from other pictures, on pages labelled by hand.
//!
//! `pages/` was written before the rules that are tested here, `pages/later/` after them and
//! without changing them again: the second set says how well the rules hold on pages never seen.

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

#[test]
fn pages_never_seen_are_read_as_well() {
    let score = score("pages/later");
    assert!(score.recall() >= 0.85 && score.precision() >= 0.85);
}

#[test]
fn offers_are_told_from_decoration() {
    let score = score("pages");
    assert!(score.pages >= 12);
    assert!(score.recall() >= 0.95 && score.precision() >= 0.95);
}
