//! What a crawl asks for, before anybody said that it may.

use vigie_config::authorize::{Action, Ask, Element, Via};
use vigie_config::target::TargetUrl;

/// What is wanted: not a permission, only the question.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Absolute URL.
    pub url: String,
    /// What kind of element it is for.
    pub element: Element,
    /// Links between the entry point and this page.
    pub depth: u32,
    /// How we came to ask.
    pub via: Via,
    /// URL of the page that led here, for the `Referer` field.
    pub referer: Option<TargetUrl>,
    /// A redirect on the way here led through another origin.
    pub crossed: bool,
    /// Which visit of the page in this run it is, from 1.
    pub visits: u32,
}

impl Wanted {
    /// The question as `config` takes it.
    pub fn ask(&self) -> Ask<'_> {
        Ask { url: &self.url, action: Action::Observe, element: self.element, depth: self.depth, via: self.via }
    }
}
