//! What each documented case comes to, event by event.

mod asked;
mod desk;
mod ending;
mod holding;
mod outcomes;
mod people;
mod resume;
mod undoing;
