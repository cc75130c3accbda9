//! `postgres`: one query, in a transaction that can't change anything.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::trust::Trust;
use super::{Sample, failure};
use crate::sanitize::{Style, sanitize};

mod tls;

use tls::Tls;

/// The most that all values of an answer may hold together, in bytes.
const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;

/// A query for a server. The URL may hold a password: it has no `Debug`, and no error repeats it.
#[derive(Clone)]
pub struct PostgresRequest {
    /// `postgres://user:password@host:port/database?sslmode=…`, or `host=… user=…`. As everywhere with PostgreSQL, `sslmode` is `prefer`
    /// unless given; `verify-full` believes the system's authorities alone, the others any certificate.
    pub url: String,
    /// One statement.
    pub query: String,
}

/// Asks: `value row rows`.
///
/// `rows` are maps by the names of the columns, `row` is the first of them, `value` its first column, where that isn't NULL. An answer
/// without a row is no data. Numbers, booleans and JSON are such, everything else is the text that `psql` shows.
pub async fn probe(request: &PostgresRequest, timeout: Duration) -> Sample {
    match tokio::time::timeout(timeout, ask(request, timeout)).await {
        Ok(Ok(values)) => Sample::success(values),
        Ok(Err(reason)) => Sample::unreached(reason),
        Err(_) => Sample::unreached(failure::timed_out(timeout)),
    }
}

async fn ask(request: &PostgresRequest, timeout: Duration) -> Result<IndexMap<String, Value>, String> {
    let (config, trust) = parse(&request.url)?;
    let place = place_of(&config);
    let why = |error: &tokio_postgres::Error| reason_of(error, &place);
    let (mut client, talking) = if config.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = config.connect(NoTls).await.map_err(|error| why(&error))?;
        (client, tokio::spawn(async move { drop(connection.await) }))
    } else {
        let tls = Tls::new(trust).await?;
        let (client, connection) = config.connect(tls).await.map_err(|error| why(&error))?;
        (client, tokio::spawn(async move { drop(connection.await) }))
    };
    let answer = query(&mut client, &request.query, timeout).await;
    // Dropping it would leave a server to find out by itself that nobody listens any more.
    drop(client);
    let answer = answer.map_err(|wrong| match wrong {
        Wrong::Postgres(error) => reason_of(&error, &place),
        Wrong::Answer(reason) => reason,
    });
    let _ = tokio::time::timeout(Duration::from_secs(1), talking).await;
    answer
}

enum Wrong {
    Postgres(tokio_postgres::Error),
    Answer(String),
}

impl From<tokio_postgres::Error> for Wrong {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

async fn query(
    client: &mut Client,
    query: &str,
    timeout: Duration,
) -> Result<IndexMap<String, Value>, Wrong> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    let limit = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1);
    transaction.batch_execute(&format!("SET LOCAL statement_timeout = {limit}")).await?;
    // Preparing refuses several statements, the second of which could end the transaction; and it tells the types.
    let prepared = transaction.prepare(query).await?;
    let types: Vec<Type> = prepared.columns().iter().map(|column| column.type_().clone()).collect();
    let mut answer = std::pin::pin!(transaction.client().simple_query_raw(query).await?);
    let mut rows: Vec<Value> = Vec::new();
    let mut first = None;
    let mut left = ANSWER_LEN_MAX;
    while let Some(message) = answer.next().await {
        let SimpleQueryMessage::Row(row) = message? else { continue };
        for column in 0..row.len() {
            let length = row.get(column).map_or(0, str::len) + 1;
            left = left.checked_sub(length).ok_or_else(|| {
                Wrong::Answer(format!("the answer is larger than {} MiB", ANSWER_LEN_MAX / (1024 * 1024)))
            })?;
        }
        if rows.is_empty() {
            first = types.first().map(|kind| value_of(row.get(0), kind));
        }
        rows.push(map_of(&row, &types));
    }
    let Some(row) = rows.first().cloned() else {
        return Err(Wrong::Answer("the answer is empty: the query gave no row".to_owned()));
    };
    let mut values = IndexMap::new();
    // NULL is no value: it must not pass for a small number.
    if let Some(value) = first.filter(|value| !value.is_null()) {
        values.insert("value".to_owned(), value);
    }
    values.insert("row".to_owned(), row);
    values.insert("rows".to_owned(), Value::Array(rows));
    Ok(values)
}

fn map_of(row: &SimpleQueryRow, types: &[Type]) -> Value {
    let text = Type::TEXT;
    let columns = row.columns().iter().enumerate().map(|(index, column)| {
        let kind = types.get(index).unwrap_or(&text);
        (column.name().to_owned(), value_of(row.get(index), kind))
    });
    Value::Object(columns.collect::<Map<_, _>>())
}

/// A column's text as what it is.
fn value_of(text: Option<&str>, kind: &Type) -> Value {
    let Some(text) = text else { return Value::Null };
    let parsed = match *kind {
        Type::BOOL => Some(Value::Bool(text == "t")),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => text.parse::<i64>().ok().map(Value::from),
        // `NaN` and `Infinity` stay texts, which no number is compared with by mistake.
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => number(text),
        Type::JSON | Type::JSONB => serde_json::from_str(text).ok(),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
}

/// The library knows no `verify-ca` and `verify-full`.
fn parse(url: &str) -> Result<(Config, Trust), String> {
    let mut trust = Trust::Anybody;
    let mut text = url.to_owned();
    for mode in ["verify-full", "verify-ca"] {
        let written = format!("sslmode={mode}");
        if text.contains(&written) {
            trust = Trust::System;
            text = text.replace(&written, "sslmode=require");
        }
    }
    // Its own message repeats parts of what it can't read.
    let mut config: Config = text.parse().map_err(|_| "the URL is not one of PostgreSQL".to_owned())?;
    if config.get_application_name().is_none() {
        config.application_name("runbook");
    }
    Ok((config, trust))
}

fn place_of(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => format!("{host}:{port}"),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "no host".to_owned(),
    }
}

/// One line that never holds the URL.
fn reason_of(error: &tokio_postgres::Error, place: &str) -> String {
    if let Some(said) = error.as_db_error() {
        let message = sanitize(said.message(), Style::Line);
        return format!("postgres: {message}");
    }
    if let Some(tls) = failure::in_chain::<rustls::Error>(error) {
        return failure::of_tls(tls);
    }
    if let Some(io) = failure::in_chain::<std::io::Error>(error) {
        return failure::of_io(io, place);
    }
    format!("{} ({place})", sanitize(&error.to_string(), Style::Line))
}

/// A server's certificate is judged as elsewhere; shared by all connections of one probe.
type SharedConfig = Arc<rustls::ClientConfig>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_what_their_types_say() {
        let table = [
            (Some("t"), Type::BOOL, json!(true)),
            (Some("-7"), Type::INT8, json!(-7)),
            (Some("0.50"), Type::NUMERIC, json!(0.5)),
            (Some("12"), Type::NUMERIC, json!(12)),
            (Some("NaN"), Type::FLOAT8, json!("NaN")),
            (Some("{\"a\": 1}"), Type::JSONB, json!({"a": 1})),
            (Some("012"), Type::TEXT, json!("012")),
            (None, Type::INT4, Value::Null),
        ];
        for (text, kind, expected) in table {
            assert_eq!(value_of(text, &kind), expected, "{text:?} {kind}");
        }
    }

    #[test]
    fn urls_say_whom_to_believe() {
        for (url, mode, verified) in [
            ("postgres://u:p@h:1/d", SslMode::Prefer, false),
            ("postgres://h/d?sslmode=disable", SslMode::Disable, false),
            ("postgres://h/d?sslmode=require", SslMode::Require, false),
            ("postgres://h/d?sslmode=verify-full", SslMode::Require, true),
            ("host=h sslmode=verify-ca", SslMode::Require, true),
        ] {
            let (config, trust) = parse(url).expect("a URL");
            assert_eq!((config.get_ssl_mode(), matches!(trust, Trust::System)), (mode, verified), "{url}");
        }
        assert_eq!(
            parse("postgres://u:secret@h:x/d").err().as_deref(),
            Some("the URL is not one of PostgreSQL")
        );
    }
}
