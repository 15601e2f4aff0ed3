//! What the elements of a page refer to.

use vigie_wire::parse::RequisiteClass::{Frame, ListingImage, Media, OtherImage, Script, Stylesheet};
use vigie_wire::parse::{PageKind, RequisiteClass};

use crate::fixture::{html, links, requisites, typed};

/// Element, and what a browser without scripts fetches because of it.
const FETCHED: &[(&str, &[(&str, RequisiteClass)])] = &[
    ("<img src=x>", &[("x", OtherImage)]),
    ("<IMG SRC=x>", &[("x", OtherImage)]),
    ("<image src=x>", &[("x", OtherImage)]),
    ("<img srcset='a 1x, b 2x'>", &[("a", OtherImage), ("b", OtherImage)]),
    ("<img src=x srcset='x 1x,y 2x'>", &[("x", OtherImage), ("y", OtherImage)]),
    // The grammar of §4.8.4.3.10: a comma may be in an address, and in parentheses.
    ("<img srcset='a,b.png 1x'>", &[("a,b.png", OtherImage)]),
    ("<img srcset=',,a 1x,, b'>", &[("a", OtherImage), ("b", OtherImage)]),
    ("<img srcset='a, b'>", &[("a", OtherImage), ("b", OtherImage)]),
    ("<img srcset='a,b'>", &[("a,b", OtherImage)]),
    ("<img srcset='a (1,2), b'>", &[("a", OtherImage), ("b", OtherImage)]),
    ("<img srcset='a 1x 2w 3h, b'>", &[("a", OtherImage), ("b", OtherImage)]),
    ("<img srcset='data:image/png;base64,AAAA 1x, b 2x'>", &[("b", OtherImage)]),
    ("<img srcset=' '>", &[]),
    ("<img data-src=x src=y>", &[("y", OtherImage), ("x", OtherImage)]),
    ("<img data-srcset='a 1x'>", &[("a", OtherImage)]),
    ("<picture><source srcset='a 1x'><img src=b></picture>", &[("a", OtherImage), ("b", OtherImage)]),
    ("<picture><source src=no><img src=b></picture>", &[("b", OtherImage)]),
    ("<source src=no srcset=no>", &[]),
    (
        "<video src=v poster=p><source src=w><track src=t></video>",
        &[("v", Media), ("p", OtherImage), ("w", Media), ("t", Media)],
    ),
    ("<audio src=a></audio>", &[("a", Media)]),
    ("<embed src=e>", &[("e", Media)]),
    ("<embed src=e.png>", &[("e.png", OtherImage)]),
    ("<object data=o></object>", &[("o", Media)]),
    ("<object data=o type=image/png></object>", &[("o", OtherImage)]),
    ("<object data=o.html></object>", &[("o.html", Frame)]),
    ("<object data=o type=text/html></object>", &[("o", Frame)]),
    ("<object data=o.png type=application/x-shockwave-flash></object>", &[("o.png", Media)]),
    ("<object data=o><param name=movie value=no><img src=i></object>", &[("o", Media), ("i", OtherImage)]),
    ("<iframe src=f></iframe>", &[("f", Frame)]),
    ("<frameset><frame src=f></frameset>", &[("f", Frame)]),
    ("<iframe src=no srcdoc='<img src=i>'></iframe>", &[("i", OtherImage)]),
    ("<iframe srcdoc></iframe>", &[]),
    ("<iframe srcdoc=\"<base href=/b/><img src=i>\"></iframe><img src=j>", &[("j", OtherImage), ("/b/i", OtherImage)]),
    ("<script src=s></script>", &[("s", Script)]),
    ("<script type=module src=s></script>", &[("s", Script)]),
    ("<script type=text/javascript src=s></script>", &[("s", Script)]),
    ("<script type=text/template src=no></script>", &[]),
    ("<script type=application/ld+json src=no></script>", &[]),
    ("<link rel=stylesheet href=c>", &[("c", Stylesheet)]),
    ("<link rel='alternate STYLESHEET' href=c>", &[("c", Stylesheet)]),
    ("<link rel='shortcut icon' href=i>", &[("i", OtherImage)]),
    ("<link rel=apple-touch-icon href=i>", &[("i", OtherImage)]),
    ("<link rel=preload as=image href=i imagesrcset='j 2x'>", &[("i", OtherImage), ("j", OtherImage)]),
    ("<link rel=preload as=script href=s>", &[("s", Script)]),
    ("<link rel=modulepreload href=s>", &[("s", Script)]),
    ("<link rel=preconnect href=no><link rel=dns-prefetch href=no><link rel=prefetch href=no>", &[]),
    ("<link rel=next href=no><link rel=canonical href=no><link rel=alternate href=no><link href=no>", &[]),
    ("<body background=b>", &[("b", OtherImage)]),
    (
        "<table background=b><tr background=c><td background=d>",
        &[("b", OtherImage), ("c", OtherImage), ("d", OtherImage)],
    ),
    ("<p background=no>", &[]),
    ("<input type=IMAGE src=i>", &[("i", OtherImage)]),
    ("<input type=text src=no>", &[]),
    ("<svg><image href=i /></svg>", &[("i", OtherImage)]),
    ("<svg><image xlink:href=i /></svg>", &[("i", OtherImage)]),
    ("<svg><image href=i xlink:href=no /></svg>", &[("i", OtherImage)]),
    ("<svg><use href='u.svg#a'/><use href='#b'/></svg>", &[("u.svg", OtherImage)]),
    ("<svg><filter><feImage href=i /></filter></svg>", &[("i", OtherImage)]),
    ("<svg><script href=s></script></svg>", &[("s", Script)]),
    ("<svg><style>a{b:url(x)}</style></svg>", &[("x", OtherImage)]),
    ("<svg><foreignObject><img src=i></foreignObject></svg>", &[("i", OtherImage)]),
    ("<svg><img src=i></svg>", &[("i", OtherImage)]),
    ("<svg><video src=no></video></svg>", &[]),
    ("<math><mglyph src=no></math>", &[]),
    ("<noscript><img src=i></noscript>", &[("i", OtherImage)]),
    ("<head><noscript><link rel=stylesheet href=c></noscript>", &[("c", Stylesheet)]),
    ("<b style='background:url(x)'>x</b>", &[("x", OtherImage)]),
    ("<i style='background:url(x)'><p>x</i>y", &[("x", OtherImage)]),
    ("<div title='<img src=no>'>", &[]),
    ("<a title=\"'><img src=no>\">", &[]),
    ("<meta property=og:image content=no>", &[]),
];

#[test]
fn what_a_browser_fetches_is_a_requisite() {
    for (page, expected) in FETCHED {
        let read = html(page);
        let found: Vec<(String, RequisiteClass)> = read
            .requisites
            .iter()
            .map(|r| (r.url.replace("http://market.test/dir/", "").replace("http://market.test", ""), r.class))
            .collect();
        let expected: Vec<(String, RequisiteClass)> =
            expected.iter().map(|(url, class)| ((*url).to_owned(), *class)).collect();
        assert_eq!(found, expected, "{page}");
        assert_eq!(read.warnings, Vec::<String>::new(), "{page}");
    }
}

#[test]
fn links_have_the_text_a_reader_sees() {
    for (page, text) in [
        ("<a href=x>one</a>", "one"),
        ("<a href=x>  one\n\t two </a>", "one two"),
        ("<a href=x>a<b>b</b>c</a>", "abc"),
        ("<math><mi href=x>t</mi></math>", "t"),
        ("<math><annotation-xml encoding=text/html><a href=x>t</a>", "t"),
        ("<a href=x><div>a</a>", "a"),
        ("<a href=x title=t>one</a>", "one"),
        ("<a href=x title=t></a>", "t"),
        ("<a href=x aria-label=l> </a>", "l"),
        ("<a href=x><img src=i alt='a picture'></a>", "a picture"),
        ("<a href=x><img src=i alt></a>", ""),
        ("<map><area href=x alt=a></map>", "a"),
        ("<a href=x></a><a href=x>later</a>", "later"),
        ("<a href=x>first</a><a href=x>later</a>", "first"),
        ("<svg><a href=x><text>t</text></a></svg>", "t"),
        ("<svg><a xlink:href=x>t</a></svg>", "t"),
        ("<a href=x>&lt;b&gt; &amp; &#x43a;</a>", "<b> & к"),
        ("<a href=x>a\u{0}\u{202f}b\u{7f}c</a>", "a b c"),
    ] {
        let read = html(page);
        assert_eq!(links(&read), ["http://market.test/dir/x"], "{page}");
        assert_eq!(read.links[0].text, text, "{page}");
    }
}

#[test]
fn relations_are_kept() {
    let page = html("<a href=x rel='NoFollow  ugc\tnoopener'>y</a><a href=z rel>y</a>");
    assert_eq!(page.links[0].rel, ["nofollow", "ugc", "noopener"]);
    assert!(page.links[1].rel.is_empty());
}

#[test]
fn links_stand_in_document_order() {
    let page = html("<a href=1>x</a><p><a href=2>x<a href=3>x</p><table><tr><td><a href=4>x</a></table><a href=5>x");
    assert_eq!(links(&page), [1, 2, 3, 4, 5].map(|n| format!("http://market.test/dir/{n}")));
}

#[test]
fn the_title_is_that_of_the_document() {
    for (page, title) in [
        ("<title> A \n B </title>", "A B"),
        ("<title></title><title>B</title>", "B"),
        ("<title>A<b>c</title>", "A<b>c"),
        ("<title>&eacute;&amp</title>", "é&"),
        ("<body><title>late</title>", "late"),
        ("<svg><title>no</title></svg><title>yes</title>", "yes"),
        ("<svg><title>no</title></svg>", ""),
        ("<iframe srcdoc='<title>no</title>'></iframe>", ""),
        ("<title>never closed <a href=x>", "never closed <a href=x>"),
    ] {
        assert_eq!(html(page).title, title, "{page}");
    }
}

#[test]
fn a_frame_that_stands_in_the_page_is_read_but_once() {
    let page = html(
        "<iframe srcdoc=\"<a href=in>x</a><form action=/f><input name=n></form>\
         <iframe srcdoc='&amp;lt;img src=deep&amp;gt;'></iframe>\"></iframe>",
    );
    assert_eq!(links(&page), ["http://market.test/dir/in"]);
    assert_eq!(page.forms.len(), 1);
    assert_eq!(page.forms[0].fields, [("n".to_owned(), "text".to_owned())]);
    assert_eq!(page.warnings, ["documents of frames within frames were not read"]);
    let many = html(&"<iframe srcdoc='<img src=i>'></iframe>".repeat(500));
    assert_eq!(requisites(&many).len(), 1);
    assert!(many.warnings.iter().any(|line| line.contains("more than 100 frames")), "{:?}", many.warnings);
}

/// In XHTML every tag may close itself; in HTML a self-closing script swallows what follows.
#[test]
fn xhtml_closes_what_closes_itself() {
    let text = "<title/><script src='s'/><a name='n'/><div/><textarea/><a href='x'>y</a>";
    let page = vigie_parse::page(&typed("application/xhtml+xml", text));
    assert_eq!(page.kind, PageKind::Html);
    assert_eq!(links(&page), ["http://market.test/dir/x"]);
    assert_eq!(page.links[0].text, "y");
    assert!(links(&html(text)).is_empty());
}

#[test]
fn a_picture_found_again_as_one_of_an_offer_is_one() {
    let card = |n: usize| {
        format!("<li class=o><a href=/o/{n}><img src=/p/{n}.jpg></a><a href=/o/{n}>Offer {n}</a> {n} EUR</li>")
    };
    let page = html(&format!("<img src=/p/1.jpg><ul>{}{}{}</ul>", card(1), card(2), card(3)));
    assert!(page.requisites.iter().all(|r| r.class == ListingImage), "{:?}", page.requisites);
    // But what is a stylesheet too stays one.
    let page = html(&format!("<link rel=stylesheet href=/p/1.jpg><ul>{}{}{}</ul>", card(1), card(2), card(3)));
    assert_eq!(page.requisites[0].class, Stylesheet);
}
