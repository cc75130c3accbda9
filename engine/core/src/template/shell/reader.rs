//! Reads words as a shell does: quotes, expansions, substitutions, here-documents.

use std::collections::BTreeSet;

use super::script::Dialect;
use super::tree::{Body, List, Piece, Place, Word};
use crate::template::error::TemplateError;

/// How deep substitutions and compound commands may be nested.
const DEPTH_MAX: usize = 40;

/// A character of the script, or a `{{ }}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Char(char),
    Hole(usize),
}

/// The script can't be read with certainty: nothing can be said of the values in it.
#[derive(Debug)]
pub(super) struct Unclear {
    pub(super) at: usize,
    pub(super) message: &'static str,
}

pub(super) type Read<T> = Result<T, Unclear>;

/// A here-document whose body has not begun.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) delimiter: String,
    pub(super) strip_tabs: bool,
    pub(super) quoted: bool,
    pub(super) body: usize,
}

/// Reads a script from left to right.
pub(super) struct Reader {
    pub(super) units: Vec<(Unit, usize)>,
    pub(super) at: usize,
    /// Nothing is read from here on: the end of the script, or of a here-document's body.
    pub(super) end: usize,
    pub(super) dialect: Dialect,
    pub(super) places: Vec<Place>,
    pub(super) bodies: Vec<Body>,
    pub(super) pending: Vec<Pending>,
    /// Here-documents of commands around the substitution that is being read.
    outer_pending: usize,
    pub(super) depth: usize,
    pub(super) refusals: Vec<(usize, &'static Refusal)>,
}

/// Why a place is refused whatever the value is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) place: &'static str,
    pub(super) help: &'static str,
}

const BACKQUOTES: Refusal = Refusal {
    code: "shell-backquotes",
    place: "inside backquotes",
    help: "write `$( … )` instead of backquotes",
};
const QUOTED_HERE_DOCUMENT: Refusal = Refusal {
    code: "shell-quoted-here-document",
    place: "in a here-document with a quoted delimiter, where nothing is expanded",
    help: "write the delimiter without quotes (and `\\$` for a `$` of its own), or put the text into `stdin:`",
};
const ARITHMETIC: Refusal = Refusal {
    code: "shell-arithmetic",
    place: "in an arithmetic expression, which evaluates what a value says",
    help: "calculate in the braces, as in `{{ params.count + 1 }}`, or pass it by `env` and check it before you calculate",
};
const EXPANSION: Refusal = Refusal {
    code: "shell-expansion",
    place: "inside `${ … }`",
    help: "give it to a variable first, as in `value={{ … }}`, and write `${name:-$value}`; or use `| default(…)`",
};
pub(super) const INDEX: Refusal = Refusal {
    code: "shell-index",
    place: "in an array index, which is evaluated",
    help: "pass it by `env` and check it before it becomes an index, or use `case`",
};
const ANSI_QUOTES: Refusal =
    Refusal { code: "shell-quotes", place: "inside `$'…'` or `$\"…\"`", help: "write \"…\" around it" };
const BACKSLASH: Refusal = Refusal {
    code: "shell-backslash",
    place: "right after a backslash",
    help: "write `\\\\` for a backslash, or leave it out",
};
const DOLLAR: Refusal = Refusal {
    code: "shell-dollar",
    place: "right after a `$`",
    help: "write `\\$` for a dollar sign, or leave it out",
};
const DELIMITER: Refusal = Refusal {
    code: "shell-delimiter",
    place: "in the delimiter of a here-document",
    help: "write a fixed word such as `EOF`",
};
pub(super) const VARIABLE_NAME: Refusal = Refusal {
    code: "shell-variable-name",
    place: "in the name of a variable",
    help: "write the name out; only a value can come from `{{ }}`",
};

impl Reader {
    pub(super) fn new(units: Vec<(Unit, usize)>, holes: usize, dialect: Dialect) -> Self {
        let end = units.len();
        Self {
            units,
            at: 0,
            end,
            dialect,
            places: vec![Place::Bare; holes],
            bodies: Vec::new(),
            pending: Vec::new(),
            outer_pending: 0,
            depth: 0,
            refusals: Vec::new(),
        }
    }

    pub(super) fn unit(&self, ahead: usize) -> Option<Unit> {
        let index = self.at + ahead;
        (index < self.end).then(|| self.units[index].0)
    }

    pub(super) fn char(&self, ahead: usize) -> Option<char> {
        match self.unit(ahead) {
            Some(Unit::Char(character)) => Some(character),
            _ => None,
        }
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, character)| self.char(ahead) == Some(character))
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// Returns the byte in the source at which the next unit starts.
    pub(super) fn offset(&self) -> usize {
        match self.units.get(self.at) {
            Some((_, offset)) => *offset,
            None => self.units.last().map_or(0, |(unit, offset)| match unit {
                Unit::Char(character) => offset + character.len_utf8(),
                Unit::Hole(_) => offset + 1,
            }),
        }
    }

    pub(super) fn unclear<T>(&self, message: &'static str) -> Read<T> {
        Err(Unclear { at: self.offset(), message })
    }

    pub(super) fn refuse(&mut self, hole: usize, refusal: &'static Refusal) {
        self.refusals.push((hole, refusal));
    }

    /// Refuses every `{{ }}` between `start` and here.
    fn refuse_since(&mut self, start: usize, refusal: &'static Refusal) {
        for index in start..self.at.min(self.end) {
            if let Unit::Hole(hole) = self.units[index].0 {
                self.refuse(hole, refusal);
            }
        }
    }

    pub(super) fn descend(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { self.unclear("it is nested too deep") } else { Ok(()) }
    }

    /// Skips blanks, continued lines and a comment.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            match self.char(0) {
                Some(' ' | '\t') => self.at += 1,
                Some('\\') if self.char(1) == Some('\n') => self.at += 2,
                Some('#') => {
                    while let Some(unit) = self.unit(0).filter(|unit| *unit != Unit::Char('\n')) {
                        if let Unit::Hole(hole) = unit {
                            self.places[hole] = Place::Comment;
                        }
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// Reads one word; it may be empty where no word starts.
    pub(super) fn word(&mut self) -> Read<Word> {
        let mut word = Word::default();
        let start = self.offset();
        let mut groups = 0_usize;
        while let Some(unit) = self.unit(0) {
            let character = match unit {
                Unit::Hole(hole) => {
                    self.places[hole] = Place::Bare;
                    word.pieces.push(Piece::Hole(hole));
                    self.at += 1;
                    continue;
                }
                Unit::Char(character) => character,
            };
            match character {
                '\'' => self.single(&mut word)?,
                '"' => {
                    self.at += 1;
                    self.double(&mut word)?;
                }
                '\\' => self.backslash(&mut word),
                '$' => self.dollar(&mut word, false)?,
                '`' => self.backquotes(&mut word, false)?,
                '<' | '>' if self.char(1) == Some('(') && groups == 0 => {
                    self.at += 2;
                    let mut list = self.substitution()?;
                    list.reads_output = character == '>';
                    word.lists.push(list);
                    word.pieces.push(Piece::Dynamic { quoted: true });
                }
                '(' if groups > 0 || is_pattern_group(&word) => {
                    groups += 1;
                    word.push_char('(');
                    self.at += 1;
                }
                ')' if groups > 0 => {
                    groups -= 1;
                    word.push_char(')');
                    self.at += 1;
                }
                '\n' if groups > 0 => return self.unclear("a pattern group is not closed"),
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' if groups == 0 => break,
                other => {
                    word.push_char(other);
                    self.at += 1;
                }
            }
        }
        if groups > 0 {
            return self.unclear("a pattern group is not closed");
        }
        word.range = start..self.offset();
        Ok(word)
    }

    fn backslash(&mut self, word: &mut Word) {
        word.quote();
        self.at += 1;
        match self.unit(0) {
            Some(Unit::Char('\n')) => self.at += 1,
            Some(Unit::Char(character)) => {
                word.push_char(character);
                self.at += 1;
            }
            Some(Unit::Hole(hole)) => self.refuse(hole, &BACKSLASH),
            None => {}
        }
    }

    fn single(&mut self, word: &mut Word) -> Read<()> {
        word.quote();
        self.at += 1;
        loop {
            match self.unit(0) {
                None => return self.unclear("a ' is not closed"),
                Some(Unit::Char('\'')) => {
                    self.at += 1;
                    return Ok(());
                }
                Some(Unit::Char(character)) => {
                    if character == '\n' && !self.pending.is_empty() {
                        return self.unclear("a quoted text goes over the start of a here-document");
                    }
                    word.push_char(character);
                }
                Some(Unit::Hole(hole)) => {
                    self.places[hole] = Place::Single;
                    word.pieces.push(Piece::Hole(hole));
                }
            }
            self.at += 1;
        }
    }

    /// Reads up to the closing `"`, with the opening one behind.
    fn double(&mut self, word: &mut Word) -> Read<()> {
        word.quote();
        loop {
            match self.unit(0) {
                None => return self.unclear("a \" is not closed"),
                Some(Unit::Char('"')) => {
                    self.at += 1;
                    return Ok(());
                }
                Some(Unit::Char('\n')) if !self.pending.is_empty() => {
                    return self.unclear("a quoted text goes over the start of a here-document");
                }
                Some(_) => self.expanded(word, Place::Double)?,
            }
        }
    }

    /// Reads one unit of a text in which expansions happen and words don't end.
    fn expanded(&mut self, word: &mut Word, place: Place) -> Read<()> {
        match self.unit(0) {
            Some(Unit::Hole(hole)) => {
                self.places[hole] = place;
                word.pieces.push(Piece::Hole(hole));
                self.at += 1;
            }
            Some(Unit::Char('\\')) => {
                self.at += 1;
                match self.unit(0) {
                    Some(Unit::Hole(hole)) => self.refuse(hole, &BACKSLASH),
                    Some(Unit::Char('\n')) => self.at += 1,
                    Some(Unit::Char(character)) => {
                        let escapes = matches!(character, '$' | '`' | '\\')
                            || character == '"' && place == Place::Double;
                        if !escapes {
                            word.push_char('\\');
                        }
                        word.push_char(character);
                        self.at += 1;
                    }
                    None => {}
                }
            }
            Some(Unit::Char('$')) => self.dollar(word, true)?,
            Some(Unit::Char('`')) => self.backquotes(word, true)?,
            Some(Unit::Char(character)) => {
                word.push_char(character);
                self.at += 1;
            }
            None => {}
        }
        Ok(())
    }

    fn backquotes(&mut self, word: &mut Word, quoted: bool) -> Read<()> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.char(0) {
                Some('`') => break,
                Some('\\') => self.at += 2,
                _ if self.unit(0).is_none() => return self.unclear("a backquote is not closed"),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.refuse_since(start, &BACKQUOTES);
        word.pieces.push(Piece::Dynamic { quoted });
        Ok(())
    }

    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Read<()> {
        let start = self.at;
        self.at += 1;
        match self.unit(0) {
            Some(Unit::Hole(hole)) => {
                self.refuse(hole, &DOLLAR);
                word.push_char('$');
                return Ok(());
            }
            Some(Unit::Char('(')) => {
                if !(self.char(1) == Some('(') && self.arithmetic(start, 2)?) {
                    self.at = start + 2;
                    let list = self.substitution()?;
                    word.lists.push(list);
                }
            }
            Some(Unit::Char('{')) => self.braces(start, word, quoted)?,
            Some(Unit::Char('[')) => self.old_arithmetic(start)?,
            Some(Unit::Char('\'')) if !quoted => self.ansi_quotes(start)?,
            Some(Unit::Char('"')) if !quoted => {
                self.at += 1;
                self.double(word)?;
                self.refuse_since(start, &ANSI_QUOTES);
            }
            Some(Unit::Char(character)) if character == '_' || character.is_ascii_alphabetic() => {
                while self.char(0).is_some_and(|next| next == '_' || next.is_ascii_alphanumeric()) {
                    self.at += 1;
                }
            }
            Some(Unit::Char(character)) if character.is_ascii_digit() || "@*#?-$!".contains(character) => {
                self.at += 1;
            }
            _ => {
                word.push_char('$');
                return Ok(());
            }
        }
        word.pieces.push(Piece::Dynamic { quoted });
        Ok(())
    }

    /// Reads the commands up to the `)` of a substitution, with its opening behind.
    pub(super) fn substitution(&mut self) -> Read<List> {
        self.descend()?;
        let waiting = std::mem::take(&mut self.pending);
        self.outer_pending += waiting.len();
        let list = self.list(&[])?;
        if !self.pending.is_empty() {
            return self.unclear("a here-document starts inside `$( )` and its text follows behind it");
        }
        self.outer_pending -= waiting.len();
        self.pending = waiting;
        if !self.eat(")") {
            return self.unclear("a `(` is not closed");
        }
        self.depth -= 1;
        Ok(list)
    }

    /// Reads arithmetic whose two parentheses end at `ahead` units from here; false where it turns out to be commands.
    ///
    /// `$((a) …)` is a subshell in a substitution: only two closing parentheses side by side end arithmetic.
    pub(super) fn arithmetic(&mut self, start: usize, ahead: usize) -> Read<bool> {
        let known = self.refusals.len();
        self.descend()?;
        self.at += ahead;
        let mut open = 0_usize;
        let mut unused = Word::default();
        let found = loop {
            match self.char(0) {
                None if self.unit(0).is_none() => break false,
                Some('(') => {
                    open += 1;
                    self.at += 1;
                }
                Some(')') if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                Some(')') => break self.eat("))"),
                Some('\'') => self.single(&mut unused)?,
                Some('"') => {
                    self.at += 1;
                    self.double(&mut unused)?;
                }
                Some('$') => self.dollar(&mut unused, true)?,
                Some('`') => self.backquotes(&mut unused, true)?,
                Some('\\') => self.at += 2,
                _ => self.at += 1,
            }
        };
        self.at = self.at.min(self.end);
        self.depth -= 1;
        self.refusals.truncate(known);
        if found {
            self.refuse_since(start, &ARITHMETIC);
        }
        Ok(found)
    }

    /// `$[ … ]`, which bash still calculates and others take as text.
    fn old_arithmetic(&mut self, start: usize) -> Read<()> {
        let mut open = 0_usize;
        loop {
            match self.char(0) {
                None if self.unit(0).is_none() => return self.unclear("a `$[` is not closed"),
                Some('[') => open += 1,
                Some(']') => {
                    open -= 1;
                    if open == 0 {
                        break;
                    }
                }
                Some('\'' | '"' | '`' | '\\') => return self.unclear("quotes inside `$[ ]`"),
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
        self.refuse_since(start, &ARITHMETIC);
        if self.dialect == Dialect::Bash {
            Ok(())
        } else {
            self.unclear("`$[` means one thing to bash and another to other shells")
        }
    }

    fn ansi_quotes(&mut self, start: usize) -> Read<()> {
        self.at += 1;
        loop {
            match self.char(0) {
                None if self.unit(0).is_none() => return self.unclear("a $' is not closed"),
                Some('\'') => break,
                Some('\\') if self.dialect != Dialect::Bash => {
                    return self.unclear("`$'…'` means one thing to bash and another to other shells");
                }
                Some('\\') => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.refuse_since(start, &ANSI_QUOTES);
        Ok(())
    }

    /// `${ … }`: names, operators, and whatever words stand behind them.
    fn braces(&mut self, start: usize, word: &mut Word, quoted: bool) -> Read<()> {
        self.descend()?;
        self.at += 1;
        if matches!(self.char(0), Some(' ' | '\t' | '\n' | '|')) {
            return self.unclear("`${ command; }` is not supported");
        }
        while self
            .char(0)
            .is_some_and(|next| next == '_' || next == '!' || next == '#' || next.is_ascii_alphanumeric())
        {
            self.at += 1;
        }
        let index = self.char(0) == Some('[');
        let mut inner = Word::default();
        loop {
            match self.char(0) {
                None if self.unit(0).is_none() => return self.unclear("a `${` is not closed"),
                Some('}') => break,
                Some('\\') => self.at += 2,
                Some('\'') if !quoted => self.single(&mut inner)?,
                // Whether it is a quote depends on the shell, its mode and the operator before it.
                Some('\'') => {
                    return self.unclear("a ' inside \"${ … }\" means different things to different shells");
                }
                Some('"') => {
                    self.at += 1;
                    self.double(&mut inner)?;
                }
                Some('$') => self.dollar(&mut inner, quoted)?,
                Some('`') => self.backquotes(&mut inner, quoted)?,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.depth -= 1;
        self.refuse_since(start, if index { &INDEX } else { &EXPANSION });
        word.lists.append(&mut inner.lists);
        Ok(())
    }

    /// Reads the delimiter of a here-document, with `<<` or `<<-` behind.
    pub(super) fn here_document(&mut self, strip_tabs: bool) -> Read<usize> {
        self.skip_blanks();
        let mut delimiter = String::new();
        let mut quoted = false;
        loop {
            match self.unit(0) {
                Some(Unit::Hole(hole)) => {
                    self.refuse(hole, &DELIMITER);
                    return self.unclear("the end of a here-document is not known");
                }
                Some(Unit::Char(quote @ ('\'' | '"'))) => {
                    quoted = true;
                    self.at += 1;
                    while self.char(0) != Some(quote) {
                        match self.char(0) {
                            Some(character) if !matches!(character, '\n' | '\\' | '$' | '`') => {
                                delimiter.push(character);
                            }
                            _ => return self.unclear("the delimiter of a here-document is not a plain word"),
                        }
                        self.at += 1;
                    }
                }
                Some(Unit::Char('\\')) => {
                    quoted = true;
                    self.at += 1;
                    match self.char(0) {
                        Some(character) if character != '\n' => delimiter.push(character),
                        _ => return self.unclear("the delimiter of a here-document is not a plain word"),
                    }
                }
                Some(Unit::Char('$' | '`')) => {
                    return self.unclear("the delimiter of a here-document is not a plain word");
                }
                Some(Unit::Char(' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>')) | None => break,
                Some(Unit::Char(character)) => delimiter.push(character),
            }
            self.at += 1;
        }
        if delimiter.is_empty() && !quoted {
            return self.unclear("a here-document has no delimiter");
        }
        let body = self.bodies.len();
        self.bodies.push(Body::default());
        self.pending.push(Pending { delimiter, strip_tabs, quoted, body });
        Ok(body)
    }

    /// Reads a newline between commands, and the here-documents that begin behind it.
    pub(super) fn newline(&mut self) -> Read<()> {
        self.at += 1;
        if self.outer_pending > 0 {
            return self.unclear("a `$( )` goes over the start of a here-document");
        }
        for pending in std::mem::take(&mut self.pending) {
            self.body(&pending)?;
        }
        Ok(())
    }

    fn body(&mut self, pending: &Pending) -> Read<()> {
        let start = self.at;
        let mut continued = false;
        loop {
            if self.at >= self.end {
                return self.unclear("a here-document has no end");
            }
            let line = self.at;
            while self.unit(0).is_some_and(|unit| unit != Unit::Char('\n')) {
                self.at += 1;
            }
            let units = &self.units[line..self.at];
            let text: Option<String> = units
                .iter()
                .map(|(unit, _)| if let Unit::Char(character) = unit { Some(*character) } else { None })
                .collect();
            let closes = text.is_some_and(|text| {
                let text = if pending.strip_tabs { text.trim_start_matches('\t') } else { &text };
                text == pending.delimiter
            });
            if closes && continued {
                return self.unclear("a line before the end of a here-document ends in a backslash");
            }
            if closes {
                let after = (self.at + 1).min(self.end);
                let result = self.body_text(pending, start, line);
                self.at = after;
                return result;
            }
            let backslashes = units.iter().rev().take_while(|(unit, _)| *unit == Unit::Char('\\')).count();
            continued = !pending.quoted && backslashes % 2 == 1;
            self.at += 1;
        }
    }

    fn body_text(&mut self, pending: &Pending, start: usize, end: usize) -> Read<()> {
        if pending.quoted {
            self.at = end;
            self.refuse_since(start, &QUOTED_HERE_DOCUMENT);
            return Ok(());
        }
        let whole = std::mem::replace(&mut self.end, end);
        self.at = start;
        let mut content = Word::default();
        while self.at < self.end {
            self.expanded(&mut content, Place::HereDocument)?;
        }
        self.end = whole;
        self.bodies[pending.body].content = content;
        Ok(())
    }

    /// Returns what is refused, without repetitions.
    pub(super) fn refused(
        &self,
        refuse: &mut dyn FnMut(usize, &Refusal) -> TemplateError,
    ) -> Vec<TemplateError> {
        let mut seen = BTreeSet::new();
        self.refusals
            .iter()
            .filter(|(hole, _)| seen.insert(*hole))
            .map(|(hole, refusal)| refuse(*hole, refusal))
            .collect()
    }
}

/// `@(`, `!(`, … start a group of patterns where something stands before the parenthesis.
fn is_pattern_group(word: &Word) -> bool {
    matches!(word.pieces.last(), Some(Piece::Literal(text)) if text.ends_with(['?', '*', '+', '@']) || (text.len() > 1 || word.pieces.len() > 1) && text.ends_with('!'))
}
