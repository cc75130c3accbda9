//! Whether a script has pipes, in which a failure may go unseen.

use super::reader::Reader;
use super::script::{Dialect, units};
use super::tree::{Command, List, Word};
use crate::template::text::Template;

/// Whether a POSIX script connects commands by a pipe, anywhere in it. What can't be read has none.
#[must_use]
pub fn has_pipe(script: &str) -> bool {
    let Ok(template) = Template::parse(script) else { return false };
    let mut reader = Reader::new(units(&template), template.holes().count(), Dialect::Posix);
    reader.script().is_ok_and(|list| in_list(&list))
}

fn in_list(list: &List) -> bool {
    list.pipelines.iter().any(|commands| commands.len() > 1 || commands.iter().any(in_command))
}

fn in_command(command: &Command) -> bool {
    match command {
        Command::Simple { assignments, words, .. } => assignments.iter().chain(words).any(in_word),
        Command::Condition { words, .. } => words.iter().any(in_word),
        Command::Compound { words, lists, .. } => words.iter().any(in_word) || lists.iter().any(in_list),
        Command::Function { body, .. } => in_command(body),
    }
}

fn in_word(word: &Word) -> bool {
    word.lists.iter().any(in_list) || word.elements.iter().any(in_word)
}

#[cfg(test)]
mod tests {
    use super::has_pipe;

    #[test]
    fn pipes_are_found_wherever_they_stand() {
        for (script, expected) in [
            ("a | b", true),
            ("a && b || c", false),
            ("x=$(a | b)", true),
            ("if a; then b | c; fi", true),
            ("f() { a | b; }", true),
            ("echo 'a | b' \"c | d\"", false),
            ("case x in a|b) c;; esac", false),
            ("cat <<EOF\na | b\nEOF", false),
            ("a {{ params.x }} | b", true),
            ("(", false),
        ] {
            assert_eq!(has_pipe(script), expected, "{script}");
        }
    }
}
