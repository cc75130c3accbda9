//! `prometheus`: the answer to an instant query.

use std::time::Duration;

use indexmap::IndexMap;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::http::{self, HttpRequest};
use super::{Sample, failure};
use crate::sanitize::{Style, sanitize};

/// A query for a server. The URL may hold a password: it has no `Debug`, and no error repeats it.
#[derive(Clone)]
pub struct PrometheusRequest {
    /// The server: what comes before `/api/v1/query`.
    pub url: String,
    /// In PromQL.
    pub query: String,
    /// The value that an empty answer stands for.
    pub empty: Option<f64>,
}

/// Whether several series may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Only one: its value is wanted.
    One,
    /// Any number: an expression looks at `series`.
    Any,
}

/// Asks for the query's value now: `value series`.
///
/// `series` lists `{metric, value}`, `metric` being the labels. `value` is there where exactly one number answers. No number (nothing,
/// `NaN`, an infinity) is no data.
pub async fn probe(request: &PrometheusRequest, series: Series, timeout: Duration) -> Sample {
    match ask(request, timeout).await.and_then(|answer| read(&answer, request.empty, series)) {
        Ok(values) => Sample::success(values),
        Err(reason) => Sample::unreached(reason),
    }
}

async fn ask(request: &PrometheusRequest, timeout: Duration) -> Result<Value, String> {
    let mut url = Url::parse(&request.url).map_err(|error| format!("the URL is not valid: {error}"))?;
    let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let begun = tokio::time::Instant::now();
    url.query_pairs_mut().append_pair("query", &request.query);
    let sample = http::probe(&HttpRequest::get(url), timeout).await;
    sample.reached?;
    tracing::debug!(elapsed = ?begun.elapsed(), "prometheus answered");
    let answer = sample.values.get("json").cloned().unwrap_or_default();
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        return Err(format!("prometheus: {}", sanitize(error, Style::Line)));
    }
    if !sample.own_success {
        return Err(sample.reason.unwrap_or_else(|| failure::timed_out(timeout)));
    }
    if answer.get("status").and_then(Value::as_str) != Some("success") {
        return Err("the answer is not one of Prometheus".to_owned());
    }
    Ok(answer)
}

/// One series: its labels, and its value where that is a number.
struct Row {
    metric: Value,
    value: Option<Value>,
    text: String,
}

fn read(answer: &Value, empty: Option<f64>, series: Series) -> Result<IndexMap<String, Value>, String> {
    let data = &answer["data"];
    let rows = match data["resultType"].as_str() {
        Some("vector") => data["result"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| row_of(row["metric"].clone(), &row["value"]))
            .collect::<Result<Vec<_>, _>>()?,
        Some("scalar") => vec![row_of(Value::Object(Map::new()), &data["result"])?],
        Some(other) => {
            return Err(format!(
                "the query gives a {}, not numbers of one moment",
                sanitize(other, Style::Line)
            ));
        }
        None => return Err("the answer is not one of Prometheus".to_owned()),
    };
    let listed: Vec<Value> =
        rows.iter().map(|row| json!({"metric": row.metric, "value": row.value})).collect();
    let mut values = IndexMap::new();
    match (rows.as_slice(), empty) {
        ([], None) => return Err("the answer is empty: no series matches the query".to_owned()),
        ([], Some(empty)) => {
            values.insert("value".to_owned(), number(empty).unwrap_or(Value::Null));
        }
        ([row], _) => match (&row.value, series) {
            (Some(value), _) => {
                values.insert("value".to_owned(), value.clone());
            }
            (None, Series::One) => return Err(format!("the value is {}, which is no number", row.text)),
            (None, Series::Any) => {}
        },
        (several, _) if series == Series::One => {
            return Err(format!(
                "the query gives {} series, not one value: add an aggregation such as sum(…), or use `series`",
                several.len()
            ));
        }
        (_, _) => {}
    }
    values.insert("series".to_owned(), Value::Array(listed));
    Ok(values)
}

fn row_of(metric: Value, sample: &Value) -> Result<Row, String> {
    let text = sample[1].as_str().ok_or("the answer is not one of Prometheus")?;
    let value = text.parse::<f64>().ok().and_then(number);
    Ok(Row { metric, value, text: sanitize(text, Style::Line) })
}

/// A number as JSON; whole ones without a point.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers that fit are cast")]
fn number(value: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Some(Value::from(value as i64));
    }
    serde_json::Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(values: &[&str]) -> Value {
        let result: Vec<Value> = values
            .iter()
            .enumerate()
            .map(|(index, value)| json!({"metric": {"i": index.to_string()}, "value": [1.0, value]}))
            .collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": result}})
    }

    #[test]
    fn answers_are_one_value_or_a_list() {
        let table = [
            (vector(&["0.25"]), None, Series::One, Ok(Some(json!(0.25)))),
            (vector(&["3"]), None, Series::One, Ok(Some(json!(3)))),
            (vector(&[]), Some(0.0), Series::One, Ok(Some(json!(0)))),
            (vector(&["1", "2"]), None, Series::Any, Ok(None)),
            (vector(&["1", "2"]), None, Series::One, Err("the query gives 2 series")),
            (vector(&[]), None, Series::One, Err("the answer is empty")),
            (vector(&[]), None, Series::Any, Err("the answer is empty")),
            (vector(&["NaN"]), Some(0.0), Series::One, Err("the value is NaN")),
            (vector(&["+Inf"]), None, Series::One, Err("the value is +Inf")),
            (
                json!({"data": {"resultType": "scalar", "result": [1.0, "7"]}}),
                None,
                Series::One,
                Ok(Some(json!(7))),
            ),
            (json!({"data": {"resultType": "matrix", "result": []}}), None, Series::One, Err("a matrix")),
            (json!({}), None, Series::One, Err("not one of Prometheus")),
        ];
        for (answer, empty, series, expected) in table {
            let found = read(&answer, empty, series);
            match expected {
                Ok(value) => {
                    assert_eq!(found.map(|values| values.get("value").cloned()), Ok(value), "{answer}");
                }
                Err(words) => assert!(found.as_ref().is_err_and(|why| why.contains(words)), "{found:?}"),
            }
        }
    }
}
