//! From what an author wrote to what a run needs: values, defaults applied, every text checked.

mod action;
mod channels;
mod environment;
mod guards;
mod items;
mod leaf;
mod params;
mod question;
mod step;
mod structure;
mod undo;

pub(super) use params::{plain_params, values};
pub(super) use step::Resolver;
pub(crate) use step::project_value;
