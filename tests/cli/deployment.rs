//! The runbooks that come with the project: the main job for real, Zetra's planned.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::helpers::TestEnvironment;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The server of the example, built once.
fn site_server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "site-server"])
            .current_dir(repository())
            .status()
            .unwrap();
        assert!(built.success());
        Path::new(env!("CARGO_BIN_EXE_runbook")).with_file_name("site-server")
    })
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn project() -> TestEnvironment {
    let test = TestEnvironment::new();
    fs::copy(
        repository().join("runbooks/deploy-production.yaml"),
        test.project().join("runbooks/deploy-production.yaml"),
    )
    .unwrap();
    copy_folder(&repository().join("examples/site"), &test.project().join("examples/site"));
    test
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn deploy(test: &TestEnvironment, version: &str, more: &[&str]) -> crate::helpers::Finished {
    let version = format!("version={version}");
    let server = format!("server={}", site_server().display());
    let port = format!("port={}", free_port());
    let mut arguments = vec!["run", "deploy-production", "-p", &version, "-p", &server, "-p", &port];
    arguments.extend(["--approve", "approve=first try"]);
    arguments.extend(more);
    test.runbook(&arguments)
}

#[test]
fn two_deployments_change_the_slot_and_keep_a_backup() {
    let test = project();
    let first = deploy(&test, "v1.0.0", &[]).succeeds().ends("succeeded").run_id();
    let current = |test: &TestEnvironment| fs::read_link(test.project().join("var/site/current")).unwrap();
    assert_eq!(current(&test), Path::new("blue"));
    assert!(test.read("var/site/current/index.html").contains("<strong>v1.0.0</strong>"));
    assert_eq!(test.step_outcome(&first, "backup"), "skipped", "nothing was live");
    assert!(test.journal(&first).kind("undo_started").is_empty());

    let second = deploy(&test, "v1.1.0", &[]).succeeds().run_id();
    assert_eq!(current(&test), Path::new("green"));
    assert!(test.read("var/site/current/about/index.html").contains("v1.1.0"));
    assert!(test.read("var/site/blue/index.html").contains("v1.0.0"), "the release before is still there");
    let journal = test.journal(&second);
    let artifact = journal.one("artifact", "backup");
    let backup = fs::read(test.project().join(artifact["path"].as_str().unwrap())).unwrap();
    let hash: String = Sha256::digest(&backup).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(artifact["sha256"], hash);
    assert_eq!(
        test.read("var/site/deployments.log").lines().filter(|line| line.ends_with("succeeded")).count(),
        2
    );
}

#[test]
fn a_release_that_fails_over_http_is_taken_back() {
    let test = project();
    deploy(&test, "v1.0.0", &[]).succeeds();
    // Whole enough for the checks before the switch, but a page is missing.
    test.write("examples/broken/index.html", "<p>@VERSION@</p>\n");
    let run = deploy(&test, "v2.0.0", &["-p", "site=examples/broken"]).exits(1).ends("failed").run_id();
    assert_eq!(fs::read_link(test.project().join("var/site/current")).unwrap(), Path::new("blue"));
    assert_eq!(test.step_outcome(&run, "pages"), "failed");
    let journal = test.journal(&run);
    assert_eq!(journal.one("undo_finished", "switch")["outcome"], "succeeded");
    assert!(journal.seq("undo_finished", "switch") < journal.seq("step_started", "record"));
    assert!(test.read("var/site/deployments.log").trim_end().ends_with("failed"));
}

#[test]
fn a_release_that_is_not_whole_never_goes_live() {
    let test = project();
    test.write("examples/empty/other.html", "no index\n");
    deploy(&test, "v1.0.0", &["-p", "site=examples/empty"]).exits(1);
    assert!(!test.project().join("var/site/current").exists());
    deploy(&test, "1.0", &[]).exits(2);
}

#[test]
fn without_an_approval_nothing_is_switched() {
    let test = project();
    let server = format!("server={}", site_server().display());
    test.runbook(&["run", "deploy-production", "-p", "version=v1.0.0", "-p", &server])
        .exits(3)
        .ends("waiting");
    assert!(!test.project().join("var/site/current").exists());
    assert!(test.project().join("var/site/blue/index.html").exists());
}

#[test]
fn the_library_is_valid() {
    let test = TestEnvironment::new();
    let folder = repository().join("runbooks").display().to_string();
    test.runbook(&["--dir", &folder, "validate"]).succeeds();
}

/// Each runbook of the library is rehearsed: its good end, and what goes wrong.
#[test]
fn the_library_is_rehearsed() {
    let test = TestEnvironment::new();
    let folder = repository().join("runbooks").display().to_string();
    for name in ["deploy-production", "zetra/deploy-production", "zetra/verify-backup", "zetra/free-storage"]
    {
        test.runbook(&["--dir", &folder, "test", name]).succeeds().stdout_or_stderr_has("scenarios passed");
        test.runbook(&["--dir", &folder, "validate", name]).succeeds();
    }
}

#[test]
fn zetras_deployment_can_be_planned() {
    let test = TestEnvironment::new();
    let name = "runbooks/zetra/deploy-production.yaml";
    test.write(name, &fs::read_to_string(repository().join(name)).unwrap());
    // It lies in the repository that is deployed, with what is applied.
    test.write("k8s/deployment.yaml", "kind: Deployment\n");
    let plan = |arguments: &[&str]| {
        let all: Vec<&str> = ["plan", "zetra/deploy-production", "--format", "json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        test.runbook(&all).succeeds().json()
    };
    let planned = plan(&[]);
    let steps = planned["steps"].as_array().unwrap();
    let position = |id: &str| {
        steps.iter().position(|step| step["id"] == id).unwrap_or_else(|| panic!("no {id} in {planned}"))
    };
    for (earlier, later) in [
        ("checklist", "tests"),
        ("approve", "backup"),
        ("backup", "migrate"),
        ("migrate", "apply"),
        ("apply", "switch"),
        ("switch", "watch"),
        ("watch", "restore"),
    ] {
        assert!(position(earlier) < position(later), "{earlier} before {later}");
    }
    let switch = steps[position("switch")]["command"].as_str().unwrap();
    assert!(switch.contains(r#"{"spec":{"selector":{"slot":"blue"}}}"#), "{switch}");
    let undo = steps[position("switch")]["undo"].to_string();
    assert!(undo.contains("green"), "{undo}");
    let other = plan(&["-p", "slot=green", "-p", "previous=blue"]);
    assert!(other.to_string().contains("zetra-platform-green"));
    let text = fs::read_to_string(repository().join("runbooks/zetra/deploy-production.yaml")).unwrap();
    for defect in ["$(date", " -it ", "dry-run=client\n", "psql -U", "<postgres-pod>"] {
        assert!(!text.contains(defect), "{defect}");
    }
}

/// What was listed and approved is what is deleted: nothing else, also where it grew old while the approval waited.
#[test]
fn free_storage_deletes_what_was_shown_and_nothing_else() {
    let mut test = TestEnvironment::new();
    // Neither this machine's journal nor anybody's cluster.
    for program in ["journalctl", "kubectl", "aws"] {
        let stub = test.write(&format!("bin/{program}"), "#!/bin/sh\necho \"${0##*/} $*\" >> calls\n");
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", test.project().join("bin").display(), std::env::var("PATH").unwrap());
    test = test.variable("PATH", &path);
    let name = "runbooks/zetra/free-storage.yaml";
    test.write(name, &fs::read_to_string(repository().join(name)).unwrap());
    let old = |path: &str| {
        let path = test.write(path, "x");
        assert!(Command::new("touch").args(["-d", "40 days ago"]).arg(&path).status().unwrap().success());
        path
    };
    let (going, written) = (old("logs/a/old one.log"), old("logs/a/still in use.log"));
    let kept = test.write("logs/a/new.log", "x");
    let folders = format!("folders={}", test.project().join("logs/a").display());
    let asked = test.runbook(&["run", "zetra/free-storage", "-p", &folders]).exits(3);
    let run = asked.run_id();
    assert!(
        asked.stderr.contains("Delete 2 logs, and what the system's journal has, older than 30 days?"),
        "{}",
        asked.stderr
    );
    let later = old("logs/a/later.log");
    fs::write(&written, "more").unwrap();
    assert!(!test.read("calls").contains("journalctl"), "nothing goes before somebody has said so");
    test.runbook(&["approve", &run, "--reason", "seen"]).succeeds();
    // Whether there is room again is this machine's affair.
    let _ended = test.runbook(&["resume", &run]);
    assert_eq!(test.step_outcome(&run, "delete"), "succeeded");
    assert!(!going.exists() && kept.exists() && later.exists() && written.exists());
    assert!(test.read("calls").contains("journalctl --vacuum-time=30d"));
    test.runbook(&["verify", &run]).succeeds();
}
