//! Profiles.

use vigie_config::profile::Profile;

const PROFILE: &str = "format = \"vigie-profile/1\"\nname = \"heron\"\nheader_set = \"tor-browser-linux-153\"\nlanguage = \"fr-FR\"\n[pacing]\nmin_ms = 0\nmax_ms = 900\n";

#[test]
fn reads() {
    let profile = Profile::parse(PROFILE.as_bytes()).unwrap();
    assert_eq!((profile.name(), profile.language(), profile.pacing_ms()), ("heron", "fr-FR", (0, 900)));
    assert!(!format!("{profile:?}").contains("heron"));
}

#[test]
fn faults_name_their_line() {
    for (from, to, line) in [
        ("vigie-profile/1", "vigie-profile/9", 1),
        ("\"heron\"", "\"\"", 2),
        ("\"heron\"", "\"he\\nron\"", 2),
        ("\"heron\"", "7", 2),
        ("fr-FR", "fr FR", 4),
        ("max_ms = 900", "max_ms = -1", 7),
        ("min_ms = 0", "min_ms = 901", 5),
        ("min_ms = 0", "minimum = 0", 6),
    ] {
        let complaint = Profile::parse(PROFILE.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(complaint.line, line, "{to}: {complaint}");
        assert!(!complaint.to_string().contains("heron"));
    }
}
