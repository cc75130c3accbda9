//! A small static file server, `site-server ROOT PORT`: what the example deployment deploys to.
//!
//! ROOT is looked up anew for each request, so that moving the symbolic link it names switches every visitor from one request to
//! the next. `/healthz` answers without touching ROOT: the server can be up before there is anything to serve. Listens on
//! 127.0.0.1 only. One thread a connection and one request on each: enough to show a deployment, not to be one.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

/// The most bytes that a request's line and headers may take together.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;
/// How long a silent client may hold its thread.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, port] = arguments.as_slice() else {
        bail!("usage: site-server ROOT PORT");
    };
    let root: Arc<Path> = PathBuf::from(root).into();
    let port: u16 = port.parse().with_context(|| format!("{port}: not a port"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    writeln!(io::stderr(), "serving {} on http://{}", root.display(), listener.local_addr()?)?;
    for client in listener.incoming() {
        let root = Arc::clone(&root);
        thread::spawn(move || {
            // A client that goes away in mid-answer is its own affair.
            let _ = client.and_then(|client| serve(client, &root));
        });
    }
    Ok(())
}

/// Reads one request and answers it.
fn serve(mut client: TcpStream, root: &Path) -> io::Result<()> {
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut reader = BufReader::new(client.try_clone()?.take(REQUEST_BYTES_MAX));
    let mut request_line = String::new();
    reader.read_line(&mut request_line)?;
    let mut header = String::new();
    // To the end of the headers: closing with unread input would reset the connection under the answer.
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let (status, content_type, body) = answer(&request_line, root);
    write!(
        client,
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    if !request_line.starts_with("HEAD ") {
        client.write_all(&body)?;
    }
    client.flush()
}

/// What to say to a request: status, content type and body.
fn answer(request_line: &str, root: &Path) -> (&'static str, &'static str, Vec<u8>) {
    let plain = |status: &'static str| (status, "text/plain", format!("{status}\n").into_bytes());
    let mut words = request_line.split_ascii_whitespace();
    let (Some("GET" | "HEAD"), Some(target)) = (words.next(), words.next()) else {
        return plain("405 Method Not Allowed");
    };
    if target == "/healthz" {
        return plain("200 OK");
    }
    let Some(path) = file_path(target) else {
        return plain("400 Bad Request");
    };
    match read_below(root, &path) {
        Ok(body) => ("200 OK", content_type(&path), body),
        Err(_) => plain("404 Not Found"),
    }
}

/// The file that a request's target names, relative to the root; `None` where it would lead out of it.
fn file_path(target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = if path.is_empty() || path.ends_with('/') {
        Path::new(path).join("index.html")
    } else {
        PathBuf::from(path)
    };
    path.components().all(|component| matches!(component, Component::Normal(_))).then_some(path)
}

/// Reads a file that lies below the root also when symbolic links on its way are followed.
fn read_below(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let root = fs::canonicalize(root)?;
    let file = fs::canonicalize(root.join(path))?;
    if !file.starts_with(&root) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut body = Vec::new();
    File::open(file)?.read_to_end(&mut body)?;
    Ok(body)
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request_line: &str, root: &Path) -> &'static str {
        answer(request_line, root).0
    }

    #[test]
    fn answers_files_health_and_nonsense() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("current");
        assert_eq!(
            status("GET /healthz HTTP/1.1", &root),
            "200 OK",
            "healthy before there is anything to serve"
        );
        assert_eq!(status("GET / HTTP/1.1", &root), "404 Not Found");
        fs::create_dir_all(root.join("about")).unwrap();
        fs::write(root.join("index.html"), "home").unwrap();
        fs::write(root.join("about/index.html"), "about").unwrap();
        fs::write(folder.path().join("private"), "private").unwrap();
        std::os::unix::fs::symlink(folder.path().join("private"), root.join("link")).unwrap();
        for (request_line, expected) in [
            ("GET / HTTP/1.1", "200 OK"),
            ("HEAD /index.html?x=1 HTTP/1.1", "200 OK"),
            ("GET /about/ HTTP/1.1", "200 OK"),
            ("GET /missing HTTP/1.1", "404 Not Found"),
            ("GET /link HTTP/1.1", "404 Not Found"),
            ("GET /../private HTTP/1.1", "400 Bad Request"),
            ("GET //etc/passwd HTTP/1.1", "400 Bad Request"),
            ("GET http://elsewhere/ HTTP/1.1", "400 Bad Request"),
            ("POST / HTTP/1.1", "405 Method Not Allowed"),
            ("", "405 Method Not Allowed"),
        ] {
            assert_eq!(status(request_line, &root), expected, "{request_line}");
        }
        assert_eq!(answer("GET /about/ HTTP/1.1", &root).2, b"about");
    }

    #[test]
    fn speaks_http() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.html"), "<p>home</p>").unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        serve(listener.accept().unwrap().0, folder.path()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 11\r\n"
            ),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n<p>home</p>"), "{answer}");
    }
}
