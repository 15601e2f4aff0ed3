//! Code lists, in our own words, each with its source.

/// A code and what it stands for.
pub type Code = (&'static str, &'static str);

/// Annexes of Council Regulation (EC) No 338/97, article 3.
pub const EU_ANNEX: &[Code] = &[
    ("A", "trade forbidden but for exceptions"),
    ("B", "trade under permit"),
    ("C", "listed at the request of a state"),
    ("D", "imports are counted"),
];

/// Appendices of the Convention (CITES articles II and III to V).
pub const CITES_APPENDIX: &[Code] = &[
    ("I", "threatened with extinction"),
    ("II", "may become so unless trade is regulated"),
    ("III", "protected by a party that asks for help"),
];

/// Trade terms of the CITES Trade Database (Guidelines for the preparation and submission of CITES annual
/// reports, section 6 a; UK "CITES trade term codes", October 2024): those that online offers need.
pub const TERM: &[Code] = &[
    ("BAL", "baleen"),
    ("BAR", "bark"),
    ("BOC", "carving of bone"),
    ("BOD", "whole dead animal"),
    ("BON", "bone"),
    ("CAL", "calipee"),
    ("CAP", "carapace of a turtle or tortoise"),
    ("CAR", "carving, other than of ivory, bone or horn"),
    ("CAV", "caviar"),
    ("CHP", "chips of timber"),
    ("CLA", "claw"),
    ("CLO", "cloth"),
    ("COR", "raw coral"),
    ("COS", "cosmetics"),
    ("CUL", "culture of plants"),
    ("DER", "derivative, other than those with a code of their own"),
    ("DPL", "dried plant"),
    ("EAR", "ear"),
    ("EGG", "egg, not live"),
    ("EGL", "egg, live"),
    ("EXT", "extract"),
    ("FEA", "feather"),
    ("FIB", "fibre"),
    ("FIG", "fingerling"),
    ("FIN", "fin"),
    ("FLO", "flower"),
    ("FOO", "foot"),
    ("FRU", "fruit"),
    ("GAB", "gall bladder"),
    ("GAL", "gall"),
    ("GAR", "garment"),
    ("GEN", "genitalia"),
    ("HAI", "hair"),
    ("HAP", "product of hair"),
    ("HOC", "carving of horn"),
    ("HOP", "piece of horn"),
    ("HOR", "horn or antler"),
    ("IVC", "carving of ivory (worked ivory)"),
    ("IVP", "piece of ivory"),
    ("KEY", "piano keys of ivory"),
    ("LEG", "frog legs"),
    ("LIV", "live animal or plant"),
    ("LOG", "log"),
    ("LPL", "large product of leather"),
    ("LPS", "small product of leather"),
    ("LVS", "leaf"),
    ("MEA", "meat"),
    ("MED", "medicine"),
    ("MUS", "musk"),
    ("OIL", "oil"),
    ("PLA", "plate of skin or fur"),
    ("POW", "powder"),
    ("ROO", "root"),
    ("SAW", "sawn wood"),
    ("SCA", "scale"),
    ("SEE", "seed"),
    ("SHE", "shell"),
    ("SID", "side of a skin"),
    ("SKE", "skeleton"),
    ("SKI", "skin"),
    ("SKP", "piece of skin"),
    ("SKU", "skull"),
    ("SOU", "soup"),
    ("SPE", "specimen for science"),
    ("STE", "stem"),
    ("SWI", "swim bladder"),
    ("TAI", "tail"),
    ("TEE", "tooth, other than tusk"),
    ("TIM", "raw timber"),
    ("TRO", "hunting trophy, all parts of one animal"),
    ("TUS", "tusk"),
    ("VEN", "veneer"),
    ("WAX", "wax"),
];

/// Units of the CITES Trade Database (guide, annex 1). Where a row there has no unit it counts specimens; here `NO`
/// says so.
pub const UNIT: &[Code] = &[
    ("NO", "number of specimens"),
    ("BOT", "bottles"),
    ("BOX", "boxes"),
    ("CCM", "cubic centimetres"),
    ("CMS", "centimetres"),
    ("CUM", "cubic metres"),
    ("GRM", "grams"),
    ("ITE", "items"),
    ("KIL", "kilograms"),
    ("LTR", "litres"),
    ("MGM", "milligrams"),
    ("MLT", "millilitres"),
    ("MTR", "metres"),
    ("OUN", "ounces"),
    ("PAI", "pairs"),
    ("PCS", "pieces"),
    ("PND", "pounds"),
    ("SET", "sets"),
    ("SID", "sides"),
    ("SKI", "skins"),
    ("SQC", "square centimetres"),
    ("SQM", "square metres"),
];

/// Whether the offer stands. `duplicate-of:FINDING` names another finding and leaves as that row's id.
pub const STATUS: &[Code] = &[
    ("active", "stood when last seen"),
    ("past", "sold, closed or gone"),
    ("wanted", "somebody looks for it"),
    ("duplicate-of", "the same offer as another row"),
];

/// Papers that the offer claims.
pub const DOCUMENTS: &[Code] = &[
    ("certificate", "a certificate or permit is claimed"),
    ("pre-1947", "said to be worked before 3 March 1947 (Regulation 338/97, article 2 w)"),
    ("none-claimed", "nothing is said of papers"),
];

/// Where it stood. No name of a site leaves.
pub const SITE_CLASS: &[Code] = &[
    ("onion-market", "market on an onion service"),
    ("onion-shop", "shop of one seller on an onion service"),
    ("onion-forum", "forum on an onion service"),
    ("clear-web-classified", "classified advertisements"),
    ("clear-web-auction", "auctions"),
    ("clear-web-shop", "shop of one seller"),
    ("clear-web-social", "social network or open chat"),
    ("other", "none of these"),
];

/// ISO 3166-1 alpha-2, as assigned in 2024, and `XX` for unknown (user-assigned).
pub const COUNTRY: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG \
UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XX";

/// ISO 4217 currencies in use in 2024, and the four that markets ask for and ISO does not list (BTC, ETH, LTC, XMR).
pub const CURRENCY: &str = "\
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP \
CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR \
ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT \
MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD \
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES \
VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG BTC ETH LTC XMR";

/// Whether a list has the code.
pub fn has(list: &[Code], code: &str) -> bool {
    list.iter().any(|(known, _)| *known == code)
}

/// Whether a list of words has the code.
pub fn has_word(list: &str, code: &str) -> bool {
    list.split(' ').any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_code_stands_twice() {
        for list in [EU_ANNEX, CITES_APPENDIX, TERM, UNIT, STATUS, DOCUMENTS, SITE_CLASS] {
            assert_eq!(list.iter().map(|(code, _)| code).collect::<HashSet<_>>().len(), list.len());
        }
        for (list, count, length) in [(COUNTRY, 250, 2), (CURRENCY, 154, 3)] {
            let words: HashSet<&str> = list.split(' ').collect();
            assert_eq!(words.len(), list.split(' ').count());
            assert!(words.len() >= count - 6 && words.iter().all(|word| word.len() == length), "{}", words.len());
        }
        assert!(has(TERM, "IVC") && !has(TERM, "ivc") && has_word(COUNTRY, "BE") && !has_word(COUNTRY, "B"));
    }
}
