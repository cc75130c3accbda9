//! What is asked for.

/// The body of a request.
#[derive(Clone)]
pub enum HttpBody {
    /// `json:`; sets `content-type: application/json` unless a header does.
    Json(serde_json::Value),
    /// `body:`.
    Bytes(Vec<u8>),
}

/// One request. URL, headers and body may hold secrets in clear: it has no `Debug`, and no error repeats them.
#[derive(Clone)]
pub struct HttpRequest {
    /// `GET` unless given.
    pub method: String,
    /// `http://…` or `https://…`; user information in it becomes basic authentication.
    pub url: String,
    /// In the order given.
    pub headers: Vec<(String, String)>,
    /// Nothing unless given.
    pub body: Option<HttpBody>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// Whether redirects are followed (up to 10).
    pub follow: bool,
}

impl HttpRequest {
    /// A plain GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            insecure: false,
            follow: false,
        }
    }
}
