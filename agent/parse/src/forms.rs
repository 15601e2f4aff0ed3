//! Forms and their fields (WHATWG HTML §4.10).

use std::collections::HashMap;

use ego_tree::NodeId;
use scraper::ElementRef;
use vigie_wire::limits::REFERENCES;
use vigie_wire::parse::Form;

use crate::address::{Base, Reading};
use crate::sets::BYTES;
use crate::warnings::{Warnings, fold, start};

/// Longest `id` of a form that fields may name, in bytes.
const ID_BYTES: usize = 256;

/// Forms found so far.
#[derive(Default)]
pub struct Forms {
    found: Vec<Form>,
    places: HashMap<NodeId, usize>,
    ids: HashMap<String, usize>,
    fields: Vec<(NodeId, Option<String>, String, String)>,
    bytes: usize,
    over: bool,
}

impl Forms {
    /// Takes a form.
    pub fn form(&mut self, element: ElementRef<'_>, base: &Base) {
        let value = element.value();
        let action = match value.attr("action").map(str::trim_ascii) {
            // Without an action a form goes to the page itself (§4.10.22.3), wherever the base is.
            None | Some("") => base.own().to_owned(),
            Some(action) => match base.resolve(action) {
                Reading::Url(url) => url,
                Reading::Nothing => base.own().to_owned(),
                Reading::Dropped | Reading::TooLong => String::new(),
            },
        };
        self.bytes += action.len();
        if self.found.len() >= REFERENCES || self.bytes > BYTES {
            self.over = true;
            return;
        }
        let method = start(value.attr("method").unwrap_or_default(), 16).to_ascii_lowercase();
        let place = self.found.len();
        self.places.insert(element.id(), place);
        if let Some(id) = value.attr("id").filter(|id| !id.is_empty() && id.len() <= ID_BYTES) {
            // The first of an id is the one that is meant.
            self.ids.entry(id.to_owned()).or_insert(place);
        }
        let method = if matches!(method.as_str(), "post" | "dialog") { method } else { "get".into() };
        self.found.push(Form { action, method, fields: Vec::new() });
    }

    /// Takes a field; which form it belongs to is known when all forms are.
    pub fn field(&mut self, element: ElementRef<'_>) {
        let value = element.value();
        let kind = match value.name() {
            "input" => value.attr("type").map_or_else(|| "text".into(), |kind| fold(kind).to_ascii_lowercase()),
            name => name.to_owned(),
        };
        let name = fold(value.attr("name").unwrap_or_default());
        self.bytes += name.len() + kind.len();
        if self.fields.len() >= REFERENCES || self.bytes > BYTES {
            self.over = true;
            return;
        }
        let form = value.attr("form").map(|id| start(id, ID_BYTES + 1).to_owned());
        self.fields.push((element.id(), form, name, kind));
    }

    /// Gives each field of a tree to the form that owns it (§4.10.17.3), by its `form` attribute or
    /// by where it stands.
    pub fn end_tree(&mut self, owners: &[(NodeId, NodeId)]) {
        let owners: HashMap<NodeId, NodeId> = owners.iter().copied().collect();
        for (field, named, name, kind) in std::mem::take(&mut self.fields) {
            let form = match named {
                Some(id) => self.ids.get(&id),
                None => owners.get(&field).and_then(|form| self.places.get(form)),
            };
            if let Some(form) = form.and_then(|at| self.found.get_mut(*at)) {
                form.fields.push((name, kind));
            }
        }
        self.places.clear();
        self.ids.clear();
    }

    /// All, in order.
    pub fn finish(self, warnings: &mut Warnings) -> Vec<Form> {
        if self.over {
            warnings.add(format!("more than {REFERENCES} forms or fields: the rest was not read"));
        }
        self.found
    }
}
