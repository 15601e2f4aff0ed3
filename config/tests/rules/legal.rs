//! The shipped legal bases.

use std::collections::HashSet;

use vigie_config::authorize::Action;
use vigie_config::legal;

#[test]
fn the_shipped_data_is_sound() {
    let mut ids = HashSet::new();
    for basis in legal::all() {
        assert!(ids.insert(&basis.id), "{}", basis.id);
        assert!(!basis.actions.is_empty() && !basis.offence.is_empty() && !basis.reference.is_empty(), "{}", basis.id);
        assert!(basis.counsel.starts_with("to confirm: "), "{}", basis.id);
        // An opposition supposes an information.
        assert!(basis.information_required || !basis.non_opposition_required, "{}", basis.id);
        assert_eq!(legal::find(&basis.id).map(|found| &found.id), Some(&basis.id));
    }
    let of = |country: &str| legal::all().iter().filter(|basis| basis.country == country).count();
    assert!(of("FR") >= 2 && of("BE") >= 2 && of("XX") >= 1);
    assert!(legal::all().iter().any(|basis| basis.country == "BE" && basis.actions == [Action::Observe]));
    assert!(legal::version().parse::<jiff::civil::Date>().is_ok());
}
