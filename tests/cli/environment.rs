//! The environment of a command (language §7).

use crate::helpers::TestEnvironment;

#[test]
fn a_command_sees_what_is_declared_and_no_more() {
    let test = TestEnvironment::new()
        .variable("AMBIENT", "leak")
        .variable("PASSED", "yes")
        .variable("AWS_REGION", "eu-1")
        .variable("AWS_PROFILE", "ops")
        .variable("BASH_ENV", "/nonexistent")
        .variable("LD_LIBRARY_PATH", "/nonexistent")
        .variable("TZ", "Europe/Berlin");
    test.write(
        "runbooks/main.yaml",
        r#"
env: {TOP: top, BOTH: top}
pass_env: [PASSED, AWS_*]
steps:
  - {id: a, env: {BOTH: "{{ env.TOP }}-step"}, run: env > seen}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let seen = test.read("seen");
    let has = |line: &str| seen.lines().any(|found| found == line);
    for line in [
        "TOP=top",
        "BOTH=top-step",
        "PASSED=yes",
        "AWS_REGION=eu-1",
        "AWS_PROFILE=ops",
        "TZ=Europe/Berlin",
        "LANG=C.UTF-8",
    ] {
        assert!(has(line), "{line} in\n{seen}");
    }
    for line in [format!("RUNBOOK_RUN_ID={run}"), "RUNBOOK_STEP=a".into(), "RUNBOOK_ATTEMPT=1".into()] {
        assert!(has(&line), "{line} in\n{seen}");
    }
    for name in ["AMBIENT=", "BASH_ENV=", "LD_LIBRARY_PATH=", "RUNBOOK_STATE="] {
        assert!(!seen.lines().any(|line| line.starts_with(name)), "{name} in\n{seen}");
    }
}

/// Taken once at the start and kept for the run's whole life, resumes included.
#[test]
fn the_environment_of_a_run_does_not_change_with_a_resume() {
    let test = TestEnvironment::new();
    test.runbook_named(
        "main",
        r#"
pass_env: [PASSED]
steps:
  - {id: before, run: echo "$PASSED" >> "$LEDGER"}
  - {id: gate, approve: {prompt: Go on?}}
  - {id: after, run: echo "$PASSED" >> "$LEDGER"}
"#,
    );
    let with = |value: &str, arguments: &[&str]| {
        let mut command = test.command(arguments);
        command.env("PASSED", value);
        test.spawn_command(command).wait()
    };
    let run = with("first", &["run", "main"]).exits(3).run_id();
    with("second", &["approve", &run, "gate", "--reason", "fine", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["first", "first"]);
}

#[test]
fn stdin_is_empty_or_the_given_text() {
    let test = TestEnvironment::with(
        r#"
params: {name: "O'Brien $HOME"}
steps:
  - {id: empty, run: 'cat > empty'}
  - {id: given, stdin: "select {{ params.name }}\n", run: cat > given}
  - {id: argv, stdin: "{{ params.name }}", run: [tee, argv]}
"#,
    );
    let mut command = test.command(&["run", "main"]);
    command.stdin(std::process::Stdio::piped());
    let live = test.spawn_command(command);
    live.wait().succeeds();
    assert_eq!(test.read("empty"), "");
    assert_eq!(test.read("given"), "select O'Brien $HOME\n");
    assert_eq!(test.read("argv"), "O'Brien $HOME");
}

#[test]
fn each_command_has_a_session_of_its_own_and_no_terminal() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: 'ps -o sid= -p $$ > sid; ps -o tty= -p $$ > tty; if (: < /dev/tty) 2>/dev/null; then echo yes > controlling; fi'}\n",
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.read("tty").trim(), "?");
    assert!(!test.project().join("controlling").exists());
}

#[test]
fn the_shell_is_strict_and_can_be_chosen() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: unset, run: 'echo "$NOT_SET"; echo went-on >> "$LEDGER"', on_failure: continue}
  - {id: pipe, run: 'false | true; echo went-on >> "$LEDGER"', on_failure: continue}
  - {id: substituted, run: 'x=$(false; echo went-on >> "$LEDGER"); echo "$x"', on_failure: continue}
  - {id: posix, shell: sh, run: 'false; echo went-on >> "$LEDGER"', on_failure: continue}
  - {id: argv, shell: [python3, -I], run: "open('python', 'w').write('print')"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert!(test.ledger().is_empty(), "{:?}", test.ledger());
    assert_eq!(test.step_outcome(&run, "argv"), "succeeded");
    assert_eq!(test.read("python"), "print");
}

#[test]
fn folders_are_relative_to_the_project() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: top, run: pwd > top}\n  - {id: below, cwd: deep/er, run: pwd > below}\n",
    );
    test.write("deep/er/.keep", "");
    let mut command = test.command(&["run", "main"]);
    command.current_dir(test.project().join("deep"));
    test.spawn_command(command).wait().succeeds();
    let project = test.project().canonicalize().unwrap();
    assert_eq!(test.read("top").trim(), project.display().to_string());
    assert_eq!(test.read("deep/er/below").trim(), project.join("deep/er").display().to_string());
}
