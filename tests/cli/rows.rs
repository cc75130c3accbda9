//! What the `rows_*` modules share: a row of the language's tables as a runbook, what it must end with, and what must be said.

use crate::helpers::{Output, TestEnvironment};

/// One row, tried through the binary.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// What the page says, in short.
    pub(crate) row: &'a str,
    /// `runbooks/main.yaml`.
    pub(crate) runbook: &'a str,
    /// Other files of the project.
    pub(crate) files: &'a [(&'a str, &'a str)],
    pub(crate) arguments: &'a [&'a str],
    pub(crate) code: i32,
    /// Parts of what is said, on either stream.
    pub(crate) says: &'a [&'a str],
    pub(crate) lacks: &'a [&'a str],
    /// An answer that is given ahead of time.
    pub(crate) answer: Option<&'a str>,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self {
            row: "",
            runbook: "",
            files: &[],
            arguments: &["run", "main"],
            code: 0,
            says: &[],
            lacks: &[],
            answer: None,
        }
    }
}

/// A row that runs and says this.
pub(crate) const fn runs<'a>(row: &'a str, runbook: &'a str, says: &'a [&'a str]) -> Row<'a> {
    Row { row, runbook, files: &[], arguments: &["run", "main"], code: 0, says, lacks: &[], answer: None }
}

/// A row whose run fails and says this.
pub(crate) const fn fails<'a>(row: &'a str, runbook: &'a str, says: &'a [&'a str]) -> Row<'a> {
    Row { code: 1, ..runs(row, runbook, says) }
}

/// A row that is refused before anything runs and says this.
pub(crate) const fn refused<'a>(row: &'a str, runbook: &'a str, says: &'a [&'a str]) -> Row<'a> {
    Row { code: 2, ..runs(row, runbook, says) }
}

impl<'a> Row<'a> {
    /// The same with an answer that is given ahead of time.
    pub(crate) const fn answered(self, answer: &'a str) -> Self {
        Self { answer: Some(answer), ..self }
    }

    fn problems(&self) -> Option<String> {
        let test = TestEnvironment::new().variable("TOKEN", "s3cr3t-value-42");
        test.write("runbooks/main.yaml", self.runbook);
        for (path, text) in self.files {
            test.write(path, text);
        }
        let mut arguments = self.arguments.to_vec();
        arguments.extend(self.answer.iter().flat_map(|answer| ["--answer", *answer]));
        let output: Output = test.runbook(&arguments).whatever_status();
        let said = |part: &str| output.stdout.contains(part) || output.stderr.contains(part);
        let mut problems = Vec::new();
        if output.code() != self.code {
            problems.push(format!("exits {} and not {}", output.code(), self.code));
        }
        problems
            .extend(self.says.iter().filter(|part| !said(part)).map(|part| format!("{part:?} is not said")));
        problems.extend(self.lacks.iter().filter(|part| said(part)).map(|part| format!("{part:?} is said")));
        if self.code == 2 && !test.runs().is_empty() {
            problems.push("a run was left".into());
        }
        (!problems.is_empty())
            .then(|| format!("## {}: {}\n{}\n{output}", self.row, problems.join("; "), self.runbook))
    }
}

/// Tries all rows and shows every one that isn't as the page says.
#[track_caller]
pub(crate) fn hold(rows: &[Row<'_>]) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let problems = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    if let Some(problem) = row.problems() {
                        problems.lock().unwrap().push(problem);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{} of {} rows:\n{}", problems.len(), rows.len(), problems.join("\n"));
}
