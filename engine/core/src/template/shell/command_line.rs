//! Reads the command line of a program with a language of its own, to the place where its program is.

use super::checks::Checks;
use super::programs::{Input, Operands, Program};
use super::tree::{Piece, Word};

/// Reads the command line of a program with a language of its own.
pub(super) struct CommandLine<'c, 's> {
    pub(super) checks: &'c mut Checks<'s>,
    pub(super) program: &'static Program,
    pub(super) name: &'c str,
    /// An option or operand has given the program's text.
    pub(super) given: bool,
    pub(super) operand_count: usize,
    /// An option is not known, so an operand may be its argument, or not.
    pub(super) uncertain: bool,
    /// The file with the program is standard input.
    pub(super) reads_input: bool,
    /// The first operand is the file with the program.
    pub(super) file_operand: bool,
}

/// Whether a name of a file means standard input.
pub(super) fn is_standard_input(name: &str) -> bool {
    matches!(name, "-" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0")
}

impl CommandLine<'_, '_> {
    /// Reads the arguments; returns whether the program's text comes from standard input.
    pub(super) fn read(&mut self, arguments: &[Word]) -> bool {
        let mut options_ended = false;
        let mut magic_files = false;
        let mut index = 0;
        while let Some(word) = arguments.get(index) {
            let literal = word.literal();
            let prefix = word.prefix();
            if !options_ended && literal.as_deref() == Some("--") {
                options_ended = true;
            } else if !options_ended && prefix.len() > 1 && prefix.starts_with('-') {
                magic_files |= self.name.starts_with("perl")
                    && !prefix.starts_with("--")
                    && prefix.contains(['n', 'p', 'i']);
                index += self.option(word, arguments.get(index + 1..).unwrap_or_default());
                if self.given && self.program.text_ends_options {
                    return false;
                }
            } else if self.operand(word, literal.as_deref(), options_ended, magic_files) {
                return literal.as_deref().is_some_and(is_standard_input);
            }
            index += 1;
        }
        let from_operand = match self.program.operands {
            Operands::ProgramAfterFirst => self.operand_count > 1,
            Operands::Data | Operands::ProgramFirst | Operands::Script => false,
        };
        self.reads_input || (self.program.input == Input::Program && !self.given && !from_operand)
    }

    /// Reads an operand; true where all that follows is data.
    fn operand(
        &mut self,
        word: &Word,
        literal: Option<&str>,
        options_ended: bool,
        magic_files: bool,
    ) -> bool {
        if let Some(hole) = word.leading_hole().filter(|_| !options_ended) {
            self.checks.no_dash.insert(hole);
        }
        if word.is_unquoted_expansion() {
            self.uncertain = true;
            return false;
        }
        // `sed -i ''` of other systems.
        if literal == Some("") {
            return false;
        }
        let count = self.operand_count;
        self.operand_count += 1;
        if count == 0 && self.file_operand {
            self.program_file(word, literal.unwrap_or_default());
        }
        match self.program.operands {
            Operands::Data => false,
            Operands::ProgramFirst => {
                if !self.given {
                    self.refuse(&word.holes());
                    self.given = !self.uncertain;
                }
                false
            }
            Operands::ProgramAfterFirst => {
                if count > 0 || self.uncertain {
                    self.refuse(&word.holes());
                }
                false
            }
            Operands::Script => {
                if magic_files {
                    self.refuse_as(
                        &word.holes(),
                        "as a file of `perl -n`, which runs it when it ends in `|`",
                    );
                }
                if self.uncertain {
                    self.refuse(&word.holes());
                }
                let script = !self.given && !self.uncertain;
                script && !magic_files
            }
        }
    }

    /// The program comes from a file: the author's, unless it is what a command prints or what is read as input.
    fn program_file(&mut self, word: &Word, name: &str) {
        self.reads_input |= is_standard_input(name);
        if !word.lists.is_empty() {
            self.refuse(&word.holes());
        }
    }

    fn program_file_in(&mut self, rest: &[Word]) {
        if let Some(word) = rest.first() {
            self.program_file(word, &word.literal().unwrap_or_default());
        }
    }

    fn refuse(&mut self, holes: &[usize]) {
        let place = format!("in the program that `{}` runs", self.name);
        self.refuse_as(holes, &place);
    }

    fn refuse_as(&mut self, holes: &[usize], place: &str) {
        self.checks.refuse(holes, "shell-program", place, self.program.help);
    }

    /// Reads an option; returns how many words behind it are its arguments.
    fn option(&mut self, word: &Word, rest: &[Word]) -> usize {
        let prefix = word.prefix().to_owned();
        if self.program.names == ["sqlite3"] {
            return self.sqlite_option(prefix.trim_start_matches('-'), word, rest);
        }
        match prefix.strip_prefix("--") {
            Some(name) => self.long_option(name, word, rest),
            None => self.short_options(&prefix[1..], word, rest),
        }
    }

    fn sqlite_option(&mut self, name: &str, word: &Word, rest: &[Word]) -> usize {
        self.refuse(&word.holes());
        match name {
            "cmd" | "init" => {
                self.refuse(&rest.iter().take(1).flat_map(Word::holes).collect::<Vec<_>>());
                1
            }
            "separator" | "newline" | "nullvalue" | "vfs" | "maxsize" | "mmap" | "heap" => 1,
            "lookaside" | "pagecache" => 2,
            _ => 0,
        }
    }

    fn long_option(&mut self, option: &str, word: &Word, rest: &[Word]) -> usize {
        let attached = option.contains('=');
        let name = option.split('=').next().unwrap_or_default();
        // mysql takes abbreviations of its options.
        let is_one_of = |names: &[&str]| {
            names.iter().any(|known| {
                *known == name
                    || name.len() > 1 && self.program.names.contains(&"mysql") && known.starts_with(name)
            })
        };
        let value: Vec<usize> =
            if attached { word.holes() } else { rest.iter().take(1).flat_map(Word::holes).collect() };
        let taken = usize::from(!attached);
        if is_one_of(self.program.long_text) {
            self.refuse(&value);
            self.given = true;
            return taken;
        }
        if is_one_of(self.program.long_refused) {
            self.refuse_as(&value, &format!("in `--{name}` of `{}`, which can run a command", self.name));
            return taken;
        }
        if is_one_of(self.program.long_files) {
            self.given = true;
            match option.split_once('=') {
                Some((_, file)) => self.program_file(word, file),
                None => self.program_file_in(rest),
            }
            return taken;
        }
        self.file_operand |= name == "from-file";
        if let Some((_, count)) = self.program.long_data.iter().find(|(known, _)| *known == name) {
            return if attached { count - 1 } else { *count };
        }
        if !attached && !word.holes().is_empty() {
            self.refuse_as(&word.holes(), &format!("in the name of an option of `{}`", self.name));
        }
        if !attached && !self.program.long_flags.contains(&name) && self.program.operands != Operands::Data {
            self.uncertain = true;
        }
        0
    }

    fn short_options(&mut self, letters: &str, word: &Word, rest: &[Word]) -> usize {
        for (position, letter) in letters.char_indices() {
            let behind = &letters[position + letter.len_utf8()..];
            let attached = !behind.is_empty() || word.pieces.len() > 1;
            // `node -pe` is `-p` and `-e`.
            if letter == 'p' && behind == "e" {
                continue;
            }
            let value: Vec<usize> =
                if attached { word.holes() } else { rest.iter().take(1).flat_map(Word::holes).collect() };
            let taken = usize::from(!attached);
            if self.program.text.contains(letter) {
                self.refuse(&value);
                self.given = true;
                return taken;
            }
            if self.program.refused.contains(letter) {
                self.refuse_as(
                    &value,
                    &format!("in `-{letter}` of `{}`, which chooses what is run", self.name),
                );
                self.given |= self.program.text_ends_options;
                return taken;
            }
            if self.program.files.contains(letter) {
                self.given = true;
                if attached {
                    self.program_file(word, behind);
                } else {
                    self.program_file_in(rest);
                }
                return taken;
            }
            if self.program.data.contains(letter) {
                return taken;
            }
            if self.program.attached.contains(letter) {
                // `jq -f file` takes the first operand for a file.
                if letter == 'f' {
                    self.given = true;
                    self.file_operand = true;
                    continue;
                }
                return 0;
            }
            if !self.program.flags.contains(letter) {
                self.uncertain = self.program.operands != Operands::Data;
            }
        }
        if word.pieces.iter().any(|piece| matches!(piece, Piece::Hole(_))) {
            self.refuse_as(&word.holes(), &format!("in the options of `{}`", self.name));
        }
        0
    }
}
