//! Forms and their fields (WHATWG HTML §4.10).

use vigie_wire::parse::Form;

use crate::fixture::{URL, html};

fn form(action: &str, method: &str, fields: &[(&str, &str)]) -> Form {
    Form {
        action: action.into(),
        method: method.into(),
        fields: fields.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect(),
    }
}

#[test]
fn forms_are_read_as_written() {
    let page = html(
        "<form method=POST action=/login><label>User <input name=user autocomplete=off></label>\
         <input name=password TYPE=Password><input type=hidden name=token value=a81f>\
         <select name=s><option>1</select><textarea name=t></textarea><button name=b>Enter</button>\
         <img src=x><fieldset name=f></fieldset><output name=o></output></form>",
    );
    let fields = [
        ("user", "text"),
        ("password", "password"),
        ("token", "hidden"),
        ("s", "select"),
        ("t", "textarea"),
        ("b", "button"),
    ];
    assert_eq!(page.forms, [form("http://market.test/login", "post", &fields)]);
}

#[test]
fn actions_and_methods() {
    for (attributes, action, method) in [
        ("", URL, "get"),
        ("action", URL, "get"),
        ("action='  '", URL, "get"),
        ("action=?q", "http://market.test/dir/page?q", "get"),
        ("action=x method=get", "http://market.test/dir/x", "get"),
        ("action=x method=dialog", "http://market.test/dir/x", "dialog"),
        ("action=x method=delete", "http://market.test/dir/x", "get"),
        ("action=//other.test/x", "http://other.test/x", "get"),
        ("action=javascript:x()", "", "get"),
        ("action=data:x", "", "get"),
        ("action='http:\\\\other.test'", "http:\\\\other.test", "get"),
    ] {
        assert_eq!(html(&format!("<form {attributes}></form>")).forms, [form(action, method, &[])], "{attributes}");
    }
    // Without an action it goes to the page, wherever the base is.
    let page = html("<base href=//other.test/><form></form><form action=x></form>");
    assert_eq!(page.forms, [form(URL, "get", &[]), form("http://other.test/x", "get", &[])]);
}

#[test]
fn a_field_belongs_to_its_form_wherever_it_stands() {
    for (page, expected) in [
        // Put together wrongly, in a table.
        (
            "<table><form action=/a><tr><td><input name=x></form></table><input name=y>",
            vec![form("http://market.test/a", "get", &[("x", "text")])],
        ),
        // By name, before and after.
        (
            "<input name=x form=f><form id=f action=/a><input name=y></form><button name=z form=f></button>",
            vec![form("http://market.test/a", "get", &[("x", "text"), ("y", "text"), ("z", "button")])],
        ),
        // Taken out of the one it stands in.
        (
            "<form action=/a><input name=x form=f><input name=y form=none></form><form id=f action=/b></form>",
            vec![form("http://market.test/a", "get", &[]), form("http://market.test/b", "get", &[("x", "text")])],
        ),
        // The first of an id.
        (
            "<form id=f action=/a></form><form id=f action=/b></form><input name=x form=f>",
            vec![form("http://market.test/a", "get", &[("x", "text")]), form("http://market.test/b", "get", &[])],
        ),
        // A form in a form is none, and its end is the other's.
        (
            "<form action=/a><form action=/b><input name=x></form><input name=y>",
            vec![form("http://market.test/a", "get", &[("x", "text")])],
        ),
        ("<input name=x>", vec![]),
        ("<template><form><input></form></template>", vec![]),
        ("<svg><form></form></svg>", vec![form(URL, "get", &[])][1..].to_vec()),
    ] {
        assert_eq!(html(page).forms, expected, "{page}");
    }
}

#[test]
fn there_are_only_so_many() {
    let page = html(&"<form><input name=a></form>".repeat(20_000));
    assert_eq!(page.forms.len(), 10_000);
    assert_eq!(page.forms.iter().map(|form| form.fields.len()).sum::<usize>(), 10_000);
    assert!(page.warnings.iter().any(|line| line.contains("more than 10000 forms or fields")), "{:?}", page.warnings);
    let page = html(&format!("<form>{}", "<input name=a>".repeat(20_000)));
    assert_eq!(page.forms[0].fields.len(), 10_000);
    // A long base makes long actions of short ones.
    let base = format!("<base href='/{}/'>", "a".repeat(16_000));
    let page = html(&(base + &"<form action=x></form>".repeat(5_000)));
    assert!(page.forms.iter().map(|form| form.action.len()).sum::<usize>() <= 8 << 20);
}
