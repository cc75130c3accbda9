//! `tcp: host:port`: does anybody listen?

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::net::TcpStream;

use super::Sample;

/// Opens a connection to `address` (`host:port`, `[::1]:80`) and closes it again: `open elapsed`.
///
/// A closed port is data (`open` is false) with the reason beside it.
pub async fn probe(address: &str, timeout: Duration) -> Sample {
    let begun = Instant::now();
    let tried = tokio::time::timeout(timeout, TcpStream::connect(address)).await;
    let mut values = IndexMap::new();
    values.insert("open".to_owned(), matches!(tried, Ok(Ok(_))).into());
    values.insert("elapsed".to_owned(), begun.elapsed().as_secs_f64().into());
    match tried {
        Ok(Ok(_)) => Sample::success(values),
        Ok(Err(error)) => Sample::shortfall(values, error.to_string()),
        Err(_) => Sample::shortfall(values, format!("timed out after {timeout:?}")),
    }
}
