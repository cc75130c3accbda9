//! `redis`: one command, its answer as a value.
//!
//! The protocol (RESP 2) is four kinds of lines; a client library would bring a connection pool and a cluster with it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::trust::{self, Trust};
use super::{Sample, failure};
use crate::sanitize::{Style, sanitize};

const PORT: u16 = 6379;
/// The whole of an answer.
const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;
/// Lists within lists.
const DEPTH_MAX: usize = 16;

/// A command for a server. The URL may hold a password: it has no `Debug`, and no error repeats it.
#[derive(Clone)]
pub struct RedisRequest {
    /// `redis://[user[:password]@]host[:port][/database]`, or `rediss://…` over TLS.
    pub url: String,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// Sends the command: `value`, which is a string, a number, a list of such, or null for what isn't there.
///
/// An error that the server answers with is no data; its text is the reason.
pub async fn probe(request: &RedisRequest, timeout: Duration) -> Sample {
    let seen = tokio::time::timeout(timeout, ask(request)).await;
    let seen = seen.unwrap_or_else(|_| Err(failure::timed_out(timeout)));
    match seen {
        // An answer without anything in it is no data (language.md §5).
        Ok(Value::Null) => Sample::unreached("the answer is empty: there is no such value".to_owned()),
        Ok(value) => Sample::success(IndexMap::from([("value".to_owned(), value)])),
        Err(reason) => Sample::unreached(reason),
    }
}

async fn ask(request: &RedisRequest) -> Result<Value, String> {
    let server = Server::parse(&request.url)?;
    if request.command.is_empty() {
        return Err("the command is empty".to_owned());
    }
    let place = server.place();
    let resolved = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
    let found: Vec<_> = resolved.map_err(|_| format!("name not resolved ({})", server.host))?.collect();
    let stream = TcpStream::connect(&found[..]).await.map_err(|error| failure::of_io(&error, &place))?;
    if server.tls {
        let setting_up = tokio::task::spawn_blocking(|| trust::client(&Trust::System));
        let config = setting_up
            .await
            .map_err(|_| "tls: the certificate authorities could not be read".to_owned())??;
        let name = ServerName::try_from(server.host.clone())
            .map_err(|_| format!("`{}` is no host name", server.host))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        converse(stream.map_err(|error| failure::of_io(&error, &place))?, &server, &request.command).await
    } else {
        converse(stream, &server, &request.command).await
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    server: &Server,
    command: &[String],
) -> Result<Value, String> {
    let mut stream = BufReader::new(stream);
    for preparation in server.preparations() {
        call(&mut stream, &preparation, &server.place()).await?;
    }
    call(&mut stream, command, &server.place()).await
}

async fn call(
    stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    command: &[String],
    place: &str,
) -> Result<Value, String> {
    let asked = stream.get_mut().write_all(&encode(command)).await;
    asked.map_err(|error| failure::of_io(&error, place))?;
    let flushed = stream.get_mut().flush().await;
    flushed.map_err(|error| failure::of_io(&error, place))?;
    let mut left = ANSWER_LEN_MAX;
    read_value(stream, &mut left, 0).await.map_err(|wrong| match wrong {
        Wrong::Io(error) => failure::of_io(&error, place),
        Wrong::Protocol => format!("no valid answer ({place})"),
        Wrong::TooLong => format!("the answer is larger than {} MiB", ANSWER_LEN_MAX / (1024 * 1024)),
        Wrong::Answer(text) => format!("redis: {}", sanitize(&text, Style::Line)),
    })
}

/// Where to go, as the URL says.
struct Server {
    tls: bool,
    host: String,
    port: u16,
    user: String,
    password: Option<String>,
    database: String,
}

impl Server {
    fn parse(url: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("the URL is not valid: {error}"))?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err("the URL must begin with redis:// or rediss://".to_owned()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the URL has no host")?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let database = url.path().trim_matches('/');
        if !database.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("the path of the URL must be the number of a database".to_owned());
        }
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(PORT),
            user: decoded(url.username()),
            password: url.password().map(decoded),
            database: database.to_owned(),
        })
    }

    fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What is said before the command.
    fn preparations(&self) -> Vec<Vec<String>> {
        let mut preparations = Vec::new();
        if let Some(password) = &self.password {
            let user = (!self.user.is_empty()).then(|| self.user.clone());
            preparations
                .push(["AUTH".to_owned()].into_iter().chain(user).chain([password.clone()]).collect());
        }
        if !self.database.is_empty() {
            preparations.push(vec!["SELECT".to_owned(), self.database.clone()]);
        }
        preparations
    }
}

/// A list of strings, each with its length: no argument can become another one.
fn encode(command: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

enum Wrong {
    Io(io::Error),
    /// That is no Redis.
    Protocol,
    TooLong,
    /// `-ERR …`
    Answer(String),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// `left` is how many bytes the answer may still have.
async fn read_value(
    stream: &mut (impl AsyncBufRead + Unpin),
    left: &mut usize,
    depth: usize,
) -> Result<Value, Wrong> {
    let line = read_line(stream, left).await?;
    let rest = line.get(1..).unwrap_or_default();
    let count = || rest.parse::<i64>().map_err(|_| Wrong::Protocol);
    match line.as_bytes().first() {
        Some(b'+') => Ok(Value::from(rest)),
        Some(b'-') => Err(Wrong::Answer(rest.to_owned())),
        Some(b':') => Ok(Value::from(count()?)),
        Some(b'$') => match usize::try_from(count()?) {
            // A negative length is the answer for what isn't there.
            Err(_) => Ok(Value::Null),
            Ok(length) => read_string(stream, length, left).await,
        },
        Some(b'*') => {
            let Ok(length) = usize::try_from(count()?) else { return Ok(Value::Null) };
            if depth == DEPTH_MAX || length > *left {
                return Err(Wrong::TooLong);
            }
            let mut items = Vec::new();
            for _ in 0..length {
                items.push(Box::pin(read_value(stream, left, depth + 1)).await?);
            }
            Ok(Value::Array(items))
        }
        _ => Err(Wrong::Protocol),
    }
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), left: &mut usize) -> Result<String, Wrong> {
    let mut line = Vec::new();
    let limit = u64::try_from(*left).unwrap_or(u64::MAX);
    (&mut *stream).take(limit).read_until(b'\n', &mut line).await?;
    *left -= line.len();
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None if *left == 0 => Err(Wrong::TooLong),
        None if line.is_empty() => Err(Wrong::Io(io::ErrorKind::UnexpectedEof.into())),
        None => Err(Wrong::Protocol),
    }
}

async fn read_string(
    stream: &mut (impl AsyncBufRead + Unpin),
    length: usize,
    left: &mut usize,
) -> Result<Value, Wrong> {
    *left = length.checked_add(2).and_then(|length| left.checked_sub(length)).ok_or(Wrong::TooLong)?;
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes).await?;
    let text = bytes.strip_suffix(b"\r\n").ok_or(Wrong::Protocol)?;
    Ok(Value::String(String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Answers each command that it reads with the next answer; gives what it was asked.
    async fn server(answers: &'static [&'static str]) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut stream = BufReader::new(stream);
            let mut asked = Vec::new();
            for answer in answers {
                let mut left = ANSWER_LEN_MAX;
                let Ok(command) = read_value(&mut stream, &mut left, 0).await else { break };
                asked.push(command.to_string());
                stream.get_mut().write_all(answer.as_bytes()).await.expect("written");
            }
            asked
        });
        (port, serving)
    }

    fn request(url: String) -> RedisRequest {
        RedisRequest { url, command: ["GET", "a key\r\nwith lines"].map(str::to_owned).to_vec() }
    }

    #[tokio::test]
    async fn every_kind_of_answer_is_a_value() {
        let table: [(&'static [&'static str], Value); 6] = [
            (&["$5\r\nhel\r\n\r\n"], json!("hel\r\n")),
            (&["$0\r\n\r\n"], json!("")),
            (&["+PONG\r\n"], json!("PONG")),
            (&[":-42\r\n"], json!(-42)),
            (&["*3\r\n:1\r\n$1\r\na\r\n*-1\r\n"], json!([1, "a", null])),
            (&["*0\r\n"], json!([])),
        ];
        for (answers, expected) in table {
            let (port, serving) = server(answers).await;
            let sample = probe(&request(format!("redis://127.0.0.1:{port}")), TIMEOUT).await;
            assert_eq!(sample.values.get("value"), Some(&expected), "{sample:?}");
            assert!(sample.own_success);
            assert_eq!(serving.await.expect("no panic"), [r#"["GET","a key\r\nwith lines"]"#]);
        }
    }

    #[tokio::test]
    async fn the_url_says_who_asks_and_which_database() {
        let (port, serving) = server(&["+OK\r\n", "+OK\r\n", ":1\r\n"]).await;
        let sample = probe(&request(format!("redis://ops:p%40ss@127.0.0.1:{port}/2")), TIMEOUT).await;
        assert!(sample.own_success, "{sample:?}");
        let asked = serving.await.expect("no panic");
        assert_eq!(asked[..2], [r#"["AUTH","ops","p@ss"]"#, r#"["SELECT","2"]"#]);
        let (port, serving) = server(&["+OK\r\n", ":1\r\n"]).await;
        assert!(probe(&request(format!("redis://:pass@127.0.0.1:{port}")), TIMEOUT).await.own_success);
        assert_eq!(serving.await.expect("no panic")[0], r#"["AUTH","pass"]"#);
    }

    #[tokio::test]
    async fn what_is_no_data_has_a_calm_reason_without_secrets() {
        let table: [(&'static [&'static str], &str); 8] = [
            (&["-ERR wrong\x1b[31m\r\n"], "redis: ERR wrong␛[31m"),
            (&["HTTP/1.1 400 Bad Request\r\n"], "no valid answer (PLACE)"),
            (&["$nine\r\n"], "no valid answer (PLACE)"),
            (&["$3\r\nabcde"], "no valid answer (PLACE)"),
            (&["$99999999\r\n"], "the answer is larger than 16 MiB"),
            (&["*99999999\r\n"], "the answer is larger than 16 MiB"),
            (
                &[
                    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
                ],
                "the answer is larger than 16 MiB",
            ),
            (&[], "connection closed (PLACE)"),
        ];
        for (answers, reason) in table {
            let (port, _serving) = server(answers).await;
            let sample = probe(&request(format!("redis://127.0.0.1:{port}")), TIMEOUT).await;
            let seen = sample.reached.expect_err("no data");
            // A server that hangs up with our command unread resets the connection.
            let seen = seen.replace("connection reset", "connection closed");
            assert_eq!(seen, reason.replace("PLACE", &format!("127.0.0.1:{port}")));
        }
        let table = [
            ("http://:s3cret@h/", "the URL must begin with redis:// or rediss://"),
            ("redis://:s3cret@h/x", "the path of the URL must be the number of a database"),
            ("redis:///1", "the URL has no host"),
            ("redis://:s3cret@no-such-host.invalid/", "name not resolved (no-such-host.invalid)"),
        ];
        for (url, reason) in table {
            let sample = probe(&request(url.to_owned()), TIMEOUT).await;
            assert_eq!(sample.reached, Err(reason.to_owned()));
        }
    }
}
