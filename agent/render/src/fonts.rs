//! The fonts that pages are drawn with: the same on every machine. A page's own fonts and those of the system
//! are never read.

use std::collections::BTreeSet;
use std::sync::Arc;

use parley::FontContext;
use parley::fontique::{
    Blob, Collection, CollectionOptions, FallbackKey, FamilyId, FontInfoOverride, GenericFamily, Script, SourceCache,
};
use sha2::{Digest, Sha256};
use skrifa::charmap::Charmap;
use skrifa::{FontRef, MetadataProvider};

/// A font of this crate.
struct Font {
    file: &'static str,
    bytes: &'static [u8],
    /// Families whose measures it has, beside its own.
    stands_for: &'static [&'static str],
}

macro_rules! font {
    ($file:literal, $($family:literal),*) => {
        Font { file: $file, bytes: include_bytes!(concat!("../fonts/", $file)), stands_for: &[$($family),*] }
    };
}

/// Liberation, of which they are parts, has the measures of what pages ask for most (its own documentation).
static FONTS: [Font; 10] = [
    font!("VigieSans-Regular.ttf", "Arial", "Helvetica"),
    font!("VigieSans-Bold.ttf", "Arial", "Helvetica"),
    font!("VigieSans-Italic.ttf", "Arial", "Helvetica"),
    font!("VigieSans-BoldItalic.ttf", "Arial", "Helvetica"),
    font!("VigieSerif-Regular.ttf", "Times New Roman", "Times"),
    font!("VigieSerif-Bold.ttf", "Times New Roman", "Times"),
    font!("VigieSerif-Italic.ttf", "Times New Roman", "Times"),
    font!("VigieMono-Regular.ttf", "Courier New", "Courier"),
    font!("VigieMono-Bold.ttf", "Courier New", "Courier"),
    font!("VigieSymbols.ttf",),
];

/// Scripts that they cover, and characters of none.
const SCRIPTS: [&[u8; 4]; 6] = [b"Zyyy", b"Zinh", b"Latn", b"Grek", b"Cyrl", b"Hebr"];

/// The fonts, for the layout of one page.
pub fn context() -> FontContext {
    let mut fonts = FontContext {
        collection: Collection::new(CollectionOptions { shared: false, system_fonts: false }),
        source_cache: SourceCache::default(),
    };
    let collection = &mut fonts.collection;
    for font in &FONTS {
        let blob = Blob::new(Arc::new(font.bytes));
        collection.register_fonts(blob.clone(), None);
        for family in font.stands_for {
            collection.register_fonts(
                blob.clone(),
                Some(FontInfoOverride { family_name: Some(family), ..Default::default() }),
            );
        }
    }
    collection.register_fonts(Blob::new(Arc::new(blitz_dom::BULLET_FONT)), None);
    let mut named = |name: &str| collection.family_id(name);
    let [sans, serif, mono, symbols]: [Option<FamilyId>; 4] =
        ["Vigie Sans", "Vigie Serif", "Vigie Mono", "Vigie Symbols"].map(&mut named);
    for (generic, family) in [
        (GenericFamily::SansSerif, sans),
        (GenericFamily::SystemUi, sans),
        (GenericFamily::UiSansSerif, sans),
        (GenericFamily::Serif, serif),
        (GenericFamily::UiSerif, serif),
        (GenericFamily::Monospace, mono),
        (GenericFamily::UiMonospace, mono),
        (GenericFamily::Cursive, serif),
        (GenericFamily::Fantasy, sans),
    ] {
        collection.set_generic_families(generic, family.into_iter().chain(symbols));
    }
    for script in SCRIPTS {
        let key = FallbackKey::new(Script::from_bytes(*script), None);
        collection.set_fallbacks(key, sans.into_iter().chain(symbols));
    }
    fonts
}

/// File and SHA-256 of each.
pub fn facts() -> impl Iterator<Item = (&'static str, String)> {
    FONTS.iter().map(|font| (font.file, data_encoding::HEXLOWER.encode(&Sha256::digest(font.bytes))))
}

/// Which characters of a page none of the fonts has.
pub struct Coverage {
    maps: Vec<Charmap<'static>>,
    seen: BTreeSet<char>,
    missing: BTreeSet<char>,
}

impl Coverage {
    pub fn new() -> Self {
        let maps = FONTS.iter().filter_map(|font| FontRef::new(font.bytes).ok()).map(|font| font.charmap()).collect();
        Self { maps, seen: BTreeSet::new(), missing: BTreeSet::new() }
    }

    /// Looks at a text that is shown.
    pub fn text(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_ascii()) {
            if self.seen.insert(c) && !invisible(c) && self.maps.iter().all(|map| map.map(c).is_none()) {
                self.missing.insert(c);
            }
        }
    }

    /// In words, when there are any.
    pub fn warning(&self) -> Option<String> {
        let first: Vec<String> = self.missing.iter().take(8).map(|c| format!("U+{:04X}", u32::from(*c))).collect();
        let more = if self.missing.len() > first.len() { " …" } else { "" };
        (!first.is_empty()).then(|| {
            format!("{} character(s) that no font has are empty boxes: {}{more}", self.missing.len(), first.join(" "))
        })
    }
}

/// Characters that show nothing, or change how others show.
fn invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        let mut fonts = context();
        for family in ["Arial", "Helvetica", "Times New Roman", "Courier New", "Vigie Sans", "Vigie Symbols"] {
            assert!(fonts.collection.family_id(family).is_some(), "{family}");
        }
        assert!(fonts.collection.family_id("Comic Sans MS").is_none());
        for generic in [GenericFamily::SansSerif, GenericFamily::Serif, GenericFamily::Monospace] {
            assert_eq!(fonts.collection.generic_families(generic).count(), 2);
        }
    }

    #[test]
    fn scripts() {
        let mut coverage = Coverage::new();
        coverage.text("Ivoire éléphant ž ı Ελλάδα слоновая кость Україна שלום ₿ € ★ ✓ → “…” \u{a0}\u{200b}");
        assert_eq!(coverage.warning(), None, "{:?}", coverage.missing);
        coverage.text("象牙 ع");
        let warning = coverage.warning().unwrap();
        assert_eq!(warning, "3 character(s) that no font has are empty boxes: U+0639 U+7259 U+8C61");
    }
}
