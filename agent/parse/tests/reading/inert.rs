//! What belongs to no document, or is only text: it refers to nothing.

use crate::fixture::{html, links, requisites};

#[test]
fn templates_are_inert_but_for_shadow_trees() {
    for (page, expected) in [
        ("<template><a href=no>x</a></template><a href=x>y</a>", vec!["x"]),
        ("<template><template><a href=no></a></template><a href=no></a></template><a href=x>y</a>", vec!["x"]),
        ("<template><div></template><a href=x>y</a>", vec!["x"]),
        ("<template><table><tr><td></template><a href=x>y</a>", vec!["x"]),
        ("<template><script>'</template>'</script><a href=no></a></template><a href=x>y</a>", vec!["x"]),
        ("<template><title></template></title><a href=no></a></template><a href=x>y</a>", vec!["x"]),
        ("<template><svg><title/><style/></svg><a href=no></a></template><a href=x>y</a>", vec!["x"]),
        ("<template><!-- </template> --><a href=no></a></template><a href=x>y</a>", vec!["x"]),
        ("<template><a href='</template>'></a></template><a href=x>y</a>", vec!["x"]),
        ("<table><template><tr></template><tr><td><a href=x>y</a></table>", vec!["x"]),
        ("</template><a href=x>y</a></template>", vec!["x"]),
        ("<template/><a href=no>x</a>", vec![]),
        ("<div><template shadowrootmode=open><a href=x>y</a></template></div>", vec!["x"]),
        ("<div><template shadowrootmode=CLOSED><p><a href=x>y</a></template></div><a href=z>y</a>", vec!["x", "z"]),
        ("<div><template shadowrootmode=no><a href=no>y</a></template></div><a href=x>y</a>", vec!["x"]),
        ("<svg><template><a href=x>y</a></template></svg>", vec!["x"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|url| format!("http://market.test/dir/{url}")).collect();
        assert_eq!(links(&html(page)), expected, "{page}");
    }
    let open = html("<a href=x>y</a><template><a href=no>x</a>");
    assert_eq!(open.links.len(), 1);
    assert!(open.warnings[0].contains("never closed"), "{:?}", open.warnings);
}

#[test]
fn text_is_not_markup() {
    for page in [
        "<script>document.write('<a href=no>')</script>",
        "<script><!--<script></script><a href=no>--></script>",
        "<style><a href=no></style>",
        "<textarea><a href=no></textarea>",
        "<title><a href=no></title>",
        "<xmp><a href=no></xmp>",
        "<iframe><a href=no></iframe>",
        "<noembed><a href=no></noembed>",
        "<noframes><a href=no></noframes>",
        "<plaintext><a href=no></plaintext>",
        "<!-- <a href=no> -- > <a href=no> -->",
        "<!-- <a href=no>",
        "<!doctype <a href=no>",
        "<? <a href=no",
        "<![CDATA[ <a href=no ]]",
        "<svg><![CDATA[ <a href=no> ]]></svg>",
        "<a href=no",
        "<a href='no>",
        "<p title='<a href=no>'>",
        "<a\0href=no>",
        "< a href=no>",
        "<a&#32;href=no>",
        "&lt;a href=no>",
        "<frameset><a href=no></frameset>",
    ] {
        assert_eq!(links(&html(page)), Vec::<&str>::new(), "{page}");
    }
}

/// Whatever comes before, what follows is read.
#[test]
fn what_follows_is_read() {
    for start in [
        "",
        "&",
        "&am",
        "&#",
        "&#x",
        "<",
        "<<",
        "<1",
        "</",
        "</>",
        "</ x>",
        "<!>",
        "<!-->",
        "<!--->",
        "<!-- --!>",
        "<!-- a -- b --->",
        "<?x?>",
        "<![CDATA[x]]>",
        "<svg><![CDATA[ > ]]></svg>",
        "<svg><![CDATA[]]></svg>",
        "<!doctype html public '-//x>'>",
        "<!DOCTYPE",
        "\0",
        "\u{feff}",
        "]]>",
        "<script></script>",
        "<script><!-- <script> </script> --></script>",
        "<style></style>",
        "<title>&am</title>",
        "<textarea>\n</textarea>",
        "<noscript>",
        "<p x='\"'>",
        "<p x=\"'\">",
        "<p x=a'b\">",
        "<p x= >",
        "<p 'x\">",
        "<p / = / x>",
        "<select><option>",
        "<select><table>",
        "<svg>",
        "<svg><title>",
        "<math><mi>",
        "<math><annotation-xml encoding=text/html>",
        "<math><annotation-xml encoding=no>",
        "<button>",
        "<object>",
        "<marquee><table>",
        "<table><tr><td>",
        "<table><caption>",
        "<ruby><rt>",
        "<b><i><u><p>",
        "</body></html>",
        "<html><head></head><body></body></html>",
        "<form><table><form>",
        "<dialog><details><summary>",
        "<h1><h2>",
        "<a href=x><a>",
        "<font color=red><svg><font color=red>",
    ] {
        let page = html(&format!("{start}<a href=/follows>x</a>"));
        let found = links(&page).contains(&"http://market.test/follows");
        // These swallow it in browsers too.
        let swallowed = ["</", "<!DOCTYPE"].contains(&start);
        assert_eq!(found, !swallowed, "{start}: {page:?}");
    }
}

#[test]
fn what_a_frameset_replaces_is_gone() {
    let page = html("<p><a href=no></a><link rel=stylesheet href=no><frameset><frame src=f></frameset>");
    assert!(page.links.is_empty());
    assert_eq!(requisites(&page), ["http://market.test/dir/f"]);
}
