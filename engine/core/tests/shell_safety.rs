//! Values reach a shell as they are: real shells, hostile values, arguments compared byte for byte.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the test of a pure crate is not pure: it runs shells"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use runbook_core::template::{Context, Dialect, ShellScript, Template, Value};

/// Values that break naive quoting; `pwned` is a file that only an executed value creates.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "blue",
    "a b; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "$(touch pwned)'\"; touch pwned; \"'",
    "'; touch pwned; '",
    "\"; touch pwned; \"",
    "\\",
    "\\\\",
    "trailing\\",
    "\\\"$(touch pwned)",
    "line one\nline two\ntouch pwned",
    "\ntouch pwned\n",
    "EOF\ntouch pwned\n",
    "\tEOF",
    "EOF",
    "*",
    "?[a-z]*",
    "~root",
    "-rf",
    "--",
    "!",
    "!!",
    "#no comment",
    "${HOME}",
    "$HOME $1 $@ $$",
    "{a,b}",
    "a=b",
    "&& touch pwned",
    "| touch pwned",
    "> pwned",
    "<(touch pwned)",
    ") touch pwned (",
    "}; touch pwned; {",
    "esac; touch pwned",
    "fi\ntouch pwned",
    "a[$(touch pwned)]",
    "%s%n\\n\\0",
    "zażółć 漢字 🦀 \u{202e}",
    "\r\n",
    "\u{1b}[31m",
    "${RB_1}",
    "RB_1",
];

/// Prints how many arguments there are, and each, with NUL behind it.
const SHOW: &str = "show() { printf '%s\\0' \"$#\" \"$@\"; }\n";

/// Scripts in which `{{ v }}` reaches `show`, and the arguments that it must get.
type Expected = fn(&str) -> Vec<String>;
const PLACES: &[(&str, Expected)] = &[
    ("show {{ v }}", |v| vec![v.to_owned()]),
    ("show a{{ v }}b", |v| vec![format!("a{v}b")]),
    ("show {{ v }} {{ v }}", |v| vec![v.to_owned(), v.to_owned()]),
    ("show {{ v }}{{ v }}", |v| vec![format!("{v}{v}")]),
    ("show \"{{ v }}\"", |v| vec![v.to_owned()]),
    ("show \"a {{ v }} \\\"b\\\" {{ v }}\"", |v| vec![format!("a {v} \"b\" {v}")]),
    ("show \"\\${{ v }}\"", |v| vec![format!("${v}")]),
    ("show \"\\\\{{ v }}\"", |v| vec![format!("\\{v}")]),
    ("show '{{ v }}'", |v| vec![v.to_owned()]),
    ("show 'a \" $x \\ {{ v }} b'c", |v| vec![format!("a \" $x \\ {v} bc")]),
    ("show '$'{{ v }}", |v| vec![format!("${v}")]),
    ("show --flag={{ v }}", |v| vec![format!("--flag={v}")]),
    ("x={{ v }}; show \"$x\"", |v| vec![v.to_owned()]),
    ("x=a{{ v }}b\"{{ v }}\"; show \"$x\"", |v| vec![format!("a{v}b{v}")]),
    ("export X={{ v }}; show \"$X\"", |v| vec![v.to_owned()]),
    ("for x in {{ v }}; do show \"$x\"; done", |v| vec![v.to_owned()]),
    ("for x in 1 {{ v }}\ndo\n  test \"$x\" = 1 || show \"$x\"\ndone", |v| vec![v.to_owned()]),
    ("case {{ v }} in {{ v }}) show yes {{ v }};; *) show no;; esac", |v| {
        vec!["yes".to_owned(), v.to_owned()]
    }),
    ("case \"{{ v }}\" in (x*|\"{{ v }}\") show yes;; esac", |_| vec!["yes".to_owned()]),
    ("x=$(printf '%s.' {{ v }}); show \"$x\"", |v| vec![format!("{v}.")]),
    ("show \"$(printf '%s.' \"a{{ v }}\")\"", |v| vec![format!("a{v}.")]),
    ("show \"$(printf '%s.' '{{ v }}' # it's ) {{ v }}\n)\"", |v| vec![format!("{v}.")]),
    ("show \"$(case {{ v }} in x) echo x;; *) printf '%s.' {{ v }};; esac)\"", |v| vec![format!("{v}.")]),
    ("show \"$( (printf '%s.' {{ v }}) )\"", |v| vec![format!("{v}.")]),
    ("show \"$(cat <<EOF\n[{{ v }}]\nEOF\n)\"", |v| vec![format!("[{v}]")]),
    ("cat <<EOF > out; show \"$(cat out)\"\n[{{ v }}]\nEOF", |v| vec![format!("[{v}]")]),
    ("cat <<-EOF > out\n\t\"{{ v }}\" \\$x it's\n\tEOF\nshow \"$(cat out)\" {{ v }}", |v| {
        vec![format!("\"{v}\" $x it's"), v.to_owned()]
    }),
    ("cat <<EOF <<OTHER > out\nfirst {{ v }}\nEOF\n[{{ v }}]\nOTHER\nshow \"$(cat out)\"", |v| {
        vec![format!("[{v}]")]
    }),
    ("cat <<EOF > out\n$(printf '%s.' {{ v }})\nEOF\nshow \"$(cat out)\"", |v| vec![format!("{v}.")]),
    ("# {{ v }}\nshow {{ v }} # it's {{ v }} `", |v| vec![v.to_owned()]),
    ("if test {{ v }} = {{ v }}; then show {{ v }}; else show no; fi", |v| vec![v.to_owned()]),
    ("f() { show \"$1\"; }; f {{ v }}", |v| vec![v.to_owned()]),
    ("{ show {{ v }}; } && ( show \"{{ v }}\" ) > /dev/null", |v| vec![v.to_owned()]),
    ("while :; do show {{ v }}; break; done", |v| vec![v.to_owned()]),
    ("true | show {{ v }} || echo no", |v| vec![v.to_owned()]),
    ("show \\\n  {{ v }}", |v| vec![v.to_owned()]),
    ("printf '%s' {{ v }} > out; x=$(cat out; echo .); show \"${x%.}\"", |v| {
        vec![format!("{v}\n").strip_suffix('\n').map(|v| v.to_owned() + "\n").unwrap_or_default()]
    }),
    ("set -- {{ v }} x; show \"$1\"", |v| vec![v.to_owned()]),
    ("show $((1 + 2)) {{ v }} ${x:-'it'} {{ v }}", |v| {
        vec!["3".to_owned(), v.to_owned(), "it".to_owned(), v.to_owned()]
    }),
    ("y='a b'; show \"${y:-its}\" {{ v }}", |v| vec!["a b".to_owned(), v.to_owned()]),
];

/// The same for what only bash has.
const BASH_PLACES: &[(&str, Expected)] = &[
    ("show \"$(cat <<< {{ v }})x\"", |v| vec![format!("{}x", v.trim_end_matches('\n'))]),
    ("a=(1 {{ v }} \"{{ v }}\"); show \"${a[@]}\"", |v| vec!["1".to_owned(), v.to_owned(), v.to_owned()]),
    ("if [[ {{ v }} == {{ v }} && -n x{{ v }} ]]; then show {{ v }}; fi", |v| vec![v.to_owned()]),
    ("f() { local x={{ v }}; show \"$x\"; }; f", |v| vec![v.to_owned()]),
    ("x+={{ v }}; show \"$x\"", |v| vec![v.to_owned()]),
    ("for ((i = 0; i < 1; i++)); do show {{ v }}; done", |v| vec![v.to_owned()]),
    ("cat <(printf '%s.' {{ v }}) > out; show \"$(cat out)\"", |v| vec![format!("{v}.")]),
    ("show $'it\\'s' {{ v }}", |v| vec!["it's".to_owned(), v.to_owned()]),
    ("case x in @(x|y)) show {{ v }};; esac", |v| vec![v.to_owned()]),
    ("function f { show {{ v }}; }; f", |v| vec![v.to_owned()]),
    ("[[ ab =~ ^(a|b)+$ ]] && show {{ v }}", |v| vec![v.to_owned()]),
];

fn run(shell: &str, source: &str, value: &str, folder: &Path) -> Result<Vec<String>, String> {
    let template = Template::parse(source).map_err(|errors| format!("{errors:?}"))?;
    let dialect = if shell == "bash" { Dialect::Bash } else { Dialect::Posix };
    let script =
        ShellScript::compile(&template, dialect, &|_| false).map_err(|errors| format!("{errors:?}"))?;
    let mut context = Context::new();
    context.set("v", Value::from(value));
    let rendered = script.render(&context).map_err(|error| error.to_string())?;
    assert!(
        value.len() < 4
            || value.contains("RB_1")
            || source.contains(value)
            || !rendered.script.contains(value),
        "the value is in the script: {}",
        rendered.script
    );
    let file = folder.join("script");
    let start = if shell == "bash" { "shopt -s extglob\n" } else { "" };
    fs::write(&file, format!("{start}{SHOW}{}\n", rendered.script)).map_err(|error| error.to_string())?;
    let output = Command::new(shell)
        .arg(&file)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/nowhere")
        .env("LC_ALL", "C.UTF-8")
        .envs(rendered.variables)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let printed = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    let mut arguments: Vec<String> = printed.split('\0').map(str::to_owned).collect();
    arguments.pop();
    if arguments.is_empty() {
        return Err(format!(
            "nothing was shown: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            rendered.script
        ));
    }
    let count = arguments.remove(0);
    if count != arguments.len().to_string() {
        return Err(format!("{count} arguments, but {arguments:?}"));
    }
    Ok(arguments)
}

fn check(shell: &str, places: &[(&str, Expected)], values: &[&str]) {
    for (index, (source, expected)) in places.iter().enumerate() {
        // The first places meet every value; each of the others a third of them, another third than its neighbour.
        let step = if index < 8 { 1 } else { 3 };
        for value in values.iter().skip(index % step).step_by(step) {
            let folder = tempfile::tempdir().unwrap();
            // `$( )` removes newlines from the end, which is the shell's own doing.
            let expected: Vec<String> = expected(value);
            let trimmed = |arguments: &[String]| {
                arguments.iter().map(|a| a.trim_end_matches('\n').to_owned()).collect::<Vec<_>>()
            };
            let got = run(shell, source, value, folder.path());
            let same = got.as_ref().is_ok_and(|got| {
                if source.contains("$(cat") { trimmed(got) == trimmed(&expected) } else { *got == expected }
            });
            assert!(same, "{shell}: {source}\nvalue: {value:?}\nexpected: {expected:?}\ngot: {got:?}");
            assert!(!folder.path().join("pwned").exists(), "{shell} ran the value {value:?} in {source}");
        }
    }
}

#[test]
fn every_place_keeps_every_value_in_sh() {
    check("/bin/sh", PLACES, HOSTILE);
}

#[test]
fn every_place_keeps_every_value_in_bash() {
    check("bash", PLACES, HOSTILE);
    check("bash", BASH_PLACES, HOSTILE);
}

#[test]
fn a_redirection_to_a_value_writes_that_file() {
    for shell in ["/bin/sh", "bash"] {
        let folder = tempfile::tempdir().unwrap();
        let name = "a b; $(touch pwned)'\"\\ *";
        let got = run(
            shell,
            "echo hello > {{ v }}; show \"$(cat {{ v }})\" 2>>\"{{ v }}\" < {{ v }}",
            name,
            folder.path(),
        );
        assert_eq!(got, Ok(vec!["hello".to_owned()]));
        assert!(folder.path().join(name).exists());
        assert!(!folder.path().join("pwned").exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_values_stay_whole(value in "[a-c$`'\"\\\\(){};&|<>*?!#~ \\n\\t=\\[\\]-]{0,12}", place in 0..PLACES.len()) {
        let (source, expected) = PLACES[place];
        prop_assume!(!source.contains("$(cat"));
        for shell in ["/bin/sh", "bash"] {
            let folder = tempfile::tempdir().unwrap();
            prop_assert_eq!(run(shell, source, &value, folder.path()), Ok(expected(&value)), "{} in {}", source, shell);
        }
    }
}
