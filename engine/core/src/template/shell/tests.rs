//! What is refused, what is allowed, and what people are shown.

use proptest::prelude::*;

use crate::template::{Context, Dialect, RenderedScript, ShellScript, Template, TemplateError, Value};

fn compile(source: &str, dialect: Dialect) -> Result<ShellScript, Vec<TemplateError>> {
    let template = Template::parse(source)?;
    ShellScript::compile(&template, dialect, &|reference| reference.path == ["params", "n"])
}

fn render(source: &str, value: &str) -> RenderedScript {
    let mut context = Context::new();
    context.set("v", Value::from(value)).set_names("params", [("n", Value::from("5"))]);
    compile(source, Dialect::Bash).unwrap().render(&context).unwrap()
}

#[test]
fn places_where_a_value_would_be_a_program_are_refused() {
    let table: &[(&str, &str, &str)] = &[
        // Whatever the value.
        ("echo `ls {{ v }}`", "shell-backquotes", "$( … )"),
        ("echo \"`ls {{ v }}`\"", "shell-backquotes", "$( … )"),
        ("cat <<'EOF'\n{{ v }}\nEOF", "shell-quoted-here-document", "stdin:"),
        ("cat <<\\EOF\n{{ v }}\nEOF", "shell-quoted-here-document", "stdin:"),
        ("cat <<-\"EOF\"\n\t{{ v }}\n\tEOF", "shell-quoted-here-document", "stdin:"),
        ("eval echo {{ v }}", "shell-eval", "env"),
        ("eval \"x={{ v }}\"", "shell-eval", "env"),
        ("command eval {{ v }}", "shell-eval", "env"),
        ("source {{ v }}", "shell-eval", "env"),
        (". {{ v }}", "shell-eval", "env"),
        ("trap 'rm {{ v }}' EXIT", "shell-eval", "env"),
        ("let x={{ v }}", "shell-eval", "env"),
        ("declare x={{ v }}", "shell-eval", "env"),
        ("typeset -i x={{ v }}", "shell-eval", "env"),
        ("alias x={{ v }}", "shell-eval", "env"),
        ("printf -v x %s {{ v }}", "shell-eval", "$(printf"),
        ("printf -v {{ v }} %s x", "shell-eval", "$(printf"),
        ("echo $(( {{ v }} + 1 ))", "shell-arithmetic", "{{ params.count + 1 }}"),
        ("echo $(( {{ params.n }} + 1 ))", "shell-arithmetic", "{{ params.count + 1 }}"),
        ("echo \"$((x * {{ v }}))\"", "shell-arithmetic", "calculate"),
        ("echo $(( $(wc -l {{ v }}) + 1 ))", "shell-arithmetic", "calculate"),
        ("echo $[ {{ v }} + 1 ]", "shell-arithmetic", "calculate"),
        ("(( {{ v }} > 1 )) && echo yes", "shell-arithmetic", "calculate"),
        ("for (( i = {{ v }}; i < 3; i++ )); do :; done", "shell-arithmetic", "calculate"),
        ("[[ {{ v }} -gt 5 ]]", "shell-arithmetic", "[ {{ … }} -gt 5 ]"),
        ("if [[ -n x && 5 -eq {{ v }} ]]; then :; fi", "shell-arithmetic", "[ {{ … }} -gt 5 ]"),
        ("a[{{ v }}]=1", "shell-index", "env"),
        ("a[x+{{ v }}]+=1", "shell-index", "env"),
        ("a=([{{ v }}]=1)", "shell-index", "env"),
        ("echo ${a[{{ v }}]}", "shell-index", "env"),
        ("[[ -v {{ v }} ]]", "shell-index", "env"),
        ("[ -v {{ v }} ]", "shell-index", "operator"),
        ("[ {{ v }} {{ v }} ]", "shell-index", "operator"),
        ("echo ${x:-{{ v }}}", "shell-expansion", "$value"),
        ("echo \"${x:{{ v }}:1}\"", "shell-expansion", "$value"),
        ("unset {{ v }}", "shell-variable-name", "<<<"),
        ("read -r {{ v }}", "shell-variable-name", "<<<"),
        ("export {{ v }}", "shell-variable-name", "NAME="),
        ("for {{ v }} in a; do :; done", "shell-unclear", "env"),
        ("echo $'a {{ v }}'", "shell-quotes", "\"…\""),
        ("echo $\"a {{ v }}\"", "shell-quotes", "\"…\""),
        ("echo \\{{ v }}", "shell-backslash", "backslash"),
        ("echo \"\\{{ v }}\"", "shell-backslash", "backslash"),
        ("echo \"${{ v }}\"", "shell-dollar", "\\$"),
        ("echo ${{ v }}", "shell-dollar", "\\$"),
        ("cat <<{{ v }}\nx\nEOF", "shell-unclear", "env"),
        ("{{ v }} {{ v }}", "shell-command-name", "case"),
        ("command {{ v }} {{ v }}", "shell-command-name", "case"),
        ("PS4={{ v }}; set -x", "shell-variable", "env"),
        ("declare -i n; n={{ v }}", "shell-variable", "env"),
        ("f() { local -i n; n={{ v }}; }", "shell-variable", "env"),
        // Shells and what is like them.
        ("sh -c \"ls {{ v }}\"", "shell-program", "env"),
        ("bash -c 'ls {{ v }}'", "shell-program", "env"),
        ("/bin/bash -lc \"ls {{ v }}\"", "shell-program", "env"),
        ("zsh -c {{ v }}", "shell-program", "env"),
        ("\"sh\" -c {{ v }}", "shell-program", "env"),
        ("X=1 dash -c \"$(cat {{ v }})\"", "shell-program", "env"),
        ("ssh host rm {{ v }}", "shell-program", "on:"),
        ("ssh {{ v }} uptime", "shell-program", "on:"),
        ("su - postgres -c \"psql {{ v }}\"", "shell-program", "on:"),
        ("ls | xargs -I% echo % {{ v }}", "shell-program", "for"),
        ("parallel echo ::: {{ v }}", "shell-program", "for"),
        ("watch -n 1 ls {{ v }}", "shell-program", "for"),
        ("sudo bash -c \"ls {{ v }}\"", "shell-program", "env"),
        ("sudo -u root env A=1 timeout 5 sh -c \"ls {{ v }}\"", "shell-program", "env"),
        ("timeout -k 5 10 nohup bash -c {{ v }}", "shell-program", "env"),
        ("docker exec -it web sh -c \"ls {{ v }}\"", "shell-program", "env"),
        ("kubectl exec -n x pod -- bash -c \"ls {{ v }}\"", "shell-program", "env"),
        ("exec bash -c {{ v }}", "shell-program", "env"),
        ("env -S {{ v }}", "shell-program", "env"),
        ("flock lock -c \"ls {{ v }}\"", "shell-program", "env"),
        ("\"$SHELL\" -c {{ v }}", "shell-program", "env"),
        ("if true; then bash -c {{ v }}; fi", "shell-program", "env"),
        ("x=$(bash -c {{ v }})", "shell-program", "env"),
        ("cat <<EOF\n$(bash -c {{ v }})\nEOF", "shell-program", "env"),
        ("echo {{ v }} | sh", "shell-input", "env"),
        ("echo {{ v }} | grep x | bash -s", "shell-input", "env"),
        ("echo {{ v }} |& bash", "shell-input", "env"),
        ("echo {{ v }} | while read -r x; do ssh host; done", "shell-input", "on:"),
        ("{ echo {{ v }}; } | ( cd x && sh )", "shell-input", "env"),
        ("f() { sh; }; echo {{ v }} | f", "shell-input", "env"),
        ("echo {{ v }} | tee >(sh)", "shell-input", "env"),
        ("echo {{ v }} | sudo bash", "shell-input", "env"),
        ("echo {{ v }} | xargs rm", "shell-input", "for"),
        ("bash <<EOF\necho {{ v }}\nEOF", "shell-input", "env"),
        ("ssh host <<EOF\necho {{ v }}\nEOF", "shell-input", "on:"),
        ("bash <<< {{ v }}", "shell-input", "env"),
        ("{ bash; } <<< \"echo {{ v }}\"", "shell-input", "env"),
        ("bash < {{ v }}", "shell-input", "env"),
        ("bash < <(echo {{ v }})", "shell-input", "env"),
        ("sudo -i <<EOF\necho {{ v }}\nEOF", "shell-input", "env"),
        ("sudo -u app -s <<< \"ls {{ v }}\"", "shell-input", "env"),
        ("echo {{ v }} | sudo --login", "shell-input", "env"),
        ("A=1 sudo -Hsu app A=2 < <(echo {{ v }})", "shell-input", "env"),
        ("source /dev/stdin <<< {{ v }}", "shell-input", "env"),
        ("echo {{ v }} | . /dev/stdin", "shell-input", "env"),
        // Programs with a language of their own.
        ("psql -c \"select '{{ v }}'\"", "shell-program", ":'x'"),
        ("psql -Atc \"select {{ v }}\" db", "shell-program", ":'x'"),
        ("psql --command=\"select {{ v }}\"", "shell-program", ":'x'"),
        ("psql --command \"select {{ v }}\"", "shell-program", ":'x'"),
        ("/usr/lib/postgresql/16/bin/psql -c {{ v }}", "shell-program", ":'x'"),
        ("sudo -u postgres psql -d x -c {{ v }}", "shell-program", ":'x'"),
        ("psql <<EOF\nselect '{{ v }}';\nEOF", "shell-input", ":'x'"),
        ("echo \"select {{ v }}\" | psql db", "shell-input", ":'x'"),
        ("psql db <<< \"select {{ v }}\"", "shell-input", ":'x'"),
        ("psql -o {{ v }}", "shell-program", ":'x'"),
        ("psql -f - <<EOF\nselect {{ v }}\nEOF", "shell-input", ":'x'"),
        ("psql -f <(echo \"select {{ v }}\")", "shell-program", ":'x'"),
        ("psql --file=/dev/stdin <<< \"select {{ v }}\"", "shell-input", ":'x'"),
        ("awk -f - <<EOF\nBEGIN { print \"{{ v }}\" }\nEOF", "shell-input", "ENVIRON"),
        ("sed -n -f/dev/stdin file <<< \"s/x/{{ v }}/\"", "shell-input", "env"),
        ("jq -f /dev/stdin <<< \".{{ v }}\"", "shell-input", "--arg"),
        ("jq --from-file <(echo {{ v }}) file", "shell-program", "--arg"),
        ("python3 /dev/stdin <<< {{ v }}", "shell-input", "env"),
        ("mysql -e \"select {{ v }}\"", "shell-program", "stdin:"),
        ("mysql --execute=\"select {{ v }}\"", "shell-program", "stdin:"),
        ("mysql db <<EOF\nselect {{ v }}\nEOF", "shell-input", "stdin:"),
        ("sqlite3 x.db \"select {{ v }}\"", "shell-program", "stdin:"),
        ("sqlite3 -cmd {{ v }} x.db", "shell-program", "stdin:"),
        ("awk '{ print \"{{ v }}\" }' file", "shell-program", "ENVIRON"),
        ("gawk -F: \"/{{ v }}/\" file", "shell-program", "ENVIRON"),
        ("awk $OPTIONS {{ v }}", "shell-program", "ENVIRON"),
        ("sed \"s/x/{{ v }}/\" file", "shell-program", "env"),
        ("sed -i.bak -e 's/a/b/' -e \"s/x/{{ v }}/\" file", "shell-program", "env"),
        ("sed --expression=\"s/x/{{ v }}/\" file", "shell-program", "env"),
        ("jq \".{{ v }}\" file", "shell-program", "jq --arg"),
        ("jq -r --arg a b \".{{ v }}\" file", "shell-program", "jq --arg"),
        ("curl x | jq -r '.[\"{{ v }}\"]'", "shell-program", "jq --arg"),
        ("perl -pe \"s/x/{{ v }}/\" file", "shell-program", "$ARGV[0]"),
        ("perl -ne 'print' {{ v }}", "shell-program", "$ARGV[0]"),
        ("python -c \"print('{{ v }}')\"", "shell-program", "sys.argv[1]"),
        ("python3.11 -c \"print('{{ v }}')\"", "shell-program", "sys.argv[1]"),
        ("/usr/bin/python3 -Ic {{ v }}", "shell-program", "sys.argv[1]"),
        ("python3 <<EOF\nprint('{{ v }}')\nEOF", "shell-input", "sys.argv[1]"),
        ("python3 - <<EOF\nprint('{{ v }}')\nEOF", "shell-input", "sys.argv[1]"),
        ("ruby -e \"puts '{{ v }}'\"", "shell-program", "ARGV[0]"),
        ("node -e \"console.log('{{ v }}')\"", "shell-program", "process.argv[2]"),
        ("node --eval={{ v }}", "shell-program", "process.argv[2]"),
        ("node -pe {{ v }}", "shell-program", "process.argv[2]"),
        ("docker exec db psql -c \"select {{ v }}\"", "shell-program", ":'x'"),
        ("kubectl exec deploy/pg -- psql -c \"select {{ v }}\"", "shell-program", ":'x'"),
        // Not to be read with certainty.
        ("echo {{ v }} '", "shell-unclear", "env"),
        ("cat <<EOF\n{{ v }}\n", "shell-unclear", "env"),
        ("if true; then echo {{ v }}", "shell-unclear", "env"),
    ];
    for (source, code, fix) in table {
        match compile(source, Dialect::Bash) {
            Ok(_) => panic!("allowed: {source}"),
            Err(errors) => {
                assert!(
                    errors.iter().any(|error| error.code == *code),
                    "{source}: expected {code}: {errors:?}"
                );
                let help = errors
                    .iter()
                    .find(|error| error.code == *code)
                    .and_then(|error| error.help.clone())
                    .unwrap();
                assert!(help.contains(fix), "{source}: expected {fix} in {help}");
            }
        }
    }
}

#[test]
fn places_where_a_value_stays_data_are_allowed() {
    let table = [
        "psql -v x={{ v }} -c \"select :'x'\"",
        "psql -v \"x={{ v }}\" -f query.sql",
        "psql --set=x={{ v }} -d {{ v }} -h {{ v }} < {{ v }}",
        "psql {{ v }} -c 'select 1'",
        "gunzip -c {{ v }} | psql zetra",
        "pg_dump -U zetra_admin {{ v }} > {{ v }}",
        "mysql -h {{ v }} -u {{ v }} db < dump.sql",
        "echo {{ v }} | mysql -e 'load data local infile \"/dev/stdin\" into table t'",
        "sqlite3 {{ v }} 'select 1'",
        "awk -v x={{ v }} '{ print x }' {{ v }}",
        "awk -F {{ v }} '{ print $1 }' {{ v }}",
        "echo {{ v }} | awk '{ print $1 }'",
        "sed -e 's/a/b/' {{ v }}",
        "sed -n -i 's/a/b/' {{ v }}",
        "echo {{ v }} | sed s/a/b/",
        "jq --arg x {{ v }} '.[$x]' {{ v }}",
        "jq -n --argjson x {{ v }} '$x'",
        "echo {{ v }} | jq -r .name",
        "jq -f program.jq {{ v }}",
        "jq -f program.jq <<< {{ v }}",
        "awk -f program.awk <<EOF\n{{ v }}\nEOF",
        "awk -f program.awk - <<< {{ v }}",
        "psql -f {{ v }} -o out.txt",
        "sudo -u app cat <<EOF\n{{ v }}\nEOF",
        "sudo sed -i 's/a/b/' {{ v }} <<< {{ v }}",
        "echo {{ v }} | sudo -u app -n tee -i file",
        "python script.py {{ v }}",
        "python3 -c 'import sys; print(sys.argv[1])' {{ v }}",
        "echo {{ v }} | python3 -m json.tool",
        "echo {{ v }} | python3 script.py",
        "perl -e 'print $ARGV[0]' -- {{ v }}",
        "node script.js {{ v }}",
        "ruby -e 'puts ARGV[0]' {{ v }}",
        "X={{ v }} bash -c 'echo \"$X\"'",
        "bash script.sh > {{ v }}",
        "sudo systemctl restart {{ v }}",
        "timeout {{ v }} kubectl get pods -n {{ v }}",
        "kubectl get node {{ v }} -o json | jq .metadata",
        "kubectl exec -n {{ v }} pod -- ls {{ v }}",
        "docker exec {{ v }} bash -c 'ls'",
        "docker run --rm mysql:8 mysqldump {{ v }}",
        "kubectl set image deployment/zetra-{{ v }} app=zetra:{{ v }}",
        "curl -fsS \"https://{{ v }}/health\" | grep -q {{ v }}",
        "[ {{ v }} -gt 5 ] && test -n {{ v }} && [ \"{{ v }}\" = x ]",
        "[[ {{ v }} == blue || $x =~ {{ v }} ]]",
        "read -r a b <<< {{ v }}",
        "echo {{ v }} | while read -r line; do echo \"$line\"; done",
        "for i in $(seq 1 {{ v }}); do echo \"$i\"; done",
        "git commit -m {{ v }} || true",
        "export A={{ v }} B=\"{{ v }}\"",
        "readonly A={{ v }}",
        "{{ v }}",
        "{{ v }} --version | cat",
        "echo `date` {{ v }}",
        "cat <<'EOF' > x\n$y\nEOF\necho {{ v }}",
        "x=$((1 + 2)); echo {{ v }}",
        "find {{ v }} -name '*.log' -exec gzip {} \\;",
        "echo {{ v }} # eval {{ v }} `",
        "# it's a comment\necho {{ v }}",
        "echo {{ v }} &\nwait",
        "a && b || c; echo {{ v }} > /dev/null 2>&1",
        "select x in {{ v }}; do break; done",
        // A number, and a parameter that can hold nothing dangerous.
        "bash -c 'seq {{ params.n }}'",
        "ssh web{{ params.n }} uptime",
        "psql -c 'select {{ params.n }}'",
        "echo {{ params.n }} | xargs -n1 echo",
        "sh -c 'seq {{ params.n * 2 }} {{ v | length }} {{ v | number }} {{ v == \"x\" }}'",
        // On the author's word.
        "eval {{ v | raw }}",
        "echo `ls {{ v | raw }}` $(( {{ v | raw }} ))",
    ];
    for source in table {
        if let Err(errors) = compile(source, Dialect::Bash) {
            panic!("refused: {source}: {errors:?}");
        }
    }
}

#[test]
fn another_shell_takes_values_by_env_only() {
    let errors = compile("echo {{ v }}", Dialect::Other).unwrap_err();
    assert_eq!(errors[0].code, "shell-other");
    assert!(errors[0].help.as_deref().unwrap().contains("env:"));
    assert!(compile("echo 'unclosed", Dialect::Other).is_ok());
    assert!(compile("echo {{ v | raw }}", Dialect::Other).is_ok());
}

#[test]
fn a_script_without_values_may_be_anything() {
    for source in ["echo 'unclosed", "`eval $(( ` <<EOF", "if", ") ; }", ""] {
        let script = compile(source, Dialect::Bash).unwrap();
        assert_eq!(script.render(&Context::new()).unwrap().script, source);
    }
}

#[test]
fn people_are_shown_the_command_with_its_values_quoted() {
    let table = [
        ("echo {{ v }}", "blue", "echo blue"),
        ("echo app=zetra:{{ v }}", "v1.2.3", "echo app=zetra:v1.2.3"),
        ("echo {{ v }}", "a b; rm -rf /", "echo 'a b; rm -rf /'"),
        ("echo {{ v }}", "", "echo ''"),
        ("echo {{ v }}", "it's", "echo 'it'\\''s'"),
        ("echo \"<{{ v }}>\"", "a \"b\" $c `d` \\", "echo \"<a \\\"b\\\" \\$c \\`d\\` \\\\>\""),
        ("echo '<{{ v }}>'", "it's $x", "echo '<it'\\''s $x>'"),
        ("cat <<EOF\n{{ v }}\nEOF", "\"$x\"", "cat <<EOF\n\"\\$x\"\nEOF"),
        ("echo {{ v | raw }}", "$x; y", "echo $x; y"),
    ];
    for (source, value, shown) in table {
        assert_eq!(render(source, value).display, shown, "{source}");
    }
}

#[test]
fn the_script_refers_to_variables_in_the_way_that_fits() {
    let rendered = render("echo {{ v }} \"{{ v }}\" '{{ v }}' <<EOF\n{{ v }}\nEOF", "x y");
    assert_eq!(rendered.script, "echo \"${RB_1}\" \"${RB_2}\" ''\"${RB_3}\"'' <<EOF\n${RB_4}\nEOF");
    assert_eq!(
        rendered.variables,
        (1..=4).map(|n| (format!("RB_{n}"), "x y".to_owned())).collect::<Vec<_>>()
    );
    assert_eq!(render("RB_1=2; echo {{ v }}", "x").script, "RB_1=2; echo \"${RB__1}\"");
}

#[test]
fn values_that_do_not_fit_are_refused_before_the_start() {
    let fails = |source: &str, value: String| {
        let mut context = Context::new();
        context.set("v", Value::from(value.as_str())).set_names("params", [("n", Value::from(value))]);
        compile(source, Dialect::Bash).unwrap().render(&context).unwrap_err()
    };
    for value in ["a\0b".to_owned(), "x".repeat(128 * 1024 + 1)] {
        let error = fails("echo {{ v }}", value);
        assert!(
            error.help.as_deref().unwrap().contains("stdin:")
                && error.help.as_deref().unwrap().contains("run.dir"),
            "{error:?}"
        );
    }
    let many = "{{ v }} ".repeat(9);
    assert_eq!(fails(&format!("echo {many}"), "x".repeat(128 * 1024)).code, "value-too-long");
    assert_eq!(fails("bash -c 'seq {{ params.n }}'", "1; touch pwned".to_owned()).code, "value-not-plain");
    assert_eq!(fails("printf {{ v }} x", "-va[$(touch pwned)]".to_owned()).code, "value-is-option");
    assert_eq!(fails("python3 {{ v }}", "-cimport os".to_owned()).code, "value-is-option");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(source in "([a-z ]|\\{\\{ v \\}\\}|[$`'\"\\\\(){};&|<>*?!#=\\[\\]\\n-]|<<EOF|EOF\n|case x in|esac|if|then|fi|for|do|done|\\[\\[|\\]\\]|\\$\\(|\\$\\{|\\(\\(|é){0,24}") {
        for dialect in [Dialect::Posix, Dialect::Bash] {
            if let Err(errors) = compile(&source, dialect) {
                for error in errors {
                    prop_assert!(source.get(error.range.clone()).is_some(), "{error:?}");
                }
            }
        }
    }

    #[test]
    fn arbitrary_text_never_panics(source in "\\PC{0,60}") {
        let _ = compile(&source, Dialect::Bash);
    }
}
