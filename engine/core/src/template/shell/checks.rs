//! Follows every value through the commands of a script, to those that would read it again as a program.

use std::collections::{BTreeMap, BTreeSet};

use super::command_line::{CommandLine, is_standard_input};
use super::programs::{Family, Kind, Starter, family_help, kind_of};
use super::reader::INDEX;
use super::tree::{Body, Command, List, Redirection, Word};
use crate::template::error::TemplateError;

/// Variables whose value a shell evaluates or runs by itself.
const EVALUATED_VARIABLES: [&str; 8] =
    ["PS0", "PS1", "PS2", "PS4", "PROMPT_COMMAND", "BASH_ENV", "ENV", "SHELLOPTS"];
const ARITHMETIC_OPERATORS: [&str; 6] = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
const BY_ENV: &str =
    "pass it by `env`, as in `env: {VALUE: \"{{ … }}\"}`, and check \"$VALUE\" before you use it";

/// What is known of one `{{ }}`.
pub(super) struct Hole {
    pub(super) range: std::ops::Range<usize>,
    pub(super) source: String,
    pub(super) plain: bool,
    pub(super) raw: bool,
}

/// A program that reads standard input as a program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Consumer {
    name: String,
    help: &'static str,
    /// A shell: it also must not read a file that a value names.
    shell: bool,
    /// What comes from a file is the author's.
    lenient: bool,
}

/// What a command may write, and who in it reads its input.
#[derive(Default)]
struct Flow {
    emits: Vec<usize>,
    consumers: Vec<Consumer>,
    /// All that it writes is the content of files that its arguments name.
    copies_files: bool,
}

pub(super) struct Checks<'s> {
    pub(super) holes: &'s [Hole],
    pub(super) bodies: &'s [Body],
    pub(super) errors: Vec<TemplateError>,
    /// Holes that are allowed because they are plain.
    pub(super) relied_on_plain: BTreeSet<usize>,
    /// Holes whose value must not start with `-`, or it would be an option that runs something.
    pub(super) no_dash: BTreeSet<usize>,
    functions: BTreeMap<String, Vec<Consumer>>,
    /// Variables that are evaluated when they are assigned (`declare -i`), anywhere in the script.
    evaluated: BTreeSet<String>,
}

impl<'s> Checks<'s> {
    pub(super) fn new(holes: &'s [Hole], bodies: &'s [Body]) -> Self {
        let evaluated = EVALUATED_VARIABLES.iter().map(|name| (*name).to_owned()).collect();
        Self {
            holes,
            bodies,
            errors: Vec::new(),
            relied_on_plain: BTreeSet::new(),
            no_dash: BTreeSet::new(),
            functions: BTreeMap::new(),
            evaluated,
        }
    }

    pub(super) fn script(&mut self, list: &List) {
        // What a `declare -i` further down says also holds in a loop above it.
        collect_declared(list, &mut self.evaluated);
        self.list(list, &[]);
    }

    /// Refuses values that are not plain.
    pub(super) fn refuse(&mut self, holes: &[usize], code: &'static str, place: &str, help: &str) {
        for &hole in holes {
            if self.holes[hole].raw {
                continue;
            }
            if self.holes[hole].plain {
                self.relied_on_plain.insert(hole);
            } else {
                self.error(hole, code, place, help);
            }
        }
    }

    /// Refuses values whatever they are.
    fn refuse_all(&mut self, holes: &[usize], code: &'static str, place: &str, help: &str) {
        for &hole in holes {
            if !self.holes[hole].raw {
                self.error(hole, code, place, help);
            }
        }
    }

    fn error(&mut self, hole: usize, code: &'static str, place: &str, help: &str) {
        let error = refused(&self.holes[hole], code, place, help);
        if !self.errors.iter().any(|known| known.range == error.range) {
            self.errors.push(error);
        }
    }

    fn list(&mut self, list: &List, around: &[usize]) -> Flow {
        let mut flow = Flow { emits: list.holes.clone(), ..Flow::default() };
        for pipeline in &list.pipelines {
            flow.consumers.extend(self.pipeline(pipeline, around));
        }
        flow
    }

    /// Checks a pipeline; returns who reads the input of the whole.
    fn pipeline(&mut self, commands: &[Command], around: &[usize]) -> Vec<Consumer> {
        let mut first = Vec::new();
        let mut upstream: Vec<usize> = around.to_vec();
        let mut files: BTreeSet<usize> = BTreeSet::new();
        for (index, command) in commands.iter().enumerate() {
            let flow = self.command(command, &upstream);
            for consumer in &flow.consumers {
                let fed: Vec<usize> = upstream
                    .iter()
                    .copied()
                    .filter(|hole| !(consumer.lenient && files.contains(hole)))
                    .collect();
                self.refuse(
                    &fed,
                    "shell-input",
                    &format!("in what `{}` reads as a program", consumer.name),
                    consumer.help,
                );
            }
            if flow.copies_files {
                files.extend(&flow.emits);
            }
            upstream.extend(&flow.emits);
            if index == 0 {
                first = flow.consumers;
            }
        }
        first
    }

    fn command(&mut self, command: &Command, upstream: &[usize]) -> Flow {
        match command {
            Command::Simple { assignments, words, redirections } => {
                self.simple(assignments, words, redirections, upstream)
            }
            Command::Condition { words, redirections } => self.condition(words, redirections, upstream),
            Command::Compound { words, lists, variable, redirections } => {
                let mut flow = Flow::default();
                for word in words {
                    self.word(word, &mut flow, upstream);
                }
                if let Some(name) = variable {
                    self.assigned(name, &flow.emits.clone());
                }
                for list in lists {
                    let inner = self.list(list, &[]);
                    flow.emits.extend(inner.emits);
                    flow.consumers.extend(inner.consumers);
                }
                self.redirections(redirections, &mut flow, upstream);
                flow
            }
            Command::Function { name, body } => {
                let flow = self.command(body, &[]);
                self.functions.entry(name.clone()).or_default().extend(flow.consumers);
                Flow { emits: flow.emits, ..Flow::default() }
            }
        }
    }

    /// Checks the substitutions of a word and notes its values.
    fn word(&mut self, word: &Word, flow: &mut Flow, upstream: &[usize]) {
        word.collect_holes(&mut flow.emits);
        self.substitutions(word, upstream, &flow.emits.clone());
    }

    fn substitutions(&mut self, word: &Word, upstream: &[usize], beside: &[usize]) {
        for list in &word.lists {
            // A command in `>( … )` reads what the command around it writes.
            let mut fed = Vec::new();
            if list.reads_output {
                fed.extend(upstream);
                fed.extend(beside);
            }
            let inner = self.list(list, &[]);
            for consumer in &inner.consumers {
                self.refuse(
                    &fed,
                    "shell-input",
                    &format!("in what `{}` reads as a program", consumer.name),
                    consumer.help,
                );
            }
        }
        for element in &word.elements {
            self.substitutions(element, upstream, beside);
        }
    }

    fn simple(
        &mut self,
        assignments: &[Word],
        words: &[Word],
        redirections: &[Redirection],
        upstream: &[usize],
    ) -> Flow {
        let mut flow = Flow::default();
        for word in words {
            word.collect_holes(&mut flow.emits);
        }
        let arguments = flow.emits.clone();
        for word in words {
            self.substitutions(word, upstream, &arguments);
        }
        for assignment in assignments {
            self.substitutions(assignment, upstream, &arguments);
            let name: String =
                assignment.prefix().chars().take_while(|c| *c == '_' || c.is_ascii_alphanumeric()).collect();
            self.assigned(&name, &assignment.holes());
        }
        flow.consumers = self.arguments(words, false);
        let name = words.first().and_then(Word::literal).unwrap_or_default();
        flow.consumers.extend(self.functions.get(&name).cloned().unwrap_or_default());
        flow.copies_files = copies_files(&name) && words.iter().all(|word| word.lists.is_empty());
        self.redirections(redirections, &mut flow, upstream);
        flow
    }

    fn assigned(&mut self, name: &str, holes: &[usize]) {
        if self.evaluated.contains(name) {
            self.refuse(
                holes,
                "shell-variable",
                &format!("in `{name}`, whose value the shell evaluates"),
                BY_ENV,
            );
        }
    }

    fn redirections(&mut self, redirections: &[Redirection], flow: &mut Flow, upstream: &[usize]) {
        for redirection in redirections {
            let mut holes = redirection.target.holes();
            self.substitutions(&redirection.target, upstream, &flow.emits.clone());
            if let Some(body) = redirection.body {
                let content = &self.bodies[body].content;
                self.substitutions(content, &[], &[]);
                holes.extend(content.holes());
                flow.copies_files = false;
            }
            let reads = redirection.operator.starts_with('<');
            if !reads || holes.is_empty() {
                continue;
            }
            let text = redirection.body.is_some()
                || redirection.operator == "<<<"
                || !redirection.target.lists.is_empty();
            let place = if redirection.body.is_some() {
                "here-document"
            } else if text {
                "here-string"
            } else {
                "file"
            };
            for consumer in flow.consumers.clone() {
                if text || consumer.shell {
                    self.refuse(
                        &holes,
                        "shell-input",
                        &format!("in the {place} that `{}` reads as a program", consumer.name),
                        consumer.help,
                    );
                }
            }
            flow.emits.extend(holes);
        }
    }

    fn condition(&mut self, words: &[Word], redirections: &[Redirection], upstream: &[usize]) -> Flow {
        let mut flow = Flow::default();
        for word in words {
            self.word(word, &mut flow, upstream);
        }
        let literals: Vec<String> = words.iter().map(|word| word.literal().unwrap_or_default()).collect();
        if literals.iter().any(|word| ARITHMETIC_OPERATORS.contains(&word.as_str())) {
            let holes = flow.emits.clone();
            self.refuse_all(
                &holes,
                "shell-arithmetic",
                "in `[[ ]]` with an arithmetic operator, which evaluates what a value says",
                "write `[ {{ … }} -gt 5 ]`, which takes numbers only, or compare in `when:`",
            );
        }
        if literals.iter().any(|word| matches!(word.as_str(), "-v" | "-R")) {
            let holes = flow.emits.clone();
            self.refuse_all(&holes, INDEX.code, "in `[[ -v ]]`, which evaluates an array index", INDEX.help);
        }
        self.redirections(redirections, &mut flow, upstream);
        flow
    }

    /// Checks the words of a command; returns whether it reads its input as a program.
    fn arguments(&mut self, words: &[Word], started: bool) -> Vec<Consumer> {
        let Some((command, arguments)) = words.split_first() else {
            return Vec::new();
        };
        let holes: Vec<usize> = arguments.iter().flat_map(Word::holes).collect();
        let Some(name) = command.literal() else {
            self.unknown_command(command, arguments, &holes);
            return Vec::new();
        };
        let shown = name.rsplit('/').next().unwrap_or(&name).to_owned();
        match kind_of(&name) {
            Kind::Evaluates => {
                self.refuse_all(
                    &holes,
                    "shell-eval",
                    &format!("in an argument of `{name}`, which evaluates it"),
                    BY_ENV,
                );
                let literals = arguments.iter().filter_map(Word::literal);
                let reads_input = literals.into_iter().any(|literal| is_standard_input(&literal));
                let consumer = Consumer { name: shown, help: BY_ENV, shell: true, lenient: false };
                reads_input.then_some(consumer).into_iter().collect()
            }
            Kind::Declares => {
                for argument in arguments {
                    let named = argument
                        .prefix()
                        .split_once('=')
                        .is_some_and(|(name, _)| is_name(name.trim_end_matches('+')));
                    if named {
                        let name: String = argument
                            .prefix()
                            .chars()
                            .take_while(|c| *c == '_' || c.is_ascii_alphanumeric())
                            .collect();
                        self.assigned(&name, &argument.holes());
                    } else {
                        self.refuse_all(
                            &argument.holes(),
                            "shell-variable-name",
                            &format!("in the name of a variable that `{name}` sets"),
                            "write `NAME={{ … }}`",
                        );
                    }
                }
                Vec::new()
            }
            Kind::NamesVariables => {
                self.refuse_all(&holes, "shell-variable-name", &format!("in an argument of `{name}`, which takes names of variables"),
                    "write the name out; a value can come in by a here-string, as in `read -r name <<< {{ … }}`");
                Vec::new()
            }
            Kind::Printf => {
                self.printf(arguments, &holes);
                Vec::new()
            }
            Kind::Test => {
                self.test(arguments);
                Vec::new()
            }
            Kind::Shell(family) => {
                self.refuse(
                    &holes,
                    "shell-program",
                    &format!("in an argument of `{shown}`, which reads it as a program"),
                    family_help(family),
                );
                vec![Consumer {
                    name: shown,
                    help: family_help(family),
                    shell: family == Family::Shell,
                    lenient: false,
                }]
            }
            Kind::Program(program) => {
                let mut walk = CommandLine {
                    checks: self,
                    program,
                    name: &shown,
                    given: false,
                    operand_count: 0,
                    uncertain: false,
                    reads_input: false,
                    file_operand: false,
                };
                walk.read(arguments)
                    .then(|| Consumer {
                        name: shown.clone(),
                        help: program.help,
                        shell: false,
                        lenient: true,
                    })
                    .into_iter()
                    .collect()
            }
            Kind::Starter(starter) => self.started(starter, &name, arguments, started),
            Kind::Other => Vec::new(),
        }
    }

    fn unknown_command(&mut self, command: &Word, arguments: &[Word], holes: &[usize]) {
        let chosen = command.holes();
        if chosen.iter().any(|hole| !self.holes[*hole].raw) {
            // A value of `eval` or `bash` would make every other value a program.
            for &hole in holes {
                if !self.holes[hole].raw {
                    self.error(hole, "shell-command-name", "in an argument of a command that is itself chosen by a value",
                        "write the command's name out, in a `case` for instance, or use an argv list: `run: [\"{{ … }}\", …]`");
                }
            }
        }
        let program = arguments
            .iter()
            .position(|word| matches!(word.literal().as_deref(), Some("-c" | "-e" | "--command" | "--eval")));
        if let Some(position) = program {
            let holes: Vec<usize> = arguments[position..].iter().flat_map(Word::holes).collect();
            self.refuse(&holes, "shell-program", "in what looks like the text of a program", BY_ENV);
        }
    }

    fn printf(&mut self, arguments: &[Word], holes: &[usize]) {
        if arguments.first().is_some_and(|word| word.prefix().starts_with("-v")) {
            self.refuse_all(
                holes,
                "shell-eval",
                "in an argument of `printf -v`, which evaluates an array index",
                "write `name=$(printf …)`",
            );
        }
        self.first_is_no_option(arguments.first());
    }

    fn first_is_no_option(&mut self, word: Option<&Word>) {
        if let Some(hole) = word.and_then(Word::leading_hole) {
            self.no_dash.insert(hole);
        }
    }

    fn test(&mut self, arguments: &[Word]) {
        for pair in arguments.windows(2) {
            let variable = matches!(pair[0].literal().as_deref(), Some("-v" | "-R"));
            if variable || pair[0].leading_hole().is_some() && pair[1].leading_hole().is_some() {
                self.refuse_all(
                    &pair[1].holes(),
                    INDEX.code,
                    "where `test` may take it for the name of a variable with an index",
                    "write the operator of `[ … ]` out",
                );
            }
        }
    }

    fn started(&mut self, starter: Starter, name: &str, arguments: &[Word], nested: bool) -> Vec<Consumer> {
        let mut consumers = Vec::new();
        if starter == Starter::Builtin
            && let Some((command, rest)) = arguments.split_first()
            && command.literal().is_none()
        {
            let holes: Vec<usize> = rest.iter().flat_map(Word::holes).collect();
            self.unknown_command(command, rest, &holes);
        }
        let literals: Vec<Option<String>> = arguments.iter().map(Word::literal).collect();
        if starts_shell(name, &literals) {
            let (name, help) = (name.to_owned(), family_help(Family::Shell));
            consumers.push(Consumer { name, help, shell: true, lenient: false });
        }
        let mut inside = starter != Starter::Container;
        for (index, literal) in literals.iter().enumerate() {
            if starter == Starter::Environment
                && arguments[index].prefix().starts_with(['-'])
                && is_split_string(arguments[index].prefix())
            {
                let holes: Vec<usize> = arguments[index..].iter().take(2).flat_map(Word::holes).collect();
                self.refuse(&holes, "shell-program", "in a text that `env -S` splits into a command", BY_ENV);
            }
            if starter == Starter::CommandText && matches!(literal.as_deref(), Some("-c" | "--command")) {
                let holes: Vec<usize> = arguments[index + 1..].iter().flat_map(Word::holes).collect();
                self.refuse(
                    &holes,
                    "shell-program",
                    &format!("in a command that `{name} -c` gives to a shell"),
                    family_help(Family::Shell),
                );
            }
            let Some(literal) = literal else {
                continue;
            };
            if !inside {
                inside = matches!(
                    literal.as_str(),
                    "exec" | "run" | "debug" | "ssh" | "attach" | "rsh" | "console"
                );
                if literal == "ssh" {
                    consumers.extend(self.arguments(&arguments[index..], true));
                }
                continue;
            }
            let starts = match kind_of(literal) {
                Kind::Shell(_) | Kind::Program(_) => true,
                Kind::Evaluates | Kind::Declares | Kind::NamesVariables | Kind::Printf | Kind::Test => {
                    starter == Starter::Builtin && index == 0
                }
                // Those in between are found by going on; only another kind of starter needs its own look.
                Kind::Starter(other) => other != starter && !nested,
                Kind::Other => false,
            };
            if starts {
                consumers.extend(self.arguments(&arguments[index..], true));
            }
        }
        consumers
    }
}

/// Says that a `{{ }}` can't stand where it does.
pub(super) fn refused(hole: &Hole, code: &'static str, place: &str, help: &str) -> TemplateError {
    TemplateError::new(hole.range.clone(), code, format!("`{{{{ {} }}}}` can't be used {place}", hole.source))
        .with_help(help)
}

/// Programs whose output is what is in the files that they are given, not the names of these.
fn copies_files(name: &str) -> bool {
    matches!(
        name.rsplit('/').next().unwrap_or(name),
        "cat"
            | "zcat"
            | "gunzip"
            | "gzip"
            | "bzcat"
            | "bunzip2"
            | "xzcat"
            | "unxz"
            | "xz"
            | "zstd"
            | "zstdcat"
            | "lz4"
            | "pigz"
            | "pv"
            | "pg_dump"
            | "pg_restore"
            | "mysqldump"
            | "mariadb-dump"
            | "openssl"
            | "gpg"
            | "age"
    )
}

/// Whether a starter is told to start a shell, which reads its input where no command is named: `sudo -i`, `sudo -u app -s`.
/// Where one is named, the shell reads its words once more, and what it is given is refused the same.
fn starts_shell(name: &str, arguments: &[Option<String>]) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    if !matches!(name, "sudo" | "doas") {
        return false;
    }
    let mut arguments = arguments.iter();
    while let Some(Some(argument)) = arguments.next() {
        if matches!(argument.as_str(), "--login" | "--shell") {
            return true;
        }
        let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else {
            // A variable for the command may stand before it.
            if argument.starts_with("--") || argument.contains('=') {
                continue;
            }
            return false;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'i' | 's' => return true,
                // The user, the group and the like: the rest of the word, or the next.
                'u' | 'g' | 'h' | 'p' | 'C' | 'r' | 't' | 'T' | 'U' | 'D' | 'R' | 'c' => {
                    if at + 1 == letters.len() {
                        arguments.next();
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    false
}

fn is_split_string(option: &str) -> bool {
    option.starts_with("--split") || !option.starts_with("--") && option.contains('S')
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

/// Finds the variables that `declare -i`, `local -n` and the like make the shell evaluate.
fn collect_declared(list: &List, names: &mut BTreeSet<String>) {
    fn in_word(word: &Word, names: &mut BTreeSet<String>) {
        for list in &word.lists {
            collect_declared(list, names);
        }
    }
    fn in_command(command: &Command, names: &mut BTreeSet<String>) {
        match command {
            Command::Simple { words, .. } => {
                words.iter().for_each(|word| in_word(word, names));
                let literal = |word: &Word| word.literal().unwrap_or_default();
                let declares = words.iter().position(|word| {
                    matches!(literal(word).as_str(), "declare" | "typeset" | "local" | "export" | "readonly")
                });
                let Some(arguments) = declares.map(|position| &words[position + 1..]) else {
                    return;
                };
                if arguments
                    .iter()
                    .any(|word| literal(word).starts_with('-') && literal(word).contains(['i', 'n']))
                {
                    names.extend(arguments.iter().map(|word| {
                        word.prefix().split(['=', '+', '[']).next().unwrap_or_default().to_owned()
                    }));
                }
            }
            Command::Condition { .. } => {}
            Command::Compound { lists, .. } => lists.iter().for_each(|list| collect_declared(list, names)),
            Command::Function { body, .. } => in_command(body, names),
        }
    }
    for command in list.pipelines.iter().flatten() {
        in_command(command, names);
    }
}
