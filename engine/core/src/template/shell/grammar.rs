//! Reads commands: simple ones, pipelines, compound ones, functions.

use super::reader::{INDEX, Read, Reader, Unit, VARIABLE_NAME};
use super::tree::{Command, List, Piece, Redirection, Word};

/// Where a list of commands ends without having been opened by a word.
const CASE_ENDS: [&str; 3] = [";;&", ";;", ";&"];
const REDIRECTIONS: [&str; 13] =
    ["<<<", "<<-", "&>>", "<<", "<&", "<>", ">>", ">&", ">|", "&>", "<", ">", ">>"];

impl Reader {
    /// Reads a whole script.
    pub(super) fn script(&mut self) -> Read<List> {
        let list = self.list(&[])?;
        if self.at < self.end {
            return self.unclear("something is closed that was not opened");
        }
        if !self.pending.is_empty() {
            return self.unclear("a here-document has no text");
        }
        Ok(list)
    }

    /// Reads commands up to one of the reserved words `until`, a `)`, the end of a case or of the script. The end is left to be read.
    pub(super) fn list(&mut self, until: &[&str]) -> Read<List> {
        self.descend()?;
        let mut list = List::default();
        let start = self.at;
        loop {
            self.skip_blanks();
            match self.char(0) {
                Some('\n') => {
                    self.newline()?;
                    continue;
                }
                Some(')') => break,
                _ if self.at >= self.end || CASE_ENDS.iter().any(|end| self.looking_at(end)) => break,
                Some(';' | '&') if !self.looking_at("&>") => {
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            if self.plain_word().is_some_and(|word| until.contains(&word.as_str())) {
                break;
            }
            list.pipelines.push(self.pipeline()?);
            self.skip_blanks();
            if self.eat("&&") || self.eat("||") {
                self.skip_newlines()?;
            }
        }
        for index in start..self.at.min(self.end) {
            if let Unit::Hole(hole) = self.units[index].0 {
                list.holes.push(hole);
            }
        }
        self.depth -= 1;
        Ok(list)
    }

    fn skip_newlines(&mut self) -> Read<()> {
        loop {
            self.skip_blanks();
            if self.char(0) != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    /// Returns the word that starts here if it is nothing but plain characters, without reading it.
    fn plain_word(&self) -> Option<String> {
        let mut word = String::new();
        loop {
            match self.unit(word.chars().count()) {
                None | Some(Unit::Char(' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>')) => break,
                Some(Unit::Hole(_) | Unit::Char('\'' | '"' | '\\' | '$' | '`')) => return None,
                Some(Unit::Char(character)) => word.push(character),
            }
        }
        (!word.is_empty()).then_some(word)
    }

    fn eat_word(&mut self, wanted: &str) -> bool {
        let found = self.plain_word().is_some_and(|word| word == wanted);
        if found {
            self.at += wanted.chars().count();
        }
        found
    }

    fn expect_word(&mut self, wanted: &str, message: &'static str) -> Read<()> {
        if self.eat_word(wanted) { Ok(()) } else { self.unclear(message) }
    }

    fn pipeline(&mut self) -> Read<Vec<Command>> {
        let mut commands = Vec::new();
        loop {
            self.skip_blanks();
            while self.eat_word("!") || self.eat_word("time") {
                self.skip_blanks();
                while self.eat_word("-p") {
                    self.skip_blanks();
                }
            }
            commands.push(self.command()?);
            self.skip_blanks();
            if self.looking_at("||") || !(self.eat("|&") || self.eat("|")) {
                return Ok(commands);
            }
            self.skip_newlines()?;
        }
    }

    fn command(&mut self) -> Read<Command> {
        self.descend()?;
        let command = self.command_here()?;
        self.depth -= 1;
        Ok(command)
    }

    fn command_here(&mut self) -> Read<Command> {
        if self.char(0) == Some('(') {
            let start = self.at;
            if self.looking_at("((") {
                if self.arithmetic(start, 2)? {
                    return self.compound(Vec::new(), Vec::new(), None);
                }
                self.at = start;
            }
            self.at += 1;
            let list = self.list(&[])?;
            if !self.eat(")") {
                return self.unclear("a `(` is not closed");
            }
            return self.compound(Vec::new(), vec![list], None);
        }
        match self.plain_word().as_deref() {
            Some("{") => {
                self.at += 1;
                let list = self.list(&["}"])?;
                self.expect_word("}", "a `{` is not closed")?;
                self.compound(Vec::new(), vec![list], None)
            }
            Some("if") => self.sections("if", &["then", "elif", "else"], "fi", "an `if` has no `fi`"),
            Some("while") => self.sections("while", &["do"], "done", "a `while` has no `done`"),
            Some("until") => self.sections("until", &["do"], "done", "an `until` has no `done`"),
            Some(keyword @ ("for" | "select")) => {
                self.at += keyword.chars().count();
                self.for_loop()
            }
            Some("case") => {
                self.at += 4;
                self.case()
            }
            Some("function") => {
                self.at += 8;
                self.skip_blanks();
                let Some(name) = self.plain_word() else {
                    return self.unclear("a function has no plain name");
                };
                self.at += name.chars().count();
                self.skip_blanks();
                if self.eat("(") {
                    self.skip_blanks();
                    if !self.eat(")") {
                        return self.unclear("a `(` is not closed");
                    }
                }
                self.function(name)
            }
            Some("coproc") => {
                self.at += 6;
                self.skip_blanks();
                self.command()
            }
            Some("[[") => {
                self.at += 2;
                self.condition()
            }
            Some("then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "}" | "in") => {
                self.unclear("a word of the shell's grammar stands where a command is expected")
            }
            _ => self.simple(),
        }
    }

    fn sections(
        &mut self,
        first: &str,
        between: &[&str],
        last: &str,
        message: &'static str,
    ) -> Read<Command> {
        self.at += first.chars().count();
        let mut lists = Vec::new();
        let mut ends = between.to_vec();
        ends.push(last);
        loop {
            lists.push(self.list(&ends)?);
            if self.eat_word(last) {
                return self.compound(Vec::new(), lists, None);
            }
            if !between.iter().any(|word| self.eat_word(word)) {
                return self.unclear(message);
            }
        }
    }

    fn for_loop(&mut self) -> Read<Command> {
        self.skip_blanks();
        let mut words = Vec::new();
        let mut variable = None;
        if self.looking_at("((") {
            if !self.arithmetic(self.at, 2)? {
                return self.unclear("a `for ((` is not closed");
            }
        } else {
            let Some(name) = self.plain_word() else {
                if let Some(Unit::Hole(hole)) = self.unit(0) {
                    self.refuse(hole, &VARIABLE_NAME);
                }
                return self.unclear("a `for` has no plain name");
            };
            self.at += name.chars().count();
            variable = Some(name);
            self.skip_newlines()?;
            if self.eat_word("in") {
                loop {
                    self.skip_blanks();
                    if matches!(self.char(0), Some('\n' | ';')) || self.at >= self.end {
                        break;
                    }
                    words.push(self.some_word()?);
                }
            }
        }
        self.skip_blanks();
        self.eat(";");
        self.skip_newlines()?;
        let list = if self.eat_word("do") {
            let list = self.list(&["done"])?;
            self.expect_word("done", "a `for` has no `done`")?;
            list
        } else if self.eat_word("{") {
            let list = self.list(&["}"])?;
            self.expect_word("}", "a `{` is not closed")?;
            list
        } else {
            return self.unclear("a `for` has no `do`");
        };
        self.compound(words, vec![list], variable)
    }

    fn case(&mut self) -> Read<Command> {
        self.skip_blanks();
        let mut words = vec![self.some_word()?];
        let mut lists = Vec::new();
        self.skip_newlines()?;
        self.expect_word("in", "a `case` has no `in`")?;
        loop {
            self.skip_newlines()?;
            if self.eat_word("esac") {
                return self.compound(words, lists, None);
            }
            self.eat("(");
            loop {
                self.skip_blanks();
                words.push(self.some_word()?);
                self.skip_blanks();
                if self.eat(")") {
                    break;
                }
                if !self.eat("|") {
                    return self.unclear("a pattern of a `case` has no `)`");
                }
            }
            lists.push(self.list(&["esac"])?);
            if !CASE_ENDS.iter().any(|end| self.eat(end)) && self.plain_word().as_deref() != Some("esac") {
                return self.unclear("a `case` has no `esac`");
            }
        }
    }

    fn function(&mut self, name: String) -> Read<Command> {
        self.skip_newlines()?;
        let body = Box::new(self.command()?);
        Ok(Command::Function { name, body })
    }

    fn condition(&mut self) -> Read<Command> {
        let mut words = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.eat_word("]]") {
                let redirections = self.redirections()?;
                return Ok(Command::Condition { words, redirections });
            }
            let substitution = self.looking_at("<(") || self.looking_at(">(");
            if !substitution
                && ["&&", "||", "(", ")", "<", ">"].into_iter().any(|operator| self.eat(operator))
            {
                continue;
            }
            let pattern = words.last().and_then(Word::literal).is_some_and(|operator| operator == "=~");
            words.push(if pattern { self.regex_word()? } else { self.some_word()? });
        }
    }

    /// What stands behind `=~` may hold parentheses and bars.
    fn regex_word(&mut self) -> Read<Word> {
        let mut word = Word::default();
        let mut open = 0_usize;
        loop {
            match self.char(0) {
                Some('(') => open += 1,
                Some(')') if open > 0 => open -= 1,
                Some('|') if open > 0 || !self.looking_at("||") => {}
                Some(' ') if open > 0 => {}
                Some(' ' | '\t' | '\n' | ')' | '&' | ';') => return Ok(word),
                _ if self.at >= self.end => return self.unclear("a `[[` is not closed"),
                _ => {
                    let part = self.some_word()?;
                    word.pieces.extend(part.pieces);
                    word.lists.extend(part.lists);
                    continue;
                }
            }
            self.at += 1;
        }
    }

    fn compound(&mut self, words: Vec<Word>, lists: Vec<List>, variable: Option<String>) -> Read<Command> {
        let redirections = self.redirections()?;
        Ok(Command::Compound { words, lists, variable, redirections })
    }

    fn redirections(&mut self) -> Read<Vec<Redirection>> {
        let mut redirections = Vec::new();
        loop {
            self.skip_blanks();
            match self.redirection()? {
                Some(redirection) => redirections.push(redirection),
                None => return Ok(redirections),
            }
        }
    }

    /// Reads `2>file`, `<<EOF` and the like, if one starts here.
    fn redirection(&mut self) -> Read<Option<Redirection>> {
        let start = self.at;
        if self.char(0) == Some('{') {
            // `{name}>file` gives the descriptor a name.
            let name = self.units[self.at..self.end]
                .iter()
                .skip(1)
                .take_while(
                    |(unit, _)| matches!(unit, Unit::Char(c) if *c == '_' || c.is_ascii_alphanumeric()),
                )
                .count();
            if name > 0 && self.char(name + 1) == Some('}') && matches!(self.char(name + 2), Some('<' | '>'))
            {
                self.at += name + 2;
            }
        } else {
            while self.char(0).is_some_and(|digit| digit.is_ascii_digit()) {
                self.at += 1;
            }
        }
        let substitution = matches!(self.char(0), Some('<' | '>')) && self.char(1) == Some('(');
        let operator = if substitution {
            None
        } else {
            REDIRECTIONS.into_iter().find(|operator| self.looking_at(operator))
        };
        let Some(operator) = operator.filter(|operator| !operator.starts_with('&') || self.at == start)
        else {
            self.at = start;
            return Ok(None);
        };
        self.eat(operator);
        if operator.starts_with("<<") && operator != "<<<" {
            let body = self.here_document(operator == "<<-")?;
            return Ok(Some(Redirection {
                operator: operator.to_owned(),
                target: Word::default(),
                body: Some(body),
            }));
        }
        self.skip_blanks();
        let target = self.some_word()?;
        Ok(Some(Redirection { operator: operator.to_owned(), target, body: None }))
    }

    /// Reads a word where there must be one.
    fn some_word(&mut self) -> Read<Word> {
        let start = self.at;
        let word = self.word()?;
        if self.at == start { self.unclear("a word is missing") } else { Ok(word) }
    }

    fn simple(&mut self) -> Read<Command> {
        let mut assignments = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut redirections = Vec::new();
        loop {
            self.skip_blanks();
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
                continue;
            }
            match self.char(0) {
                _ if self.at >= self.end => break,
                Some('(') => {
                    let name = words
                        .first()
                        .and_then(Word::literal)
                        .filter(|_| words.len() == 1 && assignments.is_empty() && redirections.is_empty());
                    let Some(name) = name else {
                        return self.unclear("a `(` stands where a word is expected");
                    };
                    self.at += 1;
                    self.skip_blanks();
                    if !self.eat(")") {
                        return self.unclear("a `(` stands where a word is expected");
                    }
                    return self.function(name);
                }
                Some('\n' | ';' | '&' | '|' | ')') => break,
                _ => {}
            }
            let assigns = self.assignment_prefix(words.is_empty());
            let mut word = self.some_word()?;
            let array = assigns
                && self.char(0) == Some('(')
                && matches!(word.pieces.last(), Some(Piece::Literal(text)) if text.ends_with('='));
            if array {
                self.at += 1;
                word.elements = self.array()?;
            }
            if assigns && words.is_empty() {
                assignments.push(word);
            } else {
                words.push(word);
            }
        }
        if words.is_empty() && assignments.is_empty() && redirections.is_empty() {
            return self.unclear("a command is missing");
        }
        Ok(Command::Simple { assignments, words, redirections })
    }

    /// Tells whether `name=`, `name+=` or `name[…]=` starts here; refuses a `{{ }}` in the index.
    fn assignment_prefix(&mut self, first: bool) -> bool {
        let mut ahead = 0;
        while let Some(character) = self.char(ahead) {
            let fits = character == '_'
                || character.is_ascii_alphabetic()
                || ahead > 0 && character.is_ascii_digit();
            if !fits {
                break;
            }
            ahead += 1;
        }
        if ahead == 0 {
            return false;
        }
        if self.char(ahead) == Some('[') && first {
            let mut holes = Vec::new();
            let mut open = 0_usize;
            // Blanks may stand in an index, so it ends at its bracket, at latest with the line.
            while let Some(unit) = self.unit(ahead) {
                match unit {
                    Unit::Hole(hole) => holes.push(hole),
                    Unit::Char('[') => open += 1,
                    Unit::Char(']') => open -= 1,
                    Unit::Char('\n') => return false,
                    Unit::Char(_) => {}
                }
                ahead += 1;
                if open == 0 {
                    break;
                }
            }
            let assigns = self.char(ahead) == Some('=')
                || self.char(ahead) == Some('+') && self.char(ahead + 1) == Some('=');
            if assigns {
                for hole in holes {
                    self.refuse(hole, &INDEX);
                }
            }
            return assigns;
        }
        self.char(ahead) == Some('=') || self.char(ahead) == Some('+') && self.char(ahead + 1) == Some('=')
    }

    /// Reads the words of an array up to its `)`.
    fn array(&mut self) -> Read<Vec<Word>> {
        let mut elements = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.eat(")") {
                return Ok(elements);
            }
            let element = self.some_word()?;
            let text = element.prefix();
            let indexed = element.pieces.iter().find_map(|piece| match piece {
                Piece::Hole(hole) => Some(*hole),
                Piece::Literal(_) | Piece::Dynamic { .. } => None,
            });
            if let Some(hole) = indexed.filter(|_| text.starts_with('[') && !text.contains(']')) {
                self.refuse(hole, &INDEX);
            }
            elements.push(element);
        }
    }
}
