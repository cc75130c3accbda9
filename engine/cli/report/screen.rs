//! Standard error as several writers share it: finished lines, live lines below them, and a prompt that must not be written into.

use std::cell::RefCell;
use std::rc::Rc;

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::surviving;
use crate::console::Console;

/// The shared screen. One thread talks.
#[derive(Debug)]
pub(crate) struct Screen {
    console: Console,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    live: Option<MultiProgress>,
    /// While a question is open: what is to be said afterwards.
    held: Option<String>,
    /// What was said, where a test wants to see it.
    #[cfg(test)]
    said: Option<String>,
}

/// Keeps everything else off the screen while it lives.
#[derive(Debug)]
pub(crate) struct Held {
    screen: Rc<Screen>,
}

impl Screen {
    /// The screen of this console.
    pub(crate) fn new(console: Console) -> Rc<Self> {
        Rc::new(Self { console, inner: RefCell::default() })
    }

    /// A screen that is only remembered.
    #[cfg(test)]
    pub(crate) fn remembered(console: Console) -> Rc<Self> {
        let inner = Inner { said: Some(String::new()), ..Inner::default() };
        Rc::new(Self { console, inner: RefCell::new(inner) })
    }

    /// What was said so far, without colours.
    #[cfg(test)]
    pub(crate) fn said(&self) -> String {
        anstream::adapter::strip_str(self.inner.borrow().said.as_deref().unwrap_or_default()).to_string()
    }

    /// How it may be used.
    pub(crate) fn console(&self) -> &Console {
        &self.console
    }

    /// Live lines from now on, below what is said.
    pub(crate) fn live(&self) -> MultiProgress {
        let live = MultiProgress::with_draw_target(surviving::target());
        self.inner.borrow_mut().live = Some(live.clone());
        live
    }

    /// Says something for good: above the live lines, or after the question that is open.
    pub(crate) fn say(&self, text: &str) {
        let live = {
            let mut inner = self.inner.borrow_mut();
            #[cfg(test)]
            if let Some(said) = &mut inner.said {
                said.push_str(text);
                return;
            }
            if let Some(held) = &mut inner.held {
                held.push_str(text);
                return;
            }
            inner.live.clone()
        };
        match live {
            Some(live) => live.suspend(|| self.console.say(text)),
            None => self.console.say(text),
        }
    }

    /// Clears the place for a question. What is said meanwhile follows when the guard is dropped.
    pub(crate) fn hold(self: &Rc<Self>) -> Held {
        let mut inner = self.inner.borrow_mut();
        inner.held.get_or_insert_default();
        if let Some(live) = &inner.live {
            // A screen that can't be cleared shows a stale line; nothing depends on it.
            let _ = live.clear();
            live.set_draw_target(ProgressDrawTarget::hidden());
        }
        Held { screen: Rc::clone(self) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (live, text) = {
            let mut inner = self.screen.inner.borrow_mut();
            (inner.live.clone(), inner.held.take())
        };
        if let Some(live) = live {
            live.set_draw_target(surviving::target());
        }
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.screen.say(&text);
        }
    }
}
