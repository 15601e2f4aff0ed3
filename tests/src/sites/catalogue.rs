//! The invented goods and sellers of the sample sites.

/// What kind of offer an advertisement is; tests of extraction count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Parts of protected animals.
    Wildlife,
    /// Anything else.
    Ordinary,
}

/// One advertisement.
#[derive(Debug, Clone, Copy)]
pub struct Ad {
    /// `en`, `fr` or `nl`.
    pub language: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Title.
    pub title: &'static str,
    /// Text.
    pub text: &'static str,
    /// Price in euro cents.
    pub cents: u32,
}

/// A seller with an OpenPGP public key made for these tests (the secret half was thrown away).
#[derive(Debug, Clone, Copy)]
pub struct Vendor {
    /// Handle.
    pub name: &'static str,
    /// ASCII-armoured public key.
    pub key: &'static str,
}

/// All sellers.
pub const VENDORS: [Vendor; 6] = [
    Vendor { name: "nordwind", key: include_str!("keys/nordwind.asc") },
    Vendor { name: "papillon", key: include_str!("keys/papillon.asc") },
    Vendor { name: "steenuil", key: include_str!("keys/steenuil.asc") },
    Vendor { name: "saffraan", key: include_str!("keys/saffraan.asc") },
    Vendor { name: "quartz", key: include_str!("keys/quartz.asc") },
    Vendor { name: "osprey", key: include_str!("keys/osprey.asc") },
];

/// All advertisements of a language.
pub fn ads(language: &str) -> Vec<&'static Ad> {
    ADS.iter().filter(|ad| ad.language == language).collect()
}

const fn wild(language: &'static str, title: &'static str, text: &'static str, cents: u32) -> Ad {
    Ad { language, kind: Kind::Wildlife, title, text, cents }
}

const fn plain(language: &'static str, title: &'static str, text: &'static str, cents: u32) -> Ad {
    Ad { language, kind: Kind::Ordinary, title, text, cents }
}

/// All advertisements.
pub const ADS: [Ad; 36] = [
    wild(
        "en",
        "Carved ivory figure, 14 cm",
        "Old elephant ivory, fine grain, Schreger lines visible. No papers. Discreet parcel, escrow welcome.",
        48_000,
    ),
    wild(
        "en",
        "Ivory bangle, heavy",
        "Solid ivory bangle, 92 g, came from a family house. Ask for more pictures over PGP only.",
        31_500,
    ),
    wild(
        "en",
        "Python skin, 3.1 m, tanned",
        "Reticulated python, soft tan, no tag. Second one available. Sent rolled in a poster tube.",
        22_000,
    ),
    wild(
        "en",
        "Crocodile belly skin, grade II",
        "Nile crocodile, 38 cm wide, dyed cognac, tag cut off. Good for bags.",
        39_000,
    ),
    wild(
        "en",
        "Pangolin scales 250 g",
        "Dried and clean. Small lots only. I do not answer questions on where it is from.",
        27_500,
    ),
    wild("en", "Hawksbill comb", "Tortoiseshell comb, Japanese style, translucent amber. Two teeth repaired.", 18_000),
    plain("en", "Brass ship's clock", "Eight-day movement, runs, some verdigris. Key included.", 9_500),
    plain("en", "Film camera, 35 mm", "Light meter works, new seals, one small dent.", 12_000),
    plain("en", "Hand-printed linocut", "Heron in reeds, numbered 7 of 40, unframed.", 4_500),
    plain("en", "Wool blanket, grey", "Woven, 140 by 200 cm, washed once.", 3_800),
    plain("en", "Set of watchmaker's screwdrivers", "Nine pieces in a revolving stand.", 2_700),
    plain("en", "Seed collection, heirloom beans", "Twelve varieties, harvest of this year, in paper bags.", 1_500),
    wild(
        "fr",
        "Statuette en ivoire d'éléphant",
        "Ivoire ancien, 11 cm, belle patine. Pas de certificat CITES, ne posez pas la question. Envoi discret.",
        52_000,
    ),
    wild(
        "fr",
        "Lot de netsukés en ivoire",
        "Trois pièces sculptées, une fêlure légère. Paiement sous séquestre accepté.",
        64_000,
    ),
    wild(
        "fr",
        "Peau de python, 2,80 m",
        "Peau tannée, écailles entières, sans étiquette. Une seconde sur demande.",
        19_500,
    ),
    wild(
        "fr",
        "Sac en peau de varan",
        "Varan du Nil, fait main, intérieur en tissu. Acheté sur un marché, sans facture.",
        14_000,
    ),
    wild("fr", "Carapace de tortue vernie", "Tortue imbriquée, 42 cm, ancienne décoration de restaurant.", 26_000),
    wild("fr", "Bracelets en poil d'éléphant", "Quatre bracelets noués, réglables.", 8_000),
    plain("fr", "Moulin à café en bois", "Mécanisme en acier, tiroir d'origine.", 2_900),
    plain("fr", "Vinyles de chanson, lot de 20", "Pochettes correctes, deux disques rayés.", 3_500),
    plain("fr", "Manteau de laine, taille 40", "Porté deux hivers, doublure refaite.", 4_200),
    plain("fr", "Assiettes peintes à la main", "Six assiettes, décor de fougères, un éclat.", 3_000),
    plain("fr", "Lampe d'architecte", "Bras articulé, ressort neuf, peinture verte.", 3_900),
    plain("fr", "Vélo de ville à réviser", "Cadre en acier, freins à refaire.", 6_000),
    wild(
        "nl",
        "Ivoren beeldje, oud",
        "Olifantenivoor, 9 cm, zonder papieren. Alleen serieuze kopers, bericht met PGP.",
        41_000,
    ),
    wild(
        "nl",
        "Slangenleer, python, 2,5 m",
        "Gelooide huid, ongebroken schubben, geen label. Per stuk of per drie.",
        17_500,
    ),
    wild("nl", "Krokodillenleren riem en huid", "Buikhuid van 30 cm breed en een riem, label verwijderd.", 23_000),
    wild("nl", "Schubben van schubdier, 100 g", "Gedroogd, schoon verpakt. Geen vragen over herkomst.", 12_500),
    wild("nl", "Opgezette steenuil", "Oud taxidermiewerk, zonder ring of bewijs.", 15_000),
    wild("nl", "Neushoornhoorn, schijfje", "Klein schijfje, 18 g, foto's op aanvraag.", 98_000),
    plain("nl", "Houten schaakbord", "Esdoorn en noten, stukken compleet.", 4_000),
    plain("nl", "Regenjas, maat M", "Waterdicht, naden opnieuw gelijmd.", 3_200),
    plain("nl", "Oude landkaart van de kust", "Druk op papier, ingelijst, lichte vlekken.", 5_500),
    plain("nl", "Keramische theepot", "Handgedraaid, blauw glazuur, 0,8 liter.", 2_600),
    plain("nl", "Naaimachine, tafelmodel", "Loopt licht, spoelen erbij.", 7_000),
    plain("nl", "Partij boekbindlinnen", "Vijf kleuren, resten van 50 bij 70 cm.", 1_800),
];
