//! From text to the located tree: YAML 1.2 with the limits of engine.md §5 and the refusals of language.md §1.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};

use super::node::{Node, Scalar, ScalarMap, Style, Value, crop};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, Span};

/// The longest text that is read, in bytes.
pub const MAXIMUM_BYTES: usize = 8 << 20;
/// How deep collections may be nested.
pub const MAXIMUM_DEPTH: usize = 64;
/// How many nodes any text may have after its aliases; longer texts may have two per byte.
const LEAST_NODE_LIMIT: usize = 50_000;

/// What a text says.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The document; `None` when there is nothing, or nothing that could be read.
    pub(crate) root: Option<Node>,
    /// Whether it was read to the end; if not, what is missing may stand in the rest.
    pub(crate) complete: bool,
}

/// Makes a source of what a file holds.
///
/// # Errors
/// The text is too long, or not UTF-8: then the place of the first bad byte. The source is what can be shown of it.
pub fn source_of_bytes(name: impl Into<Arc<str>>, bytes: &[u8]) -> Result<Source, Box<(Source, Diagnostic)>> {
    let name = name.into();
    if bytes.len() > MAXIMUM_BYTES {
        let message = format!("the file has {} bytes: at most {MAXIMUM_BYTES} (8 MiB)", bytes.len());
        let diagnostic = Diagnostic::error(&name, "too-large", Span::default(), message);
        return Err(Box::new((Source::new(name, ""), diagnostic)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => {
            let offset = error.valid_up_to();
            let source = Source::new(Arc::clone(&name), &String::from_utf8_lossy(bytes));
            let dropped = if bytes.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
            let byte = bytes.get(offset).copied().unwrap_or_default();
            let message = format!("the file is not UTF-8: byte 0x{byte:02x} at offset {offset}");
            let span = Span::at(offset.saturating_sub(dropped));
            Err(Box::new((
                source,
                Diagnostic::error(&name, "encoding", span, message).with_help("save it as UTF-8"),
            )))
        }
    }
}

/// Reads a source as one YAML document.
pub(crate) fn read(source: &Source, diagnostics: &mut Diagnostics) -> Tree {
    if source.text().len() > MAXIMUM_BYTES {
        let message = format!("the text has {} bytes: at most {MAXIMUM_BYTES} (8 MiB)", source.text().len());
        diagnostics.push(Diagnostic::error(&source.shared_name(), "too-large", Span::default(), message));
        return Tree { root: None, complete: false };
    }
    let blanked = report_forbidden(source, diagnostics);
    let mut builder = Builder::new(source, diagnostics);
    let complete = builder.read(blanked.as_deref().unwrap_or_else(|| source.text()));
    builder.close_all();
    Tree { root: builder.root, complete }
}

/// Whether a character may not stand in a document at all. `next` is the one after it.
fn is_forbidden(character: char, next: Option<char>) -> bool {
    match character {
        '\t' | '\n' => false,
        '\r' => next != Some('\n'),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        character => character.is_control(),
    }
}

/// Reports what may not stand in a document. So that the rest can be read as if it did not stand there, the result is the same text,
/// byte for byte as long, with harmless characters in its place; `None` when nothing was found.
fn report_forbidden(source: &Source, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = source.text();
    // Nearly every text passes here: no control but tab and line feed, and none of the lead bytes of the others.
    if text
        .bytes()
        .all(|byte| matches!(byte, b'\t' | b'\n' | 0x20..=0x7e | 0xc3..=0xd7 | 0xd9..=0xe1 | 0xe3..))
    {
        return None;
    }
    let mut blanked: Option<String> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        if !is_forbidden(character, characters.peek().map(|(_, next)| *next)) {
            continue;
        }
        let span = Span::new(offset, offset + character.len_utf8());
        let kind = match character {
            '\u{85}' | '\u{2028}' | '\u{2029}' => "line separator",
            '\r' => "carriage return without a line feed",
            character if character.is_control() => "control character",
            _ => "bidirectional character",
        };
        let message = format!("{kind} U+{:04X} is not allowed", u32::from(character));
        let help = "remove it; in double quotes it can be written as an escape";
        diagnostics.push(
            Diagnostic::error(&source.shared_name(), "forbidden-character", span, message).with_help(help),
        );
        let fill = if character == '\r' { " " } else { "?" };
        blanked
            .get_or_insert_with(|| text.to_owned())
            .replace_range(span.range(), &fill.repeat(character.len_utf8()));
    }
    blanked
}

/// A collection that is being read.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Node>,
    /// Text of each scalar key so far, with its place.
    keys: HashMap<Arc<str>, Span>,
    /// Values of `<<`, merged when the map is complete.
    merges: Vec<Node>,
    /// Nodes before it, so that an alias to it knows its size.
    count_before: usize,
    /// Whether it is written in brackets.
    flow: bool,
}

struct Builder<'s> {
    source: &'s Source,
    diagnostics: &'s mut Diagnostics,
    root: Option<Node>,
    stack: Vec<Open>,
    /// Anchored values with their number of nodes.
    anchors: HashMap<usize, (Node, usize)>,
    /// Nodes so far, aliases counted with all they stand for.
    count: usize,
    limit: usize,
    /// The last template without quotes: what follows it in its line is part of the same mistake.
    unquoted: Option<Span>,
}

/// Whether reading goes on.
enum Next {
    Continue,
    Stop,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Source, diagnostics: &'s mut Diagnostics) -> Self {
        let limit = LEAST_NODE_LIMIT.max(2 * source.text().len());
        Self {
            source,
            diagnostics,
            root: None,
            stack: Vec::new(),
            anchors: HashMap::new(),
            count: 0,
            limit,
            unquoted: None,
        }
    }

    fn report(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: Option<&str>) {
        let mut diagnostic = Diagnostic::error(&self.source.shared_name(), code, span, message);
        diagnostic.help = help.map(str::to_owned);
        self.diagnostics.push(diagnostic);
    }

    /// Reads events to the end, the first syntax error or a limit; whether it came to the end.
    fn read(&mut self, text: &str) -> bool {
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            // One more than allowed: the limit itself is reported here, with its place.
            flow_nesting_limit: MAXIMUM_DEPTH + 1,
            block_nesting_limit: MAXIMUM_DEPTH + 1,
        };
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, place) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.syntax_error(&error);
                    return false;
                }
            };
            let range = place.byte_range().unwrap_or_default();
            let span = Span::new(range.start, range.end);
            if let Some(tag) =
                place.tag_span().and_then(|tag| tag.byte_range()).filter(|_| event.tag().is_some())
            {
                let help = "remove it; quote a value that is meant as text";
                self.report(
                    "yaml-tag",
                    Span::new(tag.start, tag.end),
                    "tags are not part of the language",
                    Some(help),
                );
            }
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents > 1 {
                    let help = "one runbook a file";
                    self.report(
                        "yaml-document",
                        span,
                        "a second document begins here; a file has one",
                        Some(help),
                    );
                    return true;
                }
            }
            if matches!(self.event(event, span), Next::Stop) {
                return false;
            }
        }
        true
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Next {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let scalar = self.scalar(&text, style, span);
                self.complete(Node { span, value: Value::Scalar(scalar) }, anchor, 1)
            }
            Event::SequenceStart(style, anchor, _) => {
                let span = if span.start == span.end {
                    Span::new(span.range().start, span.range().start + 1)
                } else {
                    span
                };
                self.open(
                    Node { span, value: Value::Sequence(Vec::new()) },
                    anchor,
                    style == granit_parser::StructureStyle::Flow,
                )
            }
            Event::MappingStart(style, anchor, _) => self.open(
                Node { span, value: Value::Mapping(Vec::new()) },
                anchor,
                style == granit_parser::StructureStyle::Flow,
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                self.report(
                    "yaml-alias",
                    span,
                    format!("`*{}` names no anchor above it", crop(&name)),
                    Some("quote a text that begins with `*`"),
                );
                let written = Scalar {
                    text: format!("*{name}").into(),
                    style: Style::SingleQuoted,
                    map: ScalarMap::Start(span.start),
                };
                self.complete(Node { span, value: Value::Scalar(written) }, 0, 1)
            }
            _ => Next::Continue,
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span) -> Scalar {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        // The parser says `~` for a value that is not there.
        let text = if style == Style::Plain && span.start == span.end { "" } else { text };
        Scalar { text: text.into(), style, map: super::mapping::scalar_map(self.source, text, style, span) }
    }

    fn open(&mut self, node: Node, anchor: usize, flow: bool) -> Next {
        if self.stack.len() == MAXIMUM_DEPTH {
            self.report("too-large", node.span, format!("nested deeper than {MAXIMUM_DEPTH}"), None);
            return Next::Stop;
        }
        let open = Open {
            node,
            anchor,
            key: None,
            keys: HashMap::new(),
            merges: Vec::new(),
            count_before: self.count,
            flow,
        };
        self.stack.push(open);
        Next::Continue
    }

    fn close(&mut self, end: Span) -> Next {
        let Some(open) = self.stack.pop() else { return Next::Continue };
        let (anchor, count) = (open.anchor, self.count - open.count_before + 1);
        self.count = open.count_before;
        let node = self.finish(open, Some(end));
        self.complete(node, anchor, count)
    }

    /// A collection whose end was read, or (`None`) never came.
    fn finish(&mut self, mut open: Open, end: Option<Span>) -> Node {
        if open.flow
            && let Some(end) = end
        {
            open.node.span = open.node.span.to(end);
        }
        let span = open.node.span;
        let mut template = false;
        if let Value::Mapping(entries) = &mut open.node.value {
            // `{{ x }}` is a map whose only key is a map and whose value is nothing.
            template = open.flow
                && matches!(entries.as_slice(), [(key, value)] if matches!(key.value, Value::Mapping(_)) && value.is_null());
            merge(entries, std::mem::take(&mut open.merges));
            if let (false, Some((first, _))) = (open.flow, entries.first()) {
                open.node.span = first.span;
            }
        }
        if template {
            let whole = self.source.slice(span);
            self.unquoted = Some(span);
            let help = format!("write `\"{}\"`", crop(&self.rest_of_value(span)));
            self.report(
                "unquoted-template",
                span,
                "a value that begins with `{{` must be quoted: to YAML it is a map",
                Some(&help),
            );
            let text =
                Scalar { text: whole.into(), style: Style::DoubleQuoted, map: ScalarMap::Linear(span.start) };
            open.node.value = Value::Scalar(text);
        } else if let Value::Mapping(entries) = &mut open.node.value {
            for (key, _) in entries.iter().filter(|(key, _)| key.scalar().is_none()) {
                let diagnostic = Diagnostic::error(
                    &self.source.shared_name(),
                    "wrong-type",
                    key.span,
                    format!("a key can't be {}", key.found()),
                );
                self.diagnostics.push(diagnostic);
            }
            entries.retain(|(key, _)| key.scalar().is_some());
        }
        open.node
    }

    /// Puts a whole value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize, count: usize) -> Next {
        self.count += count;
        if self.count > self.limit {
            self.report(
                "too-large",
                node.span,
                format!("more than {} values, aliases counted with all they stand for", self.limit),
                None,
            );
            return Next::Stop;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), count));
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Next::Continue;
        };
        match &mut open.node.value {
            Value::Sequence(items) => items.push(node),
            Value::Scalar(_) => {}
            Value::Mapping(entries) => match open.key.take() {
                None => open.key = Some(node),
                Some(key) => {
                    let Some(scalar) = key.scalar() else {
                        entries.push((key, node));
                        return Next::Continue;
                    };
                    if scalar.style == Style::Plain && &*scalar.text == "<<" {
                        let place = node.span;
                        if !mergeable(&node) {
                            self.report("yaml-merge", place, "`<<` takes a map or a list of maps", None);
                        } else if let Some(open) = self.stack.last_mut() {
                            open.merges.push(node);
                        }
                        return Next::Continue;
                    }
                    match open.keys.insert(Arc::clone(&scalar.text), key.span) {
                        None => entries.push((key, node)),
                        Some(first) => {
                            open.keys.insert(Arc::clone(&scalar.text), first);
                            let line = self.source.location(first.start).line;
                            let message = format!(
                                "duplicate key `{}` (the first one is in line {line})",
                                crop(&scalar.text)
                            );
                            let diagnostic = Diagnostic::error(
                                &self.source.shared_name(),
                                "duplicate-key",
                                key.span,
                                message,
                            );
                            self.diagnostics.push(diagnostic.with_related(first, "the first one is here"));
                        }
                    }
                }
            },
        }
        Next::Continue
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Next {
        let Some((node, count)) = self.anchors.get(&anchor) else {
            self.report("yaml-alias", span, "an alias can't stand inside the value that it names", None);
            return Next::Stop;
        };
        let count = *count;
        // Before anything is copied: a bomb costs nothing.
        if self.count + count > self.limit {
            let message = format!("more than {} values, aliases counted with all they stand for", self.limit);
            self.report("too-large", span, message, None);
            return Next::Stop;
        }
        let node = node.clone();
        if self.stack.len() + depth(&node) > MAXIMUM_DEPTH {
            self.report("too-large", span, format!("nested deeper than {MAXIMUM_DEPTH}"), None);
            return Next::Stop;
        }
        self.complete(node, 0, count)
    }

    /// Ends what a syntax error left open, so that what was read before it can be judged.
    fn close_all(&mut self) {
        while let Some(mut open) = self.stack.pop() {
            if let (Some(key), Value::Mapping(entries)) = (open.key.take(), &mut open.node.value)
                && key.scalar().is_some()
            {
                let nothing =
                    Scalar { text: "".into(), style: Style::Plain, map: ScalarMap::Start(key.span.end) };
                entries.push((
                    key.clone(),
                    Node { span: Span::at(key.span.end as usize), value: Value::Scalar(nothing) },
                ));
            }
            let node = self.finish(open, None);
            match self.stack.last_mut() {
                None => self.root = Some(node),
                Some(parent) => match &mut parent.node.value {
                    Value::Sequence(items) => items.push(node),
                    Value::Mapping(entries) => {
                        if let Some(key) = parent.key.take() {
                            entries.push((key, node));
                        }
                    }
                    Value::Scalar(_) => {}
                },
            }
        }
    }

    /// A value that begins with a template, to the end of its line where nothing else can follow.
    fn rest_of_value(&self, span: Span) -> String {
        let end = self.source.location(span.end);
        let inside_brackets = self.stack.last().is_some_and(|open| open.flow);
        let line = self.source.line_text(end.line);
        let after: String = line.chars().skip(end.column - 1).collect();
        let after = if inside_brackets { "" } else { after.split(" #").next().unwrap_or("").trim_end() };
        format!("{}{after}", self.source.slice(span))
    }

    fn syntax_error(&mut self, error: &granit_parser::ScanError) {
        let offset = error.marker().byte_offset().unwrap_or(0).min(self.source.text().len());
        let location = self.source.location(u32::try_from(offset).unwrap_or(u32::MAX));
        if self.unquoted.is_some_and(|unquoted| self.source.location(unquoted.end).line == location.line) {
            return;
        }
        let line = self.source.line_text(location.line);
        let span = self.source.text()[self.source.floor(offset)..]
            .chars()
            .next()
            .filter(|character| *character != '\n');
        let span =
            Span::new(self.source.floor(offset), self.source.floor(offset) + span.map_or(0, char::len_utf8));
        let (message, help) = super::mapping::explain(error.kind(), &error.info(), line);
        let code = if matches!(error.kind(), granit_parser::ErrorKind::RecursionLimitExceeded) {
            "too-large"
        } else {
            "yaml-syntax"
        };
        self.report(code, span, message, help);
    }
}

/// How deep a value is nested in itself.
fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Mapping(entries) => 1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
    }
}

fn mergeable(node: &Node) -> bool {
    match &node.value {
        Value::Mapping(_) => true,
        Value::Sequence(items) => items.iter().all(|item| matches!(item.value, Value::Mapping(_))),
        Value::Scalar(_) => false,
    }
}

/// Adds what `<<` brings: a key of the map itself wins, then the first that brings it.
fn merge(entries: &mut Vec<(Node, Node)>, merges: Vec<Node>) {
    if merges.is_empty() {
        return;
    }
    let text = |key: &Node| key.scalar().map(|key| Arc::clone(&key.text));
    let mut known: HashSet<Option<Arc<str>>> = entries.iter().map(|(key, _)| text(key)).collect();
    let mut add = |node: Node| {
        let Value::Mapping(brought) = node.value else { return };
        for (key, value) in brought {
            if known.insert(text(&key)) {
                entries.push((key, value));
            }
        }
    };
    for node in merges {
        match node.value {
            Value::Sequence(items) => items.into_iter().for_each(&mut add),
            _ => add(node),
        }
    }
}
