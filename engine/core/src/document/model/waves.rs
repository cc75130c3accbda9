//! `batches` of a step with items: their sizes are cumulative (`language.md` §3), so each is more than the one before, and
//! the last reaches all items.

use super::policy::{Batch, ForEach};
use crate::document::decode::Decoder;
use crate::document::node::{Node, Value};

/// What to write instead.
const HELP: &str = "sizes are cumulative, and the last one is all: `[1, 10%, 100%]`";

/// Reports sizes after which nothing more starts, and a last one that leaves items out, as far as the items are known.
pub(super) fn check(batches: &[Batch], items: Option<&ForEach>, node: &Node, decoder: &mut Decoder) {
    let Some(Value::Sequence(nodes)) = node.get("batches").map(|node| &node.value) else { return };
    // What couldn't be read was told, and its place is not known any more.
    if nodes.len() != batches.len() {
        return;
    }
    let Some(last) = nodes.last() else { return };
    let (mut count, mut percent) = (0, 0);
    for (node, batch) in nodes.iter().zip(batches) {
        let (size, before) = match batch {
            Batch::Count(size) => (size.get().to_string(), (size.get() <= count).then(|| count.to_string())),
            Batch::Percent(size) => (format!("{size}%"), (*size <= percent).then(|| format!("{percent}%"))),
        };
        let before = if percent == 100 { Some("100%".to_owned()) } else { before };
        if let Some(before) = before {
            let message = format!("`{size}` starts nothing more: `{before}` stands before it");
            decoder.error_with_help("invalid-value", node.span, message, HELP);
            return;
        }
        match batch {
            Batch::Count(size) => count = size.get(),
            Batch::Percent(size) => percent = *size,
        }
    }
    let reached =
        |items: usize| items <= count as usize || (items * usize::from(percent)).div_ceil(100) >= items;
    let left_out = match (items, batches.last()) {
        (Some(ForEach::List(items)), _) if !reached(items.len()) => format!("all {} items", items.len()),
        (Some(ForEach::Expression(_)) | None, Some(Batch::Percent(1..100))) => "all items".to_owned(),
        _ => return,
    };
    decoder.error_with_help("invalid-value", last.span, format!("`batches` don't reach {left_out}"), HELP);
}
