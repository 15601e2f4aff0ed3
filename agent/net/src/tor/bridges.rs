//! The bridges and transports that a configuration names, read before anything is started, so that a wrong
//! line is said by its place and not by its content: a bridge's address is a secret of whoever got it.

use arti_client::config::BridgeConfigBuilder;

use crate::NetError;

/// A bridge as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Pluggable transport; none for a relay that is spoken to as it is.
    pub transport: Option<String>,
    /// The whole line.
    pub line: String,
}

/// The bridge lines of a `[tor]` table, each checked: `bridges.bridges`, a list or one text with a line each,
/// in which empty lines and those that begin with `#` say nothing (as Arti reads it). Entries that are tables
/// are Arti's to check.
pub fn bridges(tor: &toml::Table) -> Result<Vec<Bridge>, NetError> {
    let Some(listed) = tor.get("bridges").and_then(|bridges| bridges.get("bridges")) else { return Ok(Vec::new()) };
    let lines: Vec<&str> = match listed {
        toml::Value::String(text) => text.lines().collect(),
        toml::Value::Array(list) => list.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
        _ => return Ok(Vec::new()),
    };
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        line.parse::<BridgeConfigBuilder>()
            .map_err(|_| ())
            .and_then(|builder| builder.build().map_err(|_| ()))
            .map_err(|()| NetError::Bridge { line: index + 1, of: lines.len(), why: why(line) })?;
        let bare = line.strip_prefix("Bridge ").unwrap_or(line).trim();
        let first = bare.split_whitespace().next().unwrap_or_default();
        let transport = (!first.contains(':')).then(|| first.to_owned());
        found.push(Bridge { transport, line: line.to_owned() });
    }
    Ok(found)
}

/// Whether the bridges are used: `bridges.enabled`, which says *auto* when it says nothing.
pub fn enabled(tor: &toml::Table, bridges: &[Bridge]) -> bool {
    match tor.get("bridges").and_then(|table| table.get("enabled")) {
        Some(toml::Value::Boolean(said)) => *said,
        _ => !bridges.is_empty(),
    }
}

/// Names of the transports that are configured (`bridges.transports`).
pub fn transports(tor: &toml::Table) -> Vec<String> {
    let listed = tor.get("bridges").and_then(|bridges| bridges.get("transports")).and_then(|list| list.as_array());
    let mut names = Vec::new();
    for transport in listed.into_iter().flatten() {
        let protocols = transport.get("protocols").and_then(|list| list.as_array()).into_iter().flatten();
        names.extend(protocols.filter_map(|name| name.as_str()).map(str::to_owned));
    }
    names
}

/// What the line lacks, without a word of it.
fn why(line: &str) -> &'static str {
    let words: Vec<&str> = line.strip_prefix("Bridge ").unwrap_or(line).split_whitespace().collect();
    let (address, rest) = match words.as_slice() {
        [] => return "it is empty",
        [first, rest @ ..] if first.contains(':') => (*first, rest),
        [_transport] => return "it has no address",
        [_transport, address, rest @ ..] => (*address, rest),
    };
    if address.parse::<std::net::SocketAddr>().is_err() && address.rsplit_once(':').is_none() {
        return "its address is not ADDRESS:PORT";
    }
    let fingerprint = |word: &&&str| !word.contains('=');
    let Some(key) = rest.iter().find(fingerprint) else { return "it has no fingerprint (40 hexadecimal digits)" };
    let key = key.trim_start_matches('$');
    if key.len() != 40 || !key.bytes().all(|b| b.is_ascii_hexdigit()) {
        return "its fingerprint is not 40 hexadecimal digits";
    }
    "its address, port or settings are not as a bridge line has them"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "4352e58420e68f5e40bade74faddccd9d1349413";

    fn read(toml: &str) -> Result<Vec<Bridge>, String> {
        bridges(&toml.parse().expect("TOML")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_wrong_line_is_named_by_its_place_alone() {
        let good = format!("192.0.2.83:80 {KEY}");
        for (line, word) in [
            ("192.0.2.83 4352e58420e68f5e40bade74faddccd9d1349413", "address"),
            ("192.0.2.83:80", "fingerprint"),
            ("192.0.2.83:80 4352e58420", "40 hexadecimal"),
            ("obfs4", "no address"),
            ("obfs4 192.0.2.83:80 4352e58420e68f5e40bade74faddccd9d134941Z cert=x", "40 hexadecimal"),
            ("192.0.2.83:99999 4352e58420e68f5e40bade74faddccd9d1349413", "port"),
        ] {
            let said = read(&format!("[bridges]\nbridges = [\"{good}\", \"{line}\"]")).expect_err(line);
            assert!(said.contains("bridge line 2 of 2") && said.contains(word), "{line}: {said}");
            assert!(!said.contains("192.0.2") && !said.contains("4352"), "{said}");
        }
        let text = format!("[bridges]\nbridges = '''\n# mine\nBridge {good}\nobfs4 {good} cert=abc iat-mode=0\n'''");
        let found = read(&text).expect("bridges");
        let transports: Vec<_> = found.iter().map(|bridge| bridge.transport.as_deref()).collect();
        assert_eq!(transports, [None, Some("obfs4")]);
        assert_eq!(read("[vanguards]\nmode = \"full\"").expect("none"), []);
    }

    #[test]
    fn used_unless_it_is_said_otherwise() {
        for (said, used) in
            [("", true), ("enabled = true", true), ("enabled = \"auto\"", true), ("enabled = false", false)]
        {
            let tor = format!("[bridges]\n{said}\nbridges = [\"192.0.2.83:80 {KEY}\"]").parse().expect("TOML");
            assert_eq!(enabled(&tor, &bridges(&tor).expect("bridges")), used, "{said}");
        }
        assert!(!enabled(&toml::Table::new(), &[]));
        let tor = "[[bridges.transports]]\nprotocols = [\"obfs4\", \"obfs3\"]\npath = \"/x\"".parse().expect("TOML");
        assert_eq!(transports(&tor), ["obfs4", "obfs3"]);
    }

    proptest! {
        /// We refuse what Arti refuses, and nothing else.
        #[test]
        fn as_arti_reads_it(line in "(Bridge )?(obfs4 )?[0-9.:]{0,20} [$0-9a-fZ]{0,42}( [a-z]{1,5}=[a-z0-9]{0,9})?") {
            let line = line.trim();
            let theirs = line.parse::<BridgeConfigBuilder>().ok().is_some_and(|builder| builder.build().is_ok());
            let table = toml::Table::from_iter([(
                "bridges".to_owned(),
                toml::Table::from_iter([("bridges".to_owned(), vec![line].into())]).into(),
            )]);
            prop_assert_eq!(bridges(&table).is_ok(), theirs || line.is_empty());
        }
    }
}
