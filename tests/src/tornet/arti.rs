//! Arti's configuration for the private network.

use std::fmt::Write;

use super::torrc::Authority;

/// Arti's own configuration (its `arti.toml`), without places for state and cache.
pub(super) fn toml(authorities: &[Authority]) -> String {
    let mut text = String::from(
        "# A private Tor network on loopback. Never use these settings on the public network.\n\n\
         [tor_network]\nfallback_caches = [\n",
    );
    for a in authorities {
        let _ = writeln!(
            text,
            "  {{ rsa_identity = \"{}\", ed_identity = \"{}\", orports = [\"127.0.0.1:{}\"] }},",
            a.relay.rsa, a.relay.ed25519, a.or_port
        );
    }
    text.push_str("]\n\n[tor_network.authorities]\nv3idents = [\n");
    for a in authorities {
        let _ = writeln!(text, "  \"{}\",", a.v3_identity);
    }
    text.push_str(
        "]\nuploads = []\ndownloads = []\nvotes = []\n\n\
         [path_rules]\n\
         # All relays share 127.0.0.1: no two would ever fit one circuit.\n\
         ipv4_subnet_family_prefix = 33\n\
         ipv6_subnet_family_prefix = 129\n\n\
         [override_net_params]\n\
         # C tor under TestingTorNetwork: time period = 24 voting intervals = 8 minutes.\n\
         hsdir_interval = 8\n\
         # Milliseconds; on loopback Arti would learn a timeout that a busy machine cannot meet.\n\
         cbtmintimeout = 5000\n\n\
         [address_filter]\n\
         allow_onion_addrs = true\n",
    );
    text
}
