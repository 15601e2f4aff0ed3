//! Cookies of a (case, profile): kept sealed, sent only to the host that set them.

use cookie_store::CookieStore;
use url::Url;
use vigie_store::{ProfileKey, State, StateOp};

use crate::error::Problem;

/// Area of the run state that holds the jar.
const AREA: &str = "jar";
/// Longest cookie taken, name, value and attributes, in bytes (RFC 6265 §6.1 asks for 4,096; a
/// sealed value may hold that much in all).
const COOKIE_BYTES: usize = 3800;
/// Most cookies kept for one (case, profile) (RFC 6265 §6.1 asks for 3,000).
const COOKIES: usize = 3000;

/// The cookie jar in memory; changes are handed to the store as state operations.
#[derive(Default)]
pub struct Jar {
    cookies: CookieStore,
}

impl Jar {
    /// Reads the sealed jar.
    pub fn open(state: &State<'_>) -> Result<Self, Problem> {
        let mut kept = Vec::new();
        for (_, value) in state.iter().map_err(|e| Problem::other(e.to_string()))? {
            if let Ok(cookie) = serde_json::from_slice::<cookie_store::Cookie<'static>>(&value) {
                kept.push(Ok::<_, std::convert::Infallible>(cookie));
            }
        }
        let cookies = match CookieStore::from_cookies(kept, false) {
            Ok(cookies) => cookies,
            Err(never) => match never {},
        };
        Ok(Self { cookies })
    }

    /// The `Cookie` field for a URL, or `None` when no cookie goes there.
    pub fn header(&self, url: &Url) -> Option<String> {
        let mut pairs: Vec<String> =
            self.cookies.get_request_values(url).map(|(name, value)| format!("{name}={value}")).collect();
        // The order of RFC 6265 §5.4 depends on creation times, which the store does not keep;
        // a fixed order at least does not change from request to request.
        pairs.sort();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// How many cookies would go to a URL.
    pub fn count(&self, url: &Url) -> usize {
        self.cookies.get_request_values(url).count()
    }

    /// Takes the `Set-Cookie` fields of a response; gives the changes to keep. Fields that are
    /// malformed, too long, or name another host are left out (their bytes are in the record).
    pub fn receive(&mut self, url: &Url, fields: &[String], key: &ProfileKey) -> Vec<StateOp> {
        if fields.is_empty() {
            return Vec::new();
        }
        for field in fields {
            if field.len() > COOKIE_BYTES || self.cookies.iter_any().count() >= COOKIES || foreign(field, url) {
                continue;
            }
            let _ = self.cookies.parse(field, url);
        }
        self.kept(url, key)
    }

    /// Cookies of this host as state operations; expired ones are removed.
    fn kept(&self, url: &Url, key: &ProfileKey) -> Vec<StateOp> {
        let host = url.host_str().unwrap_or_default();
        let mut operations = Vec::new();
        for cookie in self.cookies.iter_any() {
            let domain = String::from(&cookie.domain);
            if domain != host {
                continue;
            }
            let operation = if cookie.is_expired() {
                StateOp::remove(key, AREA, &place(cookie))
            } else {
                StateOp::put(key, AREA, &place(cookie), serde_json::to_vec(cookie).unwrap_or_default())
            };
            // What is too long to be kept (its JSON grows with escapes) lives as long as the session:
            // a site must not be able to stop a run by a cookie.
            if operation.fits() {
                operations.push(operation);
            }
        }
        operations
    }

    /// Imports a `cookies.txt` in the Netscape format (seven fields separated by tabs: host,
    /// subdomains, path, secure, expiry in Unix seconds, name, value; `#HttpOnly_` before the
    /// host is a mark, other `#` lines are comments). Only cookies for `hosts` are taken.
    pub fn import(
        &mut self,
        text: &str,
        hosts: &[String],
        now_unix_s: i64,
        key: &ProfileKey,
    ) -> Result<(usize, Vec<StateOp>), Problem> {
        let mut operations = Vec::new();
        let mut taken = 0;
        for (index, line) in text.lines().enumerate() {
            let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split('\t').collect();
            let [host, _, path, secure, expiry, name, value] = fields[..] else {
                return Err(Problem::input(format!(
                    "cookies.txt line {}: {} fields where the Netscape format has 7, separated by tabs",
                    index + 1,
                    fields.len()
                )));
            };
            let host = host.trim_start_matches('.').to_ascii_lowercase();
            if !hosts.contains(&host) {
                continue;
            }
            let expiry: i64 = expiry.parse().map_err(|_| {
                Problem::input(format!("cookies.txt line {}: the expiry is not a number of seconds", index + 1))
            })?;
            if expiry != 0 && expiry <= now_unix_s {
                continue;
            }
            let secure = secure.eq_ignore_ascii_case("true");
            let scheme = if secure || !host.ends_with(".onion") { "https" } else { "http" };
            let url = Url::parse(&format!("{scheme}://{host}{path}"))
                .map_err(|e| Problem::input(format!("cookies.txt line {}: {e}", index + 1)))?;
            let mut field = format!("{name}={value}; Path={path}");
            if expiry != 0 {
                field.push_str(&format!("; Max-Age={}", expiry - now_unix_s));
            }
            if secure {
                field.push_str("; Secure");
            }
            let _ = self.cookies.parse(&field, &url);
            taken += 1;
            operations.extend(self.kept(&url, key));
        }
        Ok((taken, operations))
    }
}

/// The field sets a `Domain` other than the host itself: cookies never reach a second host.
fn foreign(field: &str, url: &Url) -> bool {
    field.split(';').skip(1).any(|attribute| {
        attribute.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("domain")
                && !value.trim().trim_start_matches('.').eq_ignore_ascii_case(url.host_str().unwrap_or_default())
        })
    })
}
/// Name of a cookie's place: a digest, since domain, path and name may hold any separator.
fn place(cookie: &cookie_store::Cookie<'_>) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in [String::from(&cookie.domain), String::from(&cookie.path), cookie.name().to_owned()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}
