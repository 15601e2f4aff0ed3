//! Pages in, pictures out: what is seen, what is said, what is refused.

#[path = "drawing/hostile.rs"]
mod hostile;
#[path = "drawing/kit.rs"]
mod kit;
#[path = "drawing/pages.rs"]
mod pages;
