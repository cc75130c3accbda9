//! What is kept of a script: enough to know who reads which value, not enough to run it.

use std::ops::Range;

/// Where a `{{ }}` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside quotes.
    Bare,
    /// Inside "…".
    Double,
    /// Inside '…'.
    Single,
    /// In a here-document whose body is expanded.
    HereDocument,
    /// In a comment.
    Comment,
}

/// A piece of a word after quote removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    /// The index of a `{{ }}`.
    Hole(usize),
    /// An expansion or substitution of the shell's own.
    Dynamic {
        quoted: bool,
    },
}

/// One word of a command.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    /// The commands of the substitutions in it.
    pub(super) lists: Vec<List>,
    /// The words of an array, where it is `name=(…)`.
    pub(super) elements: Vec<Self>,
    pub(super) range: Range<usize>,
    /// Some of it is quoted: then it is no reserved word.
    pub(super) quoted: bool,
}

impl Word {
    /// Returns the whole text, where there is nothing but literal text in it.
    pub(super) fn literal(&self) -> Option<String> {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Some(text.as_str()),
                Piece::Hole(_) | Piece::Dynamic { .. } => None,
            })
            .collect()
    }

    /// Returns the literal text that it starts with.
    pub(super) fn prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// Returns the `{{ }}` that it starts with.
    pub(super) fn leading_hole(&self) -> Option<usize> {
        match self.pieces.iter().find(|piece| **piece != Piece::Literal(String::new())) {
            Some(Piece::Hole(hole)) => Some(*hole),
            _ => None,
        }
    }

    /// Notes that some of it is quoted, and that it is a word even if it stays empty.
    pub(super) fn quote(&mut self) {
        self.quoted = true;
        if !matches!(self.pieces.last(), Some(Piece::Literal(_))) {
            self.pieces.push(Piece::Literal(String::new()));
        }
    }

    /// Tells whether it is nothing but unquoted expansions, which may become any number of words.
    pub(super) fn is_unquoted_expansion(&self) -> bool {
        !self.pieces.is_empty() && self.pieces.iter().all(|piece| *piece == Piece::Dynamic { quoted: false })
    }

    /// Adds every `{{ }}` in it, those in substitutions included, to `holes`.
    pub(super) fn collect_holes(&self, holes: &mut Vec<usize>) {
        for piece in &self.pieces {
            if let Piece::Hole(hole) = piece {
                holes.push(*hole);
            }
        }
        for list in &self.lists {
            holes.extend(&list.holes);
        }
        for element in &self.elements {
            element.collect_holes(holes);
        }
    }

    pub(super) fn holes(&self) -> Vec<usize> {
        let mut holes = Vec::new();
        self.collect_holes(&mut holes);
        holes
    }

    pub(super) fn push_char(&mut self, character: char) {
        if let Some(Piece::Literal(text)) = self.pieces.last_mut() {
            text.push(character);
        } else {
            self.pieces.push(Piece::Literal(character.to_string()));
        }
    }
}

/// Where a command's input or output goes.
#[derive(Debug, Clone)]
pub(super) struct Redirection {
    pub(super) operator: String,
    pub(super) target: Word,
    /// The index of a here-document's body.
    pub(super) body: Option<usize>,
}

/// The body of a here-document.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub(super) content: Word,
}

/// A command.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Simple {
        assignments: Vec<Word>,
        words: Vec<Word>,
        redirections: Vec<Redirection>,
    },
    /// `[[ … ]]`.
    Condition {
        words: Vec<Word>,
        redirections: Vec<Redirection>,
    },
    /// A subshell, a group, a loop, `if`, `case`.
    Compound {
        words: Vec<Word>,
        lists: Vec<List>,
        variable: Option<String>,
        redirections: Vec<Redirection>,
    },
    Function {
        name: String,
        body: Box<Self>,
    },
}

/// Commands one after the other, and all `{{ }}` in them.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    pub(super) pipelines: Vec<Vec<Command>>,
    pub(super) holes: Vec<usize>,
    /// It is the inside of `>( … )`, whose input is the output of the command around it.
    pub(super) reads_output: bool,
}
