//! What each documented case comes to, event by event.

mod desk;
mod outcomes;
mod people;
mod resume;
