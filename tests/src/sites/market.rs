//! The two onion markets: one goods list, two very different faces.

use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Method;

use super::catalogue::{self, Ad, VENDORS};
use super::reply::{self, Ask, Coding, Reply};
use super::{font, pictures};

/// How a market looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    /// Old-fashioned tables, English and Dutch, gzip.
    Tables,
    /// Cards, French, Brotli and Zstandard in turn.
    Cards,
}

/// A market.
#[derive(Debug)]
pub(super) struct Market {
    face: Face,
    ads: Vec<&'static Ad>,
    /// Where everything that leaves the market points to.
    away: String,
    /// How often its queue was asked.
    waited: AtomicU32,
}

/// A short page without anything of a market.
fn gate(status: u16, body: &str) -> Reply {
    reply::body(status, "text/html; charset=utf-8", format!("<!DOCTYPE html><title>Market</title>{body}"))
}

/// Offers on a list page.
const PER_PAGE: usize = 6;

impl Market {
    pub(super) fn tables(away: &str) -> Self {
        let ads = catalogue::ads("en").into_iter().chain(catalogue::ads("nl")).collect();
        Self { face: Face::Tables, ads, away: away.to_owned(), waited: AtomicU32::new(0) }
    }

    pub(super) fn cards(away: &str) -> Self {
        Self { face: Face::Cards, ads: catalogue::ads("fr"), away: away.to_owned(), waited: AtomicU32::new(0) }
    }

    pub(super) fn answer(&self, ask: &Ask) -> Reply {
        let path = ask.uri.path();
        if ask.method == Method::POST {
            return if path == "/login" { self.log_in(ask) } else { reply::text(405, "no") };
        }
        match path {
            "/" => self.list(ask),
            "/login" => {
                let mut reply = self.page(ask, "Login", &self.login_form());
                // Markets mark a visitor before anyone logs in.
                reply::set(&mut reply, "set-cookie", "visit=canary-of-the-site; Path=/; Max-Age=86400; HttpOnly");
                reply
            }
            // The mandates of the tests exclude it: asking it would end the agent's session.
            "/logout" => {
                let mut reply = reply::redirect(303, "/login");
                reply::set(&mut reply, "set-cookie", "session=; Max-Age=0; Path=/");
                reply
            }
            "/account" if ask.header("cookie").contains("session=") => {
                self.page(ask, "Account", "<p>Welcome back.</p>")
            }
            "/account" => reply::redirect(303, "/login"),
            "/latest" => reply::redirect(302, "/offer/0"),
            "/partner" => reply::redirect(302, &format!("{}/partner", self.away)),
            "/style.css" => reply::tagged(ask, "text/css; charset=utf-8", self.stylesheet().into_bytes()),
            "/face.ttf" => reply::tagged(ask, "font/ttf", font::squares()),
            // Nothing links to these: what may stand before a page.
            "/gate/queue" => self.queue(),
            "/gate/puzzle" => gate(200, "<form><img src=/captcha.png><input name=code><button>Go</button></form>"),
            "/gate/login" => gate(200, &self.login_form().replace("captcha", "answer")),
            "/gate/app" => gate(200, "<div id=app></div><script src=/app.js></script>"),
            "/gate/tor" => gate(403, "<h1>Access denied</h1><p>Connections from Tor exit nodes are blocked."),
            "/gate/broken" => gate(500, "<h1>Error</h1>"),
            "/robots.txt" => reply::text(200, "User-agent: *\nDisallow: /logout\n"),
            _ => self.by_number(ask, path),
        }
    }

    /// A queue that lets everybody in at the second visit.
    fn queue(&self) -> Reply {
        if self.waited.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            return gate(200, "<h1>Welcome</h1><p>Two lots today.");
        }
        let mut reply = gate(503, "<meta http-equiv=refresh content=2><h1>You are in the queue</h1>");
        reply::set(&mut reply, "retry-after", "1");
        reply
    }

    fn by_number(&self, ask: &Ask, path: &str) -> Reply {
        let mut parts = path.trim_start_matches('/').split('/');
        let (kind, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        if kind == "vendor" {
            return match VENDORS.iter().position(|vendor| vendor.name == rest) {
                Some(index) => self.vendor(ask, index),
                None => reply::text(404, "no such vendor"),
            };
        }
        let (stem, ending) = rest.split_once('.').unwrap_or((rest, ""));
        let Some(number) = stem.parse::<usize>().ok().filter(|n| *n < self.ads.len()) else {
            return reply::text(404, "not here");
        };
        let seed = number as u32 + if self.face == Face::Tables { 0 } else { 1000 };
        match (kind, ending) {
            ("offer", "") => self.offer(ask, number),
            ("picture", "png") => match pictures::png(seed, 12) {
                Ok(png) => reply::tagged(ask, "image/png", png),
                Err(_) => reply::text(500, "no picture"),
            },
            ("picture", "jpg") => reply::tagged(ask, "image/jpeg", pictures::jpeg(seed, 12)),
            _ => reply::text(404, "not here"),
        }
    }

    fn log_in(&self, ask: &Ask) -> Reply {
        let body = String::from_utf8_lossy(&ask.body);
        if !body.contains("user=heron") {
            return self.page(ask, "Login", &format!("<p>Unknown user.</p>{}", self.login_form()));
        }
        let mut reply = reply::redirect(303, "/");
        reply::set(&mut reply, "set-cookie", "session=5f2d9c; Path=/; HttpOnly");
        reply
    }

    fn login_form(&self) -> String {
        "<form method=post action=/login>\
         <label>User <input name=user autocomplete=off></label>\
         <label>Password <input name=password type=password></label>\
         <label>Which animal is on our banner? <input name=captcha></label>\
         <input type=hidden name=token value=a81f><button>Enter</button></form>"
            .to_owned()
    }

    fn list(&self, ask: &Ask) -> Reply {
        let pages = self.ads.len().div_ceil(PER_PAGE);
        let page = ask.number("page", 1).clamp(1, pages);
        let shown = self.ads.iter().enumerate().skip((page - 1) * PER_PAGE).take(PER_PAGE);
        let mut html = String::new();
        match self.face {
            Face::Tables => {
                html.push_str("<table border=1 class=offers><tr><th>Picture<th>Offer<th>Vendor<th>Price");
                for (number, ad) in shown {
                    let vendor = VENDORS[number % VENDORS.len()].name;
                    let _ = write!(
                        html,
                        "<tr><td><img src=/picture/{number}.png width=96 height=96 alt=\"{}\"><td lang={}><a href=/offer/{number}>{}</a>\
                         <td><a href=/vendor/{vendor}>{vendor}</a><td>{}",
                        ad.title,
                        ad.language,
                        ad.title,
                        price(ad.cents)
                    );
                }
                html.push_str("</table>");
            }
            Face::Cards => {
                html.push_str("<section class=cards>");
                for (number, ad) in shown {
                    let vendor = VENDORS[(number + 1) % VENDORS.len()].name;
                    let _ = write!(
                        html,
                        "<article class=card lang=fr><a href=\"/offer/{number}\"><img src=\"/picture/{number}.jpg\" alt=\"{}\"></a>\
                         <h3><a href=\"/offer/{number}\">{}</a></h3><p class=price>{}</p>\
                         <p class=by>par <a href=\"/vendor/{vendor}\">{vendor}</a></p></article>",
                        ad.title,
                        ad.title,
                        price(ad.cents)
                    );
                }
                html.push_str("</section>");
            }
        }
        html.push_str("<nav class=pages>");
        for other in 1..=pages {
            if other == page {
                let _ = write!(html, "<b>{other}</b> ");
            } else {
                let _ = write!(html, "<a href=\"/?page={other}\">{other}</a> ");
            }
        }
        html.push_str("</nav>");
        self.page(ask, "Offers", &html)
    }

    fn offer(&self, ask: &Ask, number: usize) -> Reply {
        let ad = self.ads[number];
        let vendor = VENDORS[(number + usize::from(self.face == Face::Cards)) % VENDORS.len()].name;
        let ending = if self.face == Face::Tables { "png" } else { "jpg" };
        let html = format!(
            "<article class=offer lang={}><h2>{}</h2><img src=/picture/{number}.{ending} alt=\"{}\"><p>{}</p>\
             <dl><dt>Price<dd class=price>{}<dt>Vendor<dd><a href=/vendor/{vendor}>{vendor}</a>\
             <dt>Ships from<dd>EU</dl></article>",
            ad.language,
            ad.title,
            ad.title,
            ad.text,
            price(ad.cents)
        );
        self.page(ask, ad.title, &html)
    }

    fn vendor(&self, ask: &Ask, index: usize) -> Reply {
        let vendor = VENDORS[index];
        let shift = usize::from(self.face == Face::Cards);
        let mut html = format!("<h2>{}</h2><pre class=pgp>{}</pre><ul>", vendor.name, vendor.key);
        for (number, ad) in self.ads.iter().enumerate().filter(|(n, _)| (n + shift) % VENDORS.len() == index) {
            let _ = write!(html, "<li><a href=/offer/{number}>{}</a>", ad.title);
        }
        html.push_str("</ul>");
        self.page(ask, vendor.name, &html)
    }

    /// A whole page with everything around its middle, links that leave included.
    fn page(&self, ask: &Ask, title: &str, middle: &str) -> Reply {
        let (name, language, coding) = match self.face {
            Face::Tables => ("Blue Bazaar", "en", Coding::Gzip),
            Face::Cards if ask.uri.path().len().is_multiple_of(2) => ("Le Grand Comptoir", "fr", Coding::Zstd),
            Face::Cards => ("Le Grand Comptoir", "fr", Coding::Brotli),
        };
        let away = &self.away;
        let html = format!(
            "<!DOCTYPE html>\n<html lang={language}><head><meta charset=utf-8><title>{title} - {name}</title>\
             <link rel=stylesheet href=/style.css><link rel=preconnect href=\"{away}\">\
             <link rel=dns-prefetch href=\"{away}\"></head><body class={class}>\n\
             <header><h1><a href=/>{name}</a></h1><nav><a href=/latest>Latest</a> <a href=/account>Account</a> \
             <a href=/login>Login</a> <a href=/logout>Logout</a> <a href=/partner>Partner</a> \
             <a href=\"{away}/forum\">Forum</a></nav></header>\n{middle}\n\
             <footer><img src=\"{away}/counter.gif\" alt=\"\" width=1 height=1> {name}: buyers and sellers are invented.</footer>\
             </body></html>\n",
            class = if self.face == Face::Tables { "tables" } else { "cards" },
        );
        reply::html(ask, coding, html)
    }

    fn stylesheet(&self) -> String {
        let face = "@font-face{font-family:Squares;src:url(/face.ttf) format(\"truetype\")}\n";
        let look = match self.face {
            Face::Tables => {
                "body{background:#eef4ff;font:15px serif}th{background:#225;color:#fff}td{padding:4px}h1{font-family:Squares,serif}"
            }
            Face::Cards => {
                "body{background:#1c1712;color:#eee;font:16px sans-serif}.cards{display:flex;flex-wrap:wrap;gap:12px}\
                 .card{background:#2c241c;border-radius:8px;padding:10px;width:180px}a{color:#e8b86a}h1{font-family:Squares,sans-serif}"
            }
        };
        format!("{face}{look}\nbody.never{{background:url({}/tile.png)}}\n", self.away)
    }
}

fn price(cents: u32) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}
