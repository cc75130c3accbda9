//! What a keeper costs, beside the bare cost of the same work: `cargo bench -p runbook-runtime --bench keeper`.
#![expect(clippy::print_stdout, clippy::disallowed_macros, reason = "a benchmark prints its table")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runbook_runtime::keeper::{AttemptSpec, Ended, Helper, Message, Witness};
use runbook_runtime::redact::Secrets;

const STARTS: u32 = 500;
const OUTPUT: &str = "head -c 1G /dev/zero | tr '\\0' x";

fn main() {
    runbook_runtime::keeper::serve_if_asked();
    let helper = Helper::start().expect("the helper starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(".").expect("a folder on disk");
    let witness = folder.path().join("witness");
    Witness::create(&witness, 0o600).expect("a witness file");

    let begun = Instant::now();
    for _ in 0..STARTS {
        let status = Command::new("/bin/true").env_clear().stdin(Stdio::null()).status().expect("it runs");
        assert!(status.success());
    }
    let bare = begun.elapsed() / STARTS;
    let begun = Instant::now();
    for slot in 0..STARTS {
        let mut spec = AttemptSpec::new(vec!["/bin/true".into()], folder.path().to_path_buf());
        spec.slot = Some((witness.clone(), slot));
        spec.log = Some(folder.path().join("log"));
        runtime.block_on(run(&helper, spec));
    }
    report("start", bare, begun.elapsed() / STARTS);

    let begun = Instant::now();
    let redirected = folder.path().join("redirected");
    let output = File::create(&redirected).expect("a file");
    let status = Command::new("bash").args(["-c", OUTPUT]).stdout(output).status().expect("it runs");
    assert!(status.success());
    let bare = begun.elapsed();
    report("1 GiB, no secrets", bare, record(&runtime, &helper, folder.path(), "plain", Secrets::default()));
    let secrets = [("db", "hunter2-hunter2"), ("token", "ghp_0123456789abcdefghij")];
    let secrets = secrets.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let secrets = Secrets::from_pairs(secrets).expect("long enough");
    report("1 GiB, two secrets", bare, record(&runtime, &helper, folder.path(), "masked", secrets));
}

fn record(
    runtime: &tokio::runtime::Runtime,
    helper: &Helper,
    folder: &Path,
    name: &str,
    secrets: Secrets,
) -> Duration {
    let mut spec = AttemptSpec::new(["bash", "-c", OUTPUT].map(Into::into).to_vec(), folder.to_path_buf());
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec.log = Some(folder.join(name));
    spec.log_limit = 4 << 30;
    spec.secrets = secrets;
    let begun = Instant::now();
    runtime.block_on(run(helper, spec));
    begun.elapsed()
}

async fn run(helper: &Helper, spec: AttemptSpec) {
    let mut attempt = helper.launch(spec).await.expect("it is launched");
    loop {
        match attempt.next().await.expect("an end") {
            Message::Started { .. } | Message::Output { .. } => {}
            Message::Exited(exit) => {
                assert_eq!((exit.ended, exit.store_failure), (Ended::Exited(0), None));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn report(work: &str, bare: Duration, kept: Duration) {
    println!(
        "{work:20} bare {bare:>12.3?}   kept {kept:>12.3?}   {:.2} times",
        kept.as_secs_f64() / bare.as_secs_f64()
    );
}
