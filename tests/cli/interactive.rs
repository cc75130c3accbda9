//! Steps at a terminal of their own (language §3, `interactive`; engine §4).

use std::process::Command;

use crate::helpers::{
    Connection, Process, Terminal, TestEnvironment, eventually, postgres, processes_of_run, send,
};

/// Asks for a password without an echo, and says how long it is. What is awaited stands in no command that is shown.
const PASSWORD: &str = r#"
steps:
  - id: login
    interactive: true
    run: |
      # Logs in.
      read -r -s -p "Pass""word: " password; echo
      echo "it has ${#password} letters"
      echo "length=${#password}" >> "$RUNBOOK_OUTPUT"
  - {id: after, run: 'echo "{{ steps.login.outputs.length }} {{ steps.login.lines | last }}" >> "$LEDGER"'}
"#;

#[test]
fn a_password_is_asked_for_and_not_recorded() {
    let test = TestEnvironment::with(PASSWORD);
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("Password: ");
    terminal.type_line("hunter22");
    terminal.await_text("it has 8 letters");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("hunter22"), "{shown}");
    // Values have the line ends that the command wrote, and not those of its terminal.
    assert_eq!(test.ledger(), ["8 it has 8 letters"]);
    let run = test.only_run();
    test.runbook(&["logs", &run, "login"]).succeeds().stdout_has("Password: ").stdout_has("it has 8 letters");
    let recorded = std::fs::read(test.run_folder(&run).join("logs/login.1.log")).unwrap();
    assert!(!String::from_utf8_lossy(&recorded).contains("hunter22"));
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn without_a_terminal_the_run_parks() {
    let test = TestEnvironment::with(&format!(
        "{PASSWORD}  - {{id: beside, needs: [], run: 'echo beside >> \"$LEDGER\"'}}\n"
    ));
    let parked = test.runbook(&["run", "main"]).exits(3);
    let run = parked.stderr_has("terminal").run_id();
    assert_eq!(test.ledger(), ["beside"], "what doesn't depend on it goes on");
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["outcome"], "waiting");
    assert_eq!(status["waiting_for"][0]["step"], "login");
    assert_eq!(status["waiting_for"].as_array().unwrap().len(), 1);
    assert!(test.journal(&run).of("step_started", "login").is_empty());
    test.runbook(&["resume", &run]).exits(3);
    test.runbook(&["resume", &run, "--wait=100ms"]).exits(3);
    // No word of anybody stands for a terminal, but that it is left out.
    test.runbook(&["answer", &run, "login", "yes"]).exits(2);
    let mut terminal = test.at_terminal(&["resume", &run]);
    terminal.await_text("Password: ");
    terminal.type_line("abc");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["beside", "3 it has 3 letters"]);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn a_step_that_waits_for_a_terminal_can_be_skipped() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: login, interactive: true, run: 'true'}\n  - {id: after, run: 'echo after >> \"$LEDGER\"'}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["answer", &run, "login", "skip"]).exits(2);
    test.runbook(&["answer", &run, "login", "skip", "--reason", "not here", "--resume"]).succeeds();
    assert_eq!(test.step_outcome(&run, "login"), "skipped");
    assert_eq!(test.ledger(), ["after"]);
    let cancelled = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["cancel", &cancelled]).succeeds();
    assert_eq!(test.step_outcome(&cancelled, "login"), "cancelled");
}

/// `--non-interactive` and a redirected stream are no terminal, even at one.
#[test]
fn nobody_at_the_terminal_parks_too() {
    let test = TestEnvironment::with(PASSWORD);
    let (code, shown) = test.at_terminal(&["run", "main", "--non-interactive"]).finish();
    assert_eq!(code, 3, "{shown}");
    let test = TestEnvironment::with(&PASSWORD.replace(
        "steps:\n",
        "steps:\n  - {id: gate, approve: {prompt: Ready?}}\n  - {id: other, needs: [], approve: {prompt: Also?}}\n",
    ));
    let mut terminal = test.at_terminal(&["run", "main", "--approve", "gate=yes", "--approve", "other=yes"]);
    terminal.await_text("Password: ");
    terminal.type_line("abc");
    assert_eq!(terminal.finish().0, 0);
}

#[test]
fn control_c_goes_to_the_step() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: shell
    interactive: true
    on_failure: stop
    run: |
      # Waits.
      trap 'echo "cau""ght"; exit 7' INT
      echo "rea""dy"
      sleep 300
"#,
    );
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("ready");
    terminal.press_ctrl_c();
    terminal.await_text("caught");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 1, "{shown}");
    let journal = test.journal(&test.only_run());
    assert_eq!(journal.finished("shell")["exit_code"], 7);
    assert!(journal.kind("run_stopped").is_empty());
}

#[test]
fn the_command_has_the_size_and_kind_of_the_window() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: shell
    interactive: true
    run: |
      # Tells of its window.
      trap told=yes WINCH
      [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && : < /dev/tty
      echo "kind $TERM of $(ps -o tty= $$)"; size=
      # Bash forgets a signal that comes while its trap runs: the size itself is looked at.
      while [ ! -e enough ]; do
        now=$(stty size)
        if [ "$now" != "$size" ]; then echo "$now"; fi
        size=$now; sleep 0.02
      done
      echo "told $told"
"#,
    );
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("kind xterm-256color of pts/");
    terminal.resize(111, 33);
    terminal.await_text("33 111");
    terminal.resize(60, 20);
    terminal.await_text("20 60");
    test.write("enough", "");
    terminal.await_text("told yes");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
}

/// A slow reader slows the command down, and misses nothing.
#[test]
fn nothing_that_is_printed_is_lost() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: much, interactive: true, run: 'seq -f line-%.0f 1 60000'}\n",
    );
    let mut connection = Connection::start(&test.command(&["run", "main"]));
    connection.await_text("line-1\r\n");
    let run = test.only_run();
    let step = eventually("the command", || processes_of_run(&run).first().cloned());
    eventually("it waits for its reader", || Process::find(step.pid).filter(|step| step.state == 'S'));
    let (code, shown) = connection.read_to_end();
    assert_eq!(code, Some(0));
    let lines = shown.lines().filter(|line| line.starts_with("line-")).map(str::to_owned);
    let expected: Vec<String> = (1..=60000).map(|number| format!("line-{number}")).collect();
    assert!(lines.eq(expected), "all lines, in order");
}

#[test]
fn secrets_are_masked_on_the_terminal_and_in_the_log() {
    let test = TestEnvironment::with(
        r#"
secrets: {token: {env: TOKEN}}
steps:
  - {id: show, interactive: true, env: {T: "{{ secrets.token }}"}, run: 'printf "t=%s\n" "$T"; sleep 0.1; printf "%s" "${T:0:5}"; sleep 0.1; printf "%s\n" "${T:5}"; echo "o""ver"'}
"#,
    )
    .variable("TOKEN", "s3cr3t-t0k3n");
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("over");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("s3cr3t-t0k3n") && shown.contains("t="), "{shown}");
    let log = std::fs::read(test.run_folder(&test.only_run()).join("logs/show.1.log")).unwrap();
    assert!(!String::from_utf8_lossy(&log).contains("s3cr3t"));
}

/// One at a time, and no question meanwhile.
#[test]
fn the_terminal_has_one_user() {
    let ask = r#"read -r -p "$RUNBOOK_STEP: " line; echo "$RUNBOOK_STEP $line" >> "$LEDGER""#;
    let test = TestEnvironment::with(&format!(
        r#"
steps:
  - {{id: one, needs: [], interactive: true, run: '{ask}'}}
  - {{id: two, needs: [], interactive: true, run: '{ask}'}}
  - {{id: gate, needs: [], approve: {{prompt: "And then?"}}}}
"#
    ));
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("one: ");
    let run = test.only_run();
    eventually("the question is open", || {
        (!test.journal(&run).of("gate_opened", "gate").is_empty()).then_some(())
    });
    assert!(test.journal(&run).of("step_started", "two").is_empty());
    terminal.type_line("first");
    let between = terminal.await_text("two: ");
    assert!(!between.contains("And then?"), "{between}");
    terminal.type_line("second");
    terminal.await_text("And then?");
    terminal.await_text("approve, reject");
    terminal.type_line("approve");
    terminal.await_text("because");
    terminal.type_line("");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["one first", "two second"]);
}

/// A step doesn't take the terminal from a question that is being answered; it has it when that is settled, wherever.
#[test]
fn a_question_comes_first_that_stands_already() {
    let body = r#"
steps:
  - {id: gate, needs: [], approve: {prompt: "And then?"}}
  - {id: slow, needs: [], run: 'while [ -e "$HOLD" ]; do sleep 0.02; done'}
  - {id: shell, needs: [slow], interactive: true, run: 'echo "at ""last"'}
"#;
    for elsewhere in [false, true] {
        let test = TestEnvironment::with(body);
        test.hold();
        let mut terminal = test.at_terminal(&["run", "main"]);
        terminal.await_text("And then?");
        terminal.await_text("approve, reject");
        let run = test.only_run();
        test.release();
        eventually("the step before is over", || {
            (!test.journal(&run).of("step_finished", "slow").is_empty()).then_some(())
        });
        assert!(test.journal(&run).of("step_started", "shell").is_empty());
        if elsewhere {
            test.runbook(&["approve", &run]).succeeds();
        } else {
            terminal.type_line("approve");
            terminal.await_text("because");
            terminal.type_line("");
        }
        terminal.await_text("at last");
        assert_eq!(terminal.finish().0, 0);
    }
}

/// A session that leaves by the command's own means, with the terminal as it was.
const SESSION: &str = r#"
steps:
  - id: shell
    interactive: true
    run: |
      # Talks.
      echo "$$" >> "$LEDGER"
      printf '\033[?1049h'
      echo "ses""sion"
      while read -r line; do echo "got $line"; done
  - {id: after, run: 'echo after >> "$LEDGER"'}
"#;

/// kill -9: what sat at the terminal is hung up, the terminal is usable again, and nobody claims to know how it ended.
#[test]
fn a_killed_engine_leaves_a_usable_terminal_and_an_interrupted_step() {
    let test = TestEnvironment::with(SESSION);
    let script = format!(
        r#"before=$(stty -a); sh -c 'echo "$$" > engine; exec {} run main'; while [ "$(stty -a)" != "$before" ]; do sleep 0.02; done; echo as it was"#,
        env!("CARGO_BIN_EXE_runbook")
    );
    // A shell that doesn't mend the terminal itself.
    let mut command = Command::new("dash");
    let like = test.command(&[]);
    command.args(["-c", &script]).env_clear().current_dir(test.project());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut terminal = Terminal::start(command);
    terminal.await_text("session");
    let step: u32 = test.ledger()[0].parse().unwrap();
    send(test.read("engine").trim().parse().unwrap(), "KILL");
    terminal.await_text("as it was");
    assert_eq!(terminal.finish().0, 0);
    Process::wait_until_gone(step);
    let run = test.only_run();
    assert_eq!(test.step_outcome(&run, "shell"), "interrupted");
    test.runbook(&["resume", &run]).exits(7).stderr_has("shell");
    let journal = test.journal(&run);
    let finished = journal.finished("shell");
    assert_eq!(
        (&finished["outcome"], &finished["reason"]),
        (&"interrupted".into(), &"stopped: its terminal is gone".into())
    );
    let mut terminal = test.at_terminal(&["resume", &run, "--retry", "shell"]);
    terminal.await_text("session");
    terminal.type_line("again");
    terminal.await_text("got again");
    terminal.press_ctrl_d();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger().last().map(String::as_str), Some("after"));
    test.runbook(&["verify", &run]).succeeds();
}

/// Engine and keeper are gone: the command's session is looked for, whatever its processes did to their environment.
#[test]
fn survivors_of_a_dead_keeper_are_found_by_their_session() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: shell
    interactive: true
    run: |
      # Hides.
      echo "$$" >> "$LEDGER"
      echo "ses""sion"
      exec env -i sh -c 'trap "" HUP; while :; do sleep 0.1; done'
"#,
    );
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("session");
    let run = test.only_run();
    let step: u32 = test.ledger()[0].parse().unwrap();
    eventually("the command hides", || processes_of_run(&run).is_empty().then_some(()));
    let keeper = Process::find(step).unwrap().parent;
    let engine = terminal.pid();
    send(engine, "STOP");
    send(keeper, "KILL");
    send(engine, "KILL");
    assert_eq!(terminal.finish().0, 128 + 9);
    test.runbook(&["resume", &run]).exits(7).stderr_has(&step.to_string());
    test.runbook(&["answer", &run, "shell", "end"]).succeeds();
    test.runbook(&["resume", &run]).exits(7);
    Process::wait_until_gone(step);
}

/// The terminal is closed: the step gets what every program at it gets, the rest goes on, and the run parks.
#[test]
fn a_terminal_that_closes_interrupts_the_step_and_parks_the_run() {
    let test = TestEnvironment::with(&format!(
        "{SESSION}  - {{id: beside, needs: [], run: 'while [ -e \"$HOLD\" ]; do sleep 0.02; done; echo beside >> \"$LEDGER\"'}}\n"
    ));
    test.hold();
    let mut connection = Connection::start(&test.command(&["run", "main"]));
    connection.await_text("session");
    let step: u32 = test.ledger()[0].parse().unwrap();
    let mut engine = connection.close();
    Process::wait_until_gone(step);
    test.release();
    // How it ended is for a person to say, and none is there.
    assert_eq!(engine.wait().unwrap().code(), Some(7));
    let run = test.only_run();
    let journal = test.journal(&run);
    assert_eq!(journal.finished("shell")["outcome"], "interrupted");
    assert_eq!(journal.finished("beside")["outcome"], "succeeded");
    assert_eq!(journal.kind("run_parked").len(), 1);
    test.runbook(&["resume", &run, "--done", "shell=did it by hand"]).succeeds();
    assert_eq!(test.ledger()[1..], ["beside", "after"]);
}

#[test]
fn a_stop_ends_it_and_a_cancel_from_elsewhere_too() {
    for how in ["signal", "cancel", "timeout"] {
        let timeout =
            if how == "timeout" { "interactive: true\n    timeout: 3s" } else { "interactive: true" };
        let test = TestEnvironment::with(
            &SESSION
                .replace("interactive: true", timeout)
                .replace("id: shell", "id: shell\n    on_failure: stop"),
        );
        let mut terminal = test.at_terminal(&["run", "main"]);
        terminal.await_text("session");
        let run = test.only_run();
        let (code, outcome) = match how {
            "signal" => {
                send(terminal.pid(), "TERM");
                (143, "cancelled")
            }
            "cancel" => {
                test.runbook(&["cancel", &run]).succeeds();
                (1, "cancelled")
            }
            _ => (1, "failed"),
        };
        let (status, shown) = terminal.finish();
        assert_eq!(status, code, "{how}: {shown}");
        // The screen that the command took is given back.
        assert!(shown.contains("\x1b[?1047l"), "{how}: {shown}");
        assert_eq!(test.journal(&run).finished("shell")["outcome"], outcome, "{how}");
    }
}

#[test]
fn a_stopped_engine_gives_the_terminal_back_meanwhile() {
    let test = TestEnvironment::with(SESSION);
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("session");
    let step: u32 = test.ledger()[0].parse().unwrap();
    send(terminal.pid(), "TSTP");
    eventually("the step stands", || Process::find(step).filter(|process| process.state == 'T'));
    eventually("the engine stands", || Process::find(terminal.pid()).filter(|process| process.state == 'T'));
    send(terminal.pid(), "CONT");
    eventually("the step goes on", || Process::find(step).filter(|process| process.state != 'T'));
    terminal.type_line("more");
    terminal.await_text("got more");
    terminal.press_ctrl_d();
    assert_eq!(terminal.finish().0, 0);
}

#[test]
fn ssh_keygen_asks_for_its_passphrases() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: key, interactive: true, run: [ssh-keygen, -q, -t, ed25519, -f, key]}\n  - {id: again, interactive: true, run: [ssh-keygen, -p, -f, key]}\n",
    );
    let mut terminal = test.at_terminal(&["run", "main"]);
    for passphrase in ["first-one", "first-one"] {
        terminal.await_text("passphrase");
        terminal.await_text(": ");
        terminal.type_line(passphrase);
    }
    terminal.await_text("Enter old passphrase: ");
    terminal.type_line("first-one");
    for passphrase in ["second-one", "second-one"] {
        terminal.await_text("passphrase");
        terminal.await_text(": ");
        terminal.type_line(passphrase);
    }
    terminal.await_text("saved with the new passphrase");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("-one"), "{shown}");
    let key = test.project().join("key").display().to_string();
    let check = |passphrase: &str| {
        Command::new("ssh-keygen")
            .args(["-y", "-P", passphrase, "-f", &key])
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(check("second-one") && !check("first-one"));
}

#[test]
fn psql_changes_a_password() {
    let service = postgres();
    let variables = format!(
        "{{PGHOST: 127.0.0.1, PGPORT: \"{}\", PGUSER: probe, PGDATABASE: postgres, PSQLRC: /dev/null, PAGER: cat}}",
        service.port
    );
    let test = TestEnvironment::with(&format!(
        "\nsteps:\n  - {{id: psql, interactive: true, env: {variables}, run: [psql]}}\n"
    ));
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("Password for user probe: ");
    terminal.type_line("probe-pass");
    terminal.await_text("postgres=#");
    terminal.type_line(r"\password");
    terminal.await_text("Enter new password");
    terminal.await_text(": ");
    terminal.type_line("a-new-one");
    terminal.await_text("again: ");
    terminal.type_line("a-new-one");
    terminal.await_text("postgres=#");
    terminal.type_line(r"\q");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("a-new-one"), "{shown}");
    let asked = Command::new("psql")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &service.port.to_string(),
            "-U",
            "probe",
            "-d",
            "postgres",
            "-c",
            "select 1",
        ])
        .env("PGPASSWORD", "a-new-one")
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
}

/// As root, where another user can be had without a password: what changed its user and its environment is still the step's.
#[test]
fn su_gives_a_shell_with_job_control() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: su, interactive: true, run: [su, -s, /bin/bash, nobody]}\n",
    );
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("nobody@");
    // One job, so that there is no moment between two of them at which the key reaches neither.
    terminal.type_line("sh -c \"id -u''n; exec sleep 300\"");
    terminal.await_text("nobody\r\n");
    // Ctrl-C ends what runs in the foreground of that shell, and not the shell.
    terminal.press_ctrl_c();
    terminal.await_text("nobody@");
    terminal.type_line("echo al''ive; exit 0");
    terminal.await_text("alive\r\n");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
}

#[test]
fn what_makes_no_sense_beside_it_is_an_error() {
    for (step, says) in [
        ("run: cat, interactive: true, stdin: text", "`stdin` has no meaning"),
        ("run: cat, interactive: true, background: {ready: 'true'}", "`background`"),
        ("check: 'true', interactive: true", "`interactive`"),
        ("run: 'true', undo: {run: 'true', interactive: true}", "interactive"),
    ] {
        let test = TestEnvironment::with(&format!("\nsteps:\n  - {{id: a, {step}}}\n"));
        test.runbook(&["validate", "main"]).exits(1).stdout_or_stderr_has(says);
        test.runbook(&["run", "main"]).exits(2);
        assert!(test.runs().is_empty());
    }
}

#[test]
fn a_plan_says_so() {
    let test = TestEnvironment::with(PASSWORD);
    test.runbook(&["plan", "main"]).succeeds().stdout_has("at a terminal of its own");
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    assert_eq!(plan["steps"][0]["interactive"], true);
    assert!(plan["steps"][1].get("interactive").is_none());
}
