//! The output of one attempt, kept until the attempt is over: whole where it is short, head and tail where it isn't.

use std::collections::VecDeque;

use runbook_runtime::capture::Stream;
use runbook_runtime::sanitize::{Colour, TerminalStream};

/// How much of the beginning is kept, in bytes.
const HEAD_BYTES: usize = 1 << 20;
/// How much of the end is kept, in bytes.
const TAIL_BYTES: usize = 1 << 18;

/// Lines of an attempt, made harmless.
#[derive(Debug)]
pub(super) struct Buffer {
    stdout: TerminalStream,
    stderr: TerminalStream,
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    dropped_lines: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            stdout: TerminalStream::new(Colour::Drop),
            stderr: TerminalStream::new(Colour::Drop),
            head: String::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            dropped_lines: 0,
        }
    }
}

impl Buffer {
    /// Takes a piece of output in.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let mut lines = String::new();
        match stream {
            Stream::Stdout => self.stdout.push(bytes, &mut lines),
            Stream::Stderr => self.stderr.push(bytes, &mut lines),
            Stream::Outputs => {}
        }
        self.keep(&lines);
    }

    fn keep(&mut self, lines: &str) {
        for line in lines.split_inclusive('\n') {
            if self.tail.is_empty() && self.head.len() + line.len() <= HEAD_BYTES {
                self.head.push_str(line);
                continue;
            }
            self.tail_bytes += line.len();
            self.tail.push_back(line.to_owned());
            while self.tail_bytes > TAIL_BYTES && self.tail.len() > 1 {
                self.tail_bytes -= self.tail.pop_front().map_or(0, |line| line.len());
                self.dropped_lines += 1;
            }
        }
    }

    /// What was printed, line by line; where something was left out, `left_out` says how many lines.
    pub(super) fn finish(mut self, left_out: impl Fn(usize) -> String) -> Vec<String> {
        let mut rest = String::new();
        self.stdout.finish(&mut rest);
        self.stderr.finish(&mut rest);
        self.keep(&rest);
        let mut lines: Vec<String> = self.head.lines().map(str::to_owned).collect();
        if self.dropped_lines > 0 {
            lines.push(left_out(self.dropped_lines));
        }
        lines.extend(self.tail.iter().map(|line| line.trim_end_matches('\n').to_owned()));
        lines
    }

    /// The line that was printed last, complete or not.
    pub(super) fn last_line(&self) -> String {
        let open =
            [self.stderr.partial(), self.stdout.partial()].into_iter().find(|line| !line.trim().is_empty());
        open.or_else(|| self.tail.back().map(|line| line.trim_end().to_owned()))
            .or_else(|| self.head.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_kept_whole() {
        let mut buffer = Buffer::default();
        buffer.push(Stream::Stdout, b"one\nt");
        buffer.push(Stream::Stderr, b"\x1b[2Jtwo\n");
        assert_eq!(buffer.last_line(), "t");
        buffer.push(Stream::Stdout, b"hree");
        buffer.push(Stream::Outputs, b"name=value\n");
        assert_eq!(buffer.finish(|_| unreachable!("nothing was left out")), ["one", "␛[2Jtwo", "three"]);
    }

    #[test]
    fn of_long_output_head_and_tail_are_kept() {
        let mut buffer = Buffer::default();
        let total = 200_000;
        for number in 0..total {
            buffer.push(Stream::Stdout, format!("line {number:06}\n").as_bytes());
        }
        let lines = buffer.finish(|count| format!("({count} left out)"));
        assert_eq!(lines[0], "line 000000");
        assert_eq!(lines[lines.len() - 1], format!("line {:06}", total - 1));
        let notice = lines.iter().find(|line| line.starts_with('(')).expect("says what was left out");
        assert_eq!(*notice, format!("({} left out)", total - (lines.len() - 1)));
    }
}
