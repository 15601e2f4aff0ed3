//! The second-hand site on the clear web: French and Dutch, no login to look.

use std::fmt::Write;

use super::catalogue::{self, Ad};
use super::reply::{self, Ask, Coding, Reply};
use super::{font, pictures};

/// The site.
#[derive(Debug)]
pub(super) struct Shop {
    ads: Vec<&'static Ad>,
    away: String,
}

const PER_PAGE: usize = 8;

/// A page drawn by scripts, with what it draws in it: linked data (JSON-LD), the state of the program, and
/// bytes that no reader may put right (a byte order mark, a NUL, bytes that are no UTF-8, mixed line ends).
pub const DATA_PAGE: &[u8] = b"\xEF\xBB\xBF<!DOCTYPE html>\r\n<title>Annonce</title>\n\
<script type=\"application/ld+json\">{\"@context\":\"https://schema.org\",\"@type\":\"Product\",\r\n \"name\":\"Statuette en ivoire \\u003cXIXe\\u003e\",\
\"offers\":{\"price\":1.50e2,\"priceCurrency\":\"EUR\"}, \"name\":\"twice\",}</script>\n\
<script id=__NEXT_DATA__ type=application/json>{\"props\":{\"seller\":\"v\xE9ro\",\"nul\":\"\0\",\"n\":00012}}</script>\
<script>window.__STATE__ = JSON.parse('{\\x22ad\\x22:[1,2,]}')</script>\r<div id=root></div>\xFF\xFE";

impl Shop {
    pub(super) fn new(away: &str) -> Self {
        let ads = catalogue::ads("fr").into_iter().chain(catalogue::ads("nl")).collect();
        Self { ads, away: away.to_owned() }
    }

    pub(super) fn answer(&self, ask: &Ask) -> Reply {
        let path = ask.uri.path();
        let number = |prefix: &str, ending: &str| {
            let stem = path.strip_prefix(prefix)?.strip_suffix(ending)?;
            stem.parse::<usize>().ok().filter(|n| *n < self.ads.len())
        };
        match path {
            "/" => return self.list(ask),
            "/style.css" => {
                return reply::tagged(
                    ask,
                    "text/css",
                    b"main{max-width:50em;margin:auto}@font-face{font-family:Squares;src:url(face.ttf)}".to_vec(),
                );
            }
            "/donnees" => return reply::body(200, "text/html; charset=utf-8", DATA_PAGE),
            "/face.ttf" => return reply::tagged(ask, "font/ttf", font::squares()),
            // A redirect inside, by relative reference, and one that falls back to plain HTTP.
            "/nouveau" => return reply::redirect(301, "annonce/0"),
            "/ancien" => return reply::redirect(301, &format!("http://{}/", ask.header("host"))),
            "/jeu" => return reply::redirect(302, &self.away),
            _ => {}
        }
        if let Some(number) = number("/annonce/", "") {
            return self.ad(ask, number);
        }
        match number("/photo/", ".jpg") {
            Some(number) => reply::tagged(ask, "image/jpeg", pictures::jpeg(number as u32 + 2000, 10)),
            None => reply::text(404, "introuvable"),
        }
    }

    fn list(&self, ask: &Ask) -> Reply {
        let pages = self.ads.len().div_ceil(PER_PAGE);
        let page = ask.number("page", 1).clamp(1, pages);
        let mut html = String::from("<ul class=annonces>");
        for (number, ad) in self.ads.iter().enumerate().skip((page - 1) * PER_PAGE).take(PER_PAGE) {
            let _ = write!(
                html,
                "<li lang={}><a href=annonce/{number}><img src=photo/{number}.jpg alt=\"\"> {}</a> <b>{} €</b>",
                ad.language,
                ad.title,
                ad.cents / 100
            );
        }
        html.push_str("</ul>");
        if page < pages {
            let _ = write!(html, "<a rel=next href=\"/?page={}\">Suite</a>", page + 1);
        }
        self.page(ask, "Brocante", &html)
    }

    fn ad(&self, ask: &Ask, number: usize) -> Reply {
        let ad = self.ads[number];
        let html = format!(
            "<h2 lang={}>{}</h2><img src=/photo/{number}.jpg alt=\"\"><p>{}</p><p><b>{} €</b>, enlèvement ou envoi.</p>",
            ad.language,
            ad.title,
            ad.text,
            ad.cents / 100
        );
        self.page(ask, ad.title, &html)
    }

    fn page(&self, ask: &Ask, title: &str, middle: &str) -> Reply {
        let html = format!(
            "<!DOCTYPE html><html lang=fr><head><meta charset=utf-8><title>{title}</title><link rel=stylesheet href=/style.css>\
             </head><body><main><h1><a href=/>La Brocante</a></h1>{middle}<p><a href=/nouveau>Nouveau</a> \
             <a href=/jeu>Jeu</a> <a href=/ancien>Ancien site</a></p></main></body></html>\n"
        );
        let mut reply = reply::html(ask, Coding::Brotli, html);
        reply::set(&mut reply, "strict-transport-security", "max-age=600");
        reply
    }
}
