//! From the words of the command line to what they mean.
//!
//! clap copies the options of all commands into every command before it reads the first word: thirty times what one command needs, and most
//! of what starting this program costs. So the words are read by a definition with the one command that they seem to name. Whatever that
//! doesn't understand is read again by the whole definition, which alone says what is wrong, helps, and knows all commands.

use std::ffi::OsString;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser as _};

use crate::args::Arguments;
use crate::options::Global;

/// Reads the words, of which the first is the program's name.
///
/// # Errors
/// What is wrong with them, or the help that they ask for.
pub(crate) fn read(words: &[OsString]) -> Result<Arguments, clap::Error> {
    read_by_one_command(words).map_or_else(|| Arguments::try_parse_from(words), Ok)
}

fn read_by_one_command(words: &[OsString]) -> Option<Arguments> {
    let whole = Arguments::command();
    let named = words.iter().skip(1).find_map(|word| whole.find_subcommand(word))?;
    // With fewer commands than there are, nothing is understood otherwise: only a word that is the command's name is taken for one.
    let narrow = Global::augment_args(clap::Command::new("runbook"))
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .subcommand_required(true)
        .subcommand(named.clone().disable_help_flag(true));
    let mut matches = narrow.try_get_matches_from(words).ok()?;
    Arguments::from_arg_matches_mut(&mut matches).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_they_mean_to_the_whole_definition() {
        let lines = [
            "run deploy",
            "run deploy -p a=b -p c=d --wait=5m -q",
            "-q --dir run plan deploy",
            "--dir run validate",
            "--state /s --color never runs",
            "runs --color",
            "resume last --retry run --retry-failed",
            "status run",
            "run -- run",
            "run",
            "run run",
            "--color run deploy",
            "run deploy --max-parallel=0",
            "run deploy --parm a=b",
            "rn deploy",
            "deploy run",
            "approve last deploy --note run",
            "run --help",
            "run -h",
            "--help run",
            "help run",
            "--version",
            "-V run",
            "run --version",
            "",
            "stats deploy",
            "run deploy plan",
            "man",
            "completions bash",
        ];
        let mut understood = 0;
        for line in lines {
            let words: Vec<OsString> =
                std::iter::once("runbook").chain(line.split_whitespace()).map(Into::into).collect();
            let (read, whole) = (read(&words), Arguments::try_parse_from(&words));
            understood += usize::from(read_by_one_command(&words).is_some());
            assert_eq!(read.is_ok(), whole.is_ok(), "{line}");
            match (read, whole) {
                (Ok(read), Ok(whole)) => assert_eq!(format!("{read:?}"), format!("{whole:?}"), "{line}"),
                (Err(read), Err(whole)) => assert_eq!(read.to_string(), whole.to_string(), "{line}"),
                (read, whole) => panic!("{line}: {read:?}, {whole:?}"),
            }
        }
        assert!(understood >= 10, "only {understood} lines were read by one command");
    }
}
