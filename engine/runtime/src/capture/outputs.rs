//! The values that a command leaves in the file behind `RUNBOOK_OUTPUT` (language.md §7).

/// Reads `name=value` lines and `name<<END … END` blocks. The last value of a name wins, in the place of its first. Values are UTF-8 with what isn't
/// replaced by U+FFFD. Empty lines between them count for nothing.
///
/// # Errors
/// The first line of neither form, or a block without its end.
pub fn parse_outputs(content: &[u8]) -> Result<Vec<(String, String)>, OutputError> {
    let mut values: Vec<(String, String)> = Vec::new();
    let mut lines = split_lines(content).enumerate();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let error = |problem| OutputError { line: index + 1, problem };
        let (name, value) = match parse_line(line).ok_or_else(|| error(OutputProblem::NeitherForm))? {
            Form::Value { name, value } => (name, value.to_vec()),
            Form::Block { name, end } => {
                let mut block: Vec<&[u8]> = Vec::new();
                loop {
                    let (_, line) = lines.next().ok_or_else(|| error(OutputProblem::Unended(text(end))))?;
                    if line == end {
                        break;
                    }
                    block.push(line);
                }
                (name, block.join(&b'\n'))
            }
        };
        let (name, value) = (text(name), text(&value));
        match values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => values.push((name, value)),
        }
    }
    Ok(values)
}

/// A line of a `RUNBOOK_OUTPUT` file that can't be read; it fails the step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of RUNBOOK_OUTPUT {problem}")]
pub struct OutputError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: OutputProblem,
}

/// What is wrong with a line of a `RUNBOOK_OUTPUT` file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputProblem {
    /// It has neither form.
    #[error("is neither name=value nor name<<END")]
    NeitherForm,
    /// It begins a block whose last line doesn't follow.
    #[error("begins a block that no line {0:?} ends")]
    Unended(String),
}

enum Form<'a> {
    Value { name: &'a [u8], value: &'a [u8] },
    Block { name: &'a [u8], end: &'a [u8] },
}

fn parse_line(line: &[u8]) -> Option<Form<'_>> {
    let length =
        line.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_')).unwrap_or(line.len());
    let (name, rest) = line.split_at(length);
    if name.first().is_none_or(u8::is_ascii_digit) {
        return None;
    }
    if let Some(value) = rest.strip_prefix(b"=") {
        return Some(Form::Value { name, value });
    }
    let end = rest.strip_prefix(b"<<")?;
    if end.is_empty() { None } else { Some(Form::Block { name, end }) }
}

fn split_lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("\n\n", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1\nb=2\n", &[("a", "1"), ("b", "2")]),
            ("a=1\n\nb=\n", &[("a", "1"), ("b", "")]),
            ("a=x=y << z\n", &[("a", "x=y << z")]),
            ("a=1\r\n", &[("a", "1")]),
            ("_a9=  spaces kept  \n", &[("_a9", "  spaces kept  ")]),
            ("a=1\nb=2\na=3\n", &[("a", "3"), ("b", "2")]),
            ("a<<END\none\n\ntwo=2\nEND\nb=3\n", &[("a", "one\n\ntwo=2"), ("b", "3")]),
            ("a<<END\nEND\n", &[("a", "")]),
            ("a<<E O F\nEND\nE O F", &[("a", "END")]),
        ];
        for (content, expected) in cases {
            let values =
                parse_outputs(content.as_bytes()).unwrap_or_else(|error| panic!("{content:?}: {error}"));
            let values: Vec<(&str, &str)> =
                values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(&values, expected, "{content:?}");
        }
    }

    #[test]
    fn a_line_of_neither_form_is_named() {
        let cases: &[(&str, usize, OutputProblem)] = &[
            ("hello", 1, OutputProblem::NeitherForm),
            ("a=1\n\n b=2", 3, OutputProblem::NeitherForm),
            ("9a=1", 1, OutputProblem::NeitherForm),
            ("a-b=1", 1, OutputProblem::NeitherForm),
            ("=1", 1, OutputProblem::NeitherForm),
            ("a<<\nx\n", 1, OutputProblem::NeitherForm),
            ("a<EOF", 1, OutputProblem::NeitherForm),
            ("b=1\na<<END\nx\n END\n", 2, OutputProblem::Unended("END".to_owned())),
        ];
        for (content, line, problem) in cases {
            let expected = OutputError { line: *line, problem: problem.clone() };
            assert_eq!(parse_outputs(content.as_bytes()), Err(expected), "{content:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(parse_outputs(b"a=\xff!"), Ok(vec![("a".to_owned(), "\u{fffd}!".to_owned())]));
    }
}
