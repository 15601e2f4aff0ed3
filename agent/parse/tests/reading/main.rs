//! Reading hostile bytes: what comes out, and that nothing else happens.

mod address;
mod any;
mod charset;
mod coding;
mod css;
mod fields;
mod fixture;
mod forms;
mod html;
mod images;
mod inert;
mod kind;
mod limits;
mod obstacles;
