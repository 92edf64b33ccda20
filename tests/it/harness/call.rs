//! One call as a client would send it, in any dialect. Owns the shapes of requests and where the answer's parts stand.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Body, Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// Whose API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
}

impl Dialect {
    /// All three.
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Gemini];
}

/// A call that is being put together.
#[derive(Clone)]
pub struct Call {
    http: Client,
    base: String,
    dialect: Dialect,
    model: String,
    /// The `x-request-id` that is sent, and stands in the ledger.
    pub id: String,
    token: Option<String>,
    stream: bool,
    text: String,
    headers: HeaderMap,
}

impl Call {
    pub(super) fn new(http: Client, base: &str, dialect: Dialect, model: &str, id: String) -> Self {
        Self {
            http,
            base: base.to_owned(),
            dialect,
            model: model.to_owned(),
            id,
            token: None,
            stream: false,
            text: "hello".to_owned(),
            headers: HeaderMap::new(),
        }
    }

    /// With this credential, where the dialect's SDK puts it.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// As a stream.
    pub fn stream(mut self) -> Self {
        self.stream = true;
        self
    }

    /// With this prompt.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        let value = HeaderValue::from_str(&value.to_string()).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// Through another client.
    pub fn through(mut self, http: &Client) -> Self {
        self.http = http.clone();
        self
    }

    /// The body that would be sent.
    pub fn body(&self) -> Vec<u8> {
        let Self { model, text, stream, .. } = self;
        let messages = json!([{ "role": "user", "content": text }]);
        let body = match self.dialect {
            Dialect::OpenAi => json!({ "model": model, "messages": messages, "stream": stream }),
            Dialect::Anthropic => {
                json!({ "model": model, "messages": messages, "stream": stream, "max_tokens": 100 })
            }
            Dialect::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] }),
        };
        body.to_string().into_bytes()
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Answer {
        let body = self.body();
        self.send_bytes(body).await
    }

    /// Sends other bytes in the body's place.
    pub async fn send_bytes(self, body: impl Into<Body>) -> Answer {
        let response = self.request().body(body).send().await;
        Answer::read(response.expect("no answer came")).await.expect("the answer broke off")
    }

    /// Sends it and gives the answer as it comes.
    pub async fn open(self) -> Response {
        self.try_open().await.expect("no answer came")
    }

    /// The same, where the connection may break first.
    pub async fn try_open(self) -> reqwest::Result<Response> {
        let body = self.body();
        self.request().body(body).send().await
    }

    /// The same, whole.
    pub async fn try_send(self) -> reqwest::Result<Answer> {
        Answer::read(self.try_open().await?).await
    }

    /// The request without its body.
    pub fn request(&self) -> RequestBuilder {
        let Self { base, model, .. } = self;
        let (path, credential) = match self.dialect {
            Dialect::OpenAi => ("/v1/chat/completions".to_owned(), "authorization"),
            Dialect::Anthropic => ("/v1/messages".to_owned(), "x-api-key"),
            Dialect::Gemini if self.stream => {
                (format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), "x-goog-api-key")
            }
            Dialect::Gemini => (format!("/v1beta/models/{model}:generateContent"), "x-goog-api-key"),
        };
        let mut request = self.http.post(format!("{base}{path}")).headers(self.headers.clone());
        if let Some(token) = &self.token {
            let value = if credential == "authorization" { format!("Bearer {token}") } else { token.clone() };
            request = request.header(credential, value);
        }
        if self.dialect == Dialect::Anthropic {
            request = request.header("anthropic-version", "2023-06-01");
        }
        request.header("content-type", "application/json").header("x-request-id", &self.id)
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Reads it to its end.
    pub async fn read(response: Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await? })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header's text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The sentence of an error, in any dialect.
    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_else(|| panic!("{}", self.text())).to_owned()
    }
}
