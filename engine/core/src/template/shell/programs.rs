//! Programs that read their arguments or input again as a program, and where in their arguments that is.

/// What a command does with its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A builtin that evaluates its arguments, whatever they are.
    Evaluates,
    /// `export`, `readonly`, `local`: harmless where the name of the variable is written out.
    Declares,
    /// A builtin whose arguments are names of variables, which may hold an index that is evaluated.
    NamesVariables,
    /// `printf`, for its `-v`.
    Printf,
    /// `test` and `[`, for their `-v`.
    Test,
    /// A shell, or a program that passes its arguments to one.
    Shell(Family),
    /// A program with a language of its own.
    Program(&'static Program),
    /// A program that starts another that is named in its arguments.
    Starter(Starter),
    /// Nothing is known of it, so its arguments are data.
    Other,
}

/// What a shell-like program is, for the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Shell,
    Remote,
    Arguments,
}

/// Where the name of the started program can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starter {
    /// Anywhere in the arguments.
    Anywhere,
    /// Behind a subcommand such as `exec`.
    Container,
    /// It may be a builtin.
    Builtin,
    /// `env`, whose `-S` splits a text into arguments.
    Environment,
    /// A program whose `-c` takes a command for a shell.
    CommandText,
}

/// What the first arguments that are no options are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// Data.
    Data,
    /// The first is the program's text, unless an option gave it.
    ProgramFirst,
    /// All but the first are program text.
    ProgramAfterFirst,
    /// The first is a file to run; what follows are its arguments.
    Script,
}

/// What standard input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Data,
    /// Program text, unless an option or operand gave that.
    Program,
}

/// How a program with a language of its own reads its command line.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) names: &'static [&'static str],
    pub(super) operands: Operands,
    pub(super) input: Input,
    /// Letters of options without an argument.
    pub(super) flags: &'static str,
    /// Letters whose argument is program text.
    pub(super) text: &'static str,
    /// Letters whose argument names a file with the program.
    pub(super) files: &'static str,
    /// Letters whose argument is data.
    pub(super) data: &'static str,
    /// Letters whose argument, if any, is attached.
    pub(super) attached: &'static str,
    /// Letters whose argument chooses code or a command to run.
    pub(super) refused: &'static str,
    pub(super) long_text: &'static [&'static str],
    pub(super) long_files: &'static [&'static str],
    /// Long options that take so many arguments of data.
    pub(super) long_data: &'static [(&'static str, usize)],
    pub(super) long_flags: &'static [&'static str],
    pub(super) long_refused: &'static [&'static str],
    /// Behind the option with the program's text everything is data.
    pub(super) text_ends_options: bool,
    /// How to pass the value instead.
    pub(super) help: &'static str,
}

const NONE: Program = Program {
    names: &[],
    operands: Operands::Data,
    input: Input::Data,
    flags: "",
    text: "",
    files: "",
    data: "",
    attached: "",
    refused: "",
    long_text: &[],
    long_files: &[],
    long_data: &[],
    long_flags: &[],
    long_refused: &[],
    text_ends_options: false,
    help: "",
};

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        names: &["psql"],
        input: Input::Program,
        flags: "aAbeEHlnqsStwWxXVz01?",
        text: "c",
        files: "f",
        data: "dhpUvFRPTL",
        refused: "o",
        long_text: &["command"],
        long_files: &["file"],
        long_refused: &["output"],
        help: "pass it as `psql -v x={{ … }}`, put the SQL into `stdin:` (with `run: [psql, -v, \"x={{ … }}\"]`) and write `:'x'` in it",
        ..NONE
    },
    Program {
        names: &["mysql", "mariadb"],
        input: Input::Program,
        flags: "ABCEGHILNVXbcfgijknoqrstvwy",
        text: "e",
        data: "DhPuSR",
        attached: "p",
        long_text: &["execute", "init-command"],
        long_refused: &["pager", "tee"],
        help: "put the SQL into `stdin:` without the value, or pass the value by `env` and quote it with a client library; an argv list `run: [mysql, …]` doesn't help inside SQL",
        ..NONE
    },
    Program {
        names: &["sqlite3"],
        operands: Operands::ProgramAfterFirst,
        input: Input::Program,
        help: "put the SQL into `stdin:` and the value into a parameter, as in `sqlite3 -cmd \".parameter init\"`; or pass it by `env` to a script",
        ..NONE
    },
    Program {
        names: &["awk", "gawk", "mawk", "nawk"],
        operands: Operands::ProgramFirst,
        flags: "bcCghIMnNOPrsStV",
        text: "e",
        files: "fE",
        data: "vFil",
        attached: "dDLoWp",
        long_text: &["source"],
        long_files: &["file", "exec"],
        long_data: &[("assign", 1), ("field-separator", 1), ("include", 1), ("load", 1)],
        long_flags: &[
            "posix",
            "traditional",
            "re-interval",
            "sandbox",
            "lint",
            "csv",
            "characters-as-bytes",
            "non-decimal-data",
        ],
        help: "pass it by `env` and read `ENVIRON[\"NAME\"]` in the program, or as `awk -v x={{ … }}`",
        ..NONE
    },
    Program {
        names: &["sed", "gsed"],
        operands: Operands::ProgramFirst,
        flags: "nErszub",
        text: "e",
        files: "f",
        data: "l",
        attached: "i",
        long_text: &["expression"],
        long_files: &["file"],
        long_data: &[("line-length", 1)],
        long_flags: &[
            "quiet",
            "silent",
            "in-place",
            "regexp-extended",
            "null-data",
            "separate",
            "posix",
            "unbuffered",
            "follow-symlinks",
            "debug",
            "sandbox",
        ],
        help: "pass it by `env` and use a program that takes data, as in `awk '{ gsub(/OLD/, ENVIRON[\"NAME\"]); print }'` or `envsubst`",
        ..NONE
    },
    Program {
        names: &["jq", "gojq"],
        operands: Operands::ProgramFirst,
        flags: "nrjasSCMcehVR",
        files: "",
        data: "L",
        attached: "f",
        long_data: &[
            ("arg", 2),
            ("argjson", 2),
            ("slurpfile", 2),
            ("rawfile", 2),
            ("argfile", 2),
            ("indent", 1),
        ],
        long_flags: &[
            "args",
            "jsonargs",
            "from-file",
            "null-input",
            "raw-input",
            "slurp",
            "compact-output",
            "raw-output",
            "raw-output0",
            "join-output",
            "ascii-output",
            "sort-keys",
            "color-output",
            "monochrome-output",
            "tab",
            "unbuffered",
            "stream",
            "stream-errors",
            "seq",
            "exit-status",
        ],
        help: "pass it as `jq --arg x {{ … }}` and write `$x` in the program",
        ..NONE
    },
    Program {
        names: &["perl"],
        operands: Operands::Script,
        input: Input::Program,
        flags: "acnpsStTuUvwWXl0123456789fgx",
        text: "eE",
        data: "I",
        attached: "iFCdDV",
        refused: "Mm",
        help: "pass it as an argument and read `$ARGV[0]`, or by `env` and read `$ENV{NAME}`",
        ..NONE
    },
    Program {
        names: &["python", "pypy"],
        operands: Operands::Script,
        input: Input::Program,
        flags: "bBdEhiIOPqRsStuvVx?",
        text: "c",
        data: "WX",
        refused: "m",
        long_data: &[("check-hash-based-pycs", 1)],
        text_ends_options: true,
        help: "pass it as an argument and read `sys.argv[1]`, or by `env` and read `os.environ[\"NAME\"]`",
        ..NONE
    },
    Program {
        names: &["ruby"],
        operands: Operands::Script,
        input: Input::Program,
        flags: "acdhlnpsSUvwy0123456789",
        text: "e",
        data: "ICEr",
        attached: "iFTWxK",
        help: "pass it as an argument and read `ARGV[0]`, or by `env` and read `ENV[\"NAME\"]`",
        ..NONE
    },
    Program {
        names: &["node", "nodejs"],
        operands: Operands::Script,
        input: Input::Program,
        flags: "civh",
        text: "ep",
        data: "rC",
        long_text: &["eval", "print"],
        long_data: &[
            ("require", 1),
            ("loader", 1),
            ("experimental-loader", 1),
            ("conditions", 1),
            ("env-file", 1),
            ("title", 1),
        ],
        long_refused: &["import"],
        help: "pass it as an argument and read `process.argv[2]`, or by `env` and read `process.env.NAME`",
        ..NONE
    },
];

/// Returns the kind of a command, known by the last part of its path; versions such as `python3.11` included.
pub(super) fn kind_of(command: &str) -> Kind {
    let name = command.rsplit('/').next().unwrap_or(command);
    // A path can't name a builtin.
    if name == command
        && let Some(kind) = builtin(name)
    {
        return kind;
    }
    let name = unversioned(name);
    match name {
        "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh" | "fish" | "rbash" | "mksh" | "csh" | "tcsh" => {
            Kind::Shell(Family::Shell)
        }
        "ssh" | "su" | "mosh" | "runuser" | "pdsh" => Kind::Shell(Family::Remote),
        "xargs" | "parallel" | "watch" => Kind::Shell(Family::Arguments),
        "docker" | "podman" | "nerdctl" | "kubectl" | "oc" | "crictl" | "docker-compose" | "lxc"
        | "railway" | "heroku" | "fly" | "flyctl" | "vagrant" => Kind::Starter(Starter::Container),
        "env" => Kind::Starter(Starter::Environment),
        "flock" | "script" => Kind::Starter(Starter::CommandText),
        "sudo" | "doas" | "timeout" | "nohup" | "nice" | "ionice" | "chrt" | "taskset" | "stdbuf"
        | "setsid" | "chroot" | "nsenter" | "unshare" | "chronic" | "time" | "busybox" | "toybox"
        | "pkexec" | "systemd-run" | "strace" | "sshpass" | "setpriv" | "gosu" | "tini" | "dumb-init"
        | "caffeinate" | "find" | "op" | "aws-vault" | "direnv" | "dotenv" | "faketime" | "unbuffer"
        | "proxychains4" | "entr" => Kind::Starter(Starter::Anywhere),
        _ => PROGRAMS.iter().find(|program| program.names.contains(&name)).map_or(Kind::Other, Kind::Program),
    }
}

fn builtin(name: &str) -> Option<Kind> {
    Some(match name {
        "eval" | "source" | "." | "trap" | "let" | "declare" | "typeset" | "alias" | "complete"
        | "compgen" | "bind" => Kind::Evaluates,
        "export" | "readonly" | "local" => Kind::Declares,
        "read" | "mapfile" | "readarray" | "getopts" | "unset" => Kind::NamesVariables,
        "printf" => Kind::Printf,
        "test" | "[" => Kind::Test,
        "command" | "builtin" | "exec" => Kind::Starter(Starter::Builtin),
        _ => return None,
    })
}

/// Removes `3.11`, `-15` and the like from the end of a name; `sqlite3` is a name with a digit of its own.
fn unversioned(name: &str) -> &str {
    if name.starts_with("sqlite3") {
        return "sqlite3";
    }
    let bare = name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    let bare = if bare.len() < name.len() { bare.trim_end_matches('-') } else { bare };
    if bare.is_empty() { name } else { bare }
}

/// How to pass a value to a shell-like program instead.
pub(super) fn family_help(family: Family) -> &'static str {
    match family {
        Family::Shell => {
            "pass it by `env`, as in `env: {VALUE: \"{{ … }}\"}`, and write \"$VALUE\" inside single quotes there; or write the commands into this script; or use an argv list, `run: [./script.sh, \"{{ … }}\"]`"
        }
        Family::Remote => {
            "run the step on a target with `on:`, or send the value by `stdin:` and `read` it on the other side; an argv list, `run: [ssh, host, …]`, passes it as it is: the remote shell still reads it"
        }
        Family::Arguments => {
            "write a loop over the values, as in `for x in …; do …; done`, or pass it by `env` and read \"$VALUE\" where it is used"
        }
    }
}
