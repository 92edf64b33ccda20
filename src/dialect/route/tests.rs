//! Which path is which call, and in whose dialect an unknown one is answered.

use http::{HeaderMap, HeaderValue, Method};

use super::{Kind, Route, RouteError, query_key, route, upstream_path};
use crate::dialect::{Body, Dialect, Endpoint};

fn post(path: &str) -> Result<Option<Route>, RouteError> {
    route(&Method::POST, path, &HeaderMap::new())
}

fn get(path: &str) -> Result<Option<Route>, RouteError> {
    route(&Method::GET, path, &HeaderMap::new())
}

fn with(name: &'static str) -> HeaderMap {
    [(name.parse().unwrap(), HeaderValue::from_static("x"))].into_iter().collect()
}

#[test]
fn every_row_of_the_contract_is_found_and_rebuilt() {
    use Dialect::{Anthropic, Gemini, OpenAi};
    use Endpoint as E;
    assert!(
        E::all().enumerate().all(|(place, endpoint)| place == endpoint as usize),
        "one row each, in order"
    );
    let rows = [
        ("/v1/chat/completions", OpenAi, E::ChatCompletions, "/p/chat/completions"),
        ("/v1/completions", OpenAi, E::Completions, "/p/completions"),
        ("/v1/responses", OpenAi, E::Responses, "/p/responses"),
        ("/v1/embeddings", OpenAi, E::Embeddings, "/p/embeddings"),
        ("/v1/audio/transcriptions", OpenAi, E::AudioTranscriptions, "/p/audio/transcriptions"),
        ("/v1/audio/translations", OpenAi, E::AudioTranslations, "/p/audio/translations"),
        ("/v1/audio/speech", OpenAi, E::AudioSpeech, "/p/audio/speech"),
        ("/v1/images/generations", OpenAi, E::ImagesGenerations, "/p/images/generations"),
        ("/v1/messages?beta=true", Anthropic, E::Messages, "/p/messages?beta=true"),
        ("/v1/messages/count_tokens", Anthropic, E::MessagesCountTokens, "/p/messages/count_tokens"),
        ("/v1beta/models/m:generateContent", Gemini, E::GenerateContent, "/p/models/M:generateContent"),
        (
            "/v1/models/m:streamGenerateContent?alt=sse&key=SECRET",
            Gemini,
            E::StreamGenerateContent,
            "/p/models/M:streamGenerateContent?alt=sse",
        ),
        ("/v1beta/models/m:embedContent", Gemini, E::EmbedContent, "/p/models/M:embedContent"),
        ("/v1/models/m:batchEmbedContents", Gemini, E::BatchEmbedContents, "/p/models/M:batchEmbedContents"),
        ("/v1beta/models/m:countTokens", Gemini, E::GeminiCountTokens, "/p/models/M:countTokens"),
    ];
    for (path, dialect, endpoint, upstream) in rows {
        let found = post(path).unwrap().unwrap();
        assert_eq!((found.dialect, found.endpoint), (dialect, endpoint), "{path}");
        assert_eq!(found.stream_by_path, endpoint == E::StreamGenerateContent);
        assert_eq!(found.model_in_path.as_deref(), (dialect == Gemini).then_some("m"), "{path}");
        assert_eq!(upstream_path(&found, "/p", "M"), upstream);
        assert_eq!(upstream_path(&found, "/p/", "M"), upstream);
        let method = get(path.split('?').next().unwrap());
        if dialect == Gemini {
            // a GET names a model, whatever its name: the list decides
            assert_eq!(method.unwrap().unwrap().endpoint, E::ModelOne);
        } else {
            assert_eq!(
                method,
                Err(RouteError { dialect, kind: Kind::MethodNotAllowed { allow: "POST" }, why: "" })
            );
        }
    }
    let free = [E::MessagesCountTokens, E::GeminiCountTokens, E::ModelList, E::ModelOne];
    for endpoint in E::all() {
        assert_eq!(endpoint.metered(), !free.contains(&endpoint), "{}", endpoint.as_str());
        assert_eq!(endpoint.body() == Body::None, endpoint.answered_here());
    }
    let labels: std::collections::HashSet<_> = E::all().map(E::as_str).collect();
    assert_eq!(labels.len(), E::all().count());
}

#[test]
fn model_lists_take_the_callers_form() {
    let cases = [
        ("/v1/models", HeaderMap::new(), Dialect::OpenAi, None),
        ("/v1/models?limit=1000", with("anthropic-version"), Dialect::Anthropic, None),
        ("/v1/models/claude-x", with("anthropic-version"), Dialect::Anthropic, Some("claude-x")),
        ("/v1/models", with("x-goog-api-key"), Dialect::Gemini, None),
        ("/v1beta/models?pageSize=5", HeaderMap::new(), Dialect::Gemini, None),
        ("/v1beta/models/gemini-x", HeaderMap::new(), Dialect::Gemini, Some("gemini-x")),
        ("/v1/models/meta-llama/Llama-3", HeaderMap::new(), Dialect::OpenAi, Some("meta-llama/Llama-3")),
        ("/v1/models/ft:gpt-4o:org::id", HeaderMap::new(), Dialect::OpenAi, Some("ft:gpt-4o:org::id")),
    ];
    for (path, headers, dialect, model) in cases {
        for method in [Method::GET, Method::HEAD] {
            let found = route(&method, path, &headers).unwrap().unwrap();
            assert_eq!((found.dialect, found.model_in_path.as_deref()), (dialect, model), "{path}");
            assert!(found.endpoint.answered_here());
        }
        let refused = route(&Method::DELETE, path, &headers).unwrap_err();
        if !path.contains("meta-llama") && !path.contains("ft:") {
            assert_eq!(
                refused,
                RouteError { dialect, kind: Kind::MethodNotAllowed { allow: "GET, HEAD" }, why: "" },
                "{path}"
            );
        }
    }
}

#[test]
fn what_is_not_listed_is_not_found_in_the_callers_dialect() {
    let plain = HeaderMap::new();
    let anthropic = with("anthropic-version");
    let cases = [
        ("/v1", &plain, Dialect::OpenAi),
        ("/v1/", &plain, Dialect::OpenAi),
        ("/v1/batches", &plain, Dialect::OpenAi),
        ("/v1/chat/completions/x", &plain, Dialect::OpenAi),
        ("/v1/Chat/Completions", &plain, Dialect::OpenAi),
        ("/v1/realtime?model=gpt-4o", &anthropic, Dialect::Anthropic),
        ("/v1/messages/batches", &anthropic, Dialect::Anthropic),
        ("/v1beta/openai/chat/completions", &plain, Dialect::Gemini),
        ("/v1beta/chat/completions", &plain, Dialect::Gemini),
        ("/v1beta/cachedContents", &plain, Dialect::Gemini),
        ("/v1beta/tunedModels/x:generateContent", &plain, Dialect::Gemini),
        ("/v1beta/models/m:predict", &plain, Dialect::Gemini),
        ("/v1beta/models/:generateContent", &plain, Dialect::Gemini),
        ("/v1/models/m:GenerateContent", &plain, Dialect::Gemini),
    ];
    for (path, headers, dialect) in cases {
        let refused = route(&Method::POST, path, headers).unwrap_err();
        let ok = matches!(refused.kind, Kind::UnknownPath | Kind::InvalidRequest);
        assert!(ok && refused.dialect == dialect, "{path}: {refused:?}");
        if !path.ends_with('/') {
            assert_eq!(refused, RouteError { dialect, kind: Kind::UnknownPath, why: "" }, "{path}");
        }
    }
}

#[test]
fn other_paths_are_not_ours() {
    for path in ["/", "", "/api/usage", "/v2/chat", "/V1/messages", "/v1x/messages", "/dashboard?x=%zz"] {
        assert_eq!(post(path), Ok(None), "{path}");
    }
}

#[test]
fn ambiguous_paths_are_refused() {
    let paths = [
        "/v1beta/models/gemini-pro%2Fx:generateContent",
        "/v1beta/models/gemini-pro%2fx:generateContent",
        "/v1beta/models/gemini-pro%3AgenerateContent",
        "/v1beta/models/a%3agenerateContent:countTokens",
        "/v1beta/models/%2e%2e:generateContent",
        "/v1beta/models/../models/m:generateContent",
        "/v1beta/models/./m:generateContent",
        "/v1beta/models/m%252Fx:generateContent",
        "/v1beta/models/m%255Cx:generateContent",
        "/v1beta/models/m%5Cx:generateContent",
        "/v1beta/models/m\\x:generateContent",
        "/v1beta/models/m;x=1:generateContent",
        "/v1beta/models/m%3Bx:generateContent",
        "/v1beta/models/m:generateContent.",
        "/v1beta/models/m%00:generateContent",
        "/v1beta/models/m%0a:generateContent",
        "/v1beta/models/m%20:generateContent",
        "/v1beta/models/m%C3%A9:generateContent",
        "/v1beta/models/m%FF:generateContent",
        "/v1beta/models/m%zz:generateContent",
        "/v1beta/models/m%2:generateContent",
        "/v1beta/models/m%3F:generateContent",
        "/v1/chat/..;/messages",
        "/v1/chat%2Fcompletions",
        "/v1%2Fmessages",
        "/v1/./messages",
    ];
    for path in paths {
        let refused = post(path);
        assert!(matches!(refused, Err(RouteError { kind: Kind::InvalidRequest, .. })), "{path}: {refused:?}");
        assert_eq!(refused.unwrap_err().problem().status, 400);
    }
}

#[test]
fn a_path_with_an_empty_segment_is_no_call() {
    for (path, dialect) in [
        ("/v1beta//models/m:generateContent", Dialect::Gemini),
        ("/v1beta/models//m:generateContent", Dialect::Gemini),
        ("/v1beta/models/m:generateContent/", Dialect::Gemini),
        ("//v1beta/models/m:generateContent", Dialect::Gemini),
        ("//v1/chat/completions", Dialect::OpenAi),
        ("/v1//chat/completions", Dialect::OpenAi),
        ("/v1/chat/completions/", Dialect::OpenAi),
        ("/v1/", Dialect::OpenAi),
        ("/v1//", Dialect::OpenAi),
    ] {
        assert_eq!(post(path), Err(RouteError { dialect, kind: Kind::UnknownPath, why: "" }), "{path}");
    }
}

#[test]
fn percent_encoding_is_undone_once() {
    let found = post("/v1beta/models/gem%69ni-x:generateContent").unwrap().unwrap();
    assert_eq!(found.model_in_path.as_deref(), Some("gemini-x"));
    let found = post("/%76%31/m%65ssages").unwrap().unwrap();
    assert_eq!(found.endpoint, Endpoint::Messages);
    assert_eq!(upstream_path(&found, "/v1", "m"), "/v1/messages");
}

#[test]
fn a_resolved_model_cannot_escape_its_segment() {
    let found = post("/v1/models/m:generateContent").unwrap().unwrap();
    assert_eq!(
        upstream_path(&found, "/v1beta", "../x/y?z#a b%c"),
        "/v1beta/models/..%2Fx%2Fy%3Fz%23a%20b%25c:generateContent"
    );
}

#[test]
fn the_query_is_cleaned() {
    let query = |path: &str| post(path).unwrap().unwrap().query;
    assert_eq!(query("/v1/messages"), None);
    assert_eq!(query("/v1/messages?"), None);
    assert_eq!(query("/v1/messages?beta=true&&x=%2F"), Some("beta=true&x=%2F".into()));
    assert_eq!(query("/v1/messages?key=S&beta=true&access_token=S"), Some("beta=true".into()));
    assert_eq!(query("/v1beta/models/m:generateContent?k%65y=S&KEY=S&alt=json"), Some("alt=json".into()));
    let found = post("/v1/models/m:generateContent?model=models/m&a=1").unwrap().unwrap();
    assert_eq!((found.model_in_query.as_deref(), found.query.as_deref()), (Some("models/m"), Some("a=1")));
    for path in [
        "/v1/models/m:generateContent?model=other",
        "/v1/models/m:generateContent?mod%65l=other",
        "/v1/models/m:generateContent?model",
        "/v1/messages?model=a&model=a",
        "/v1/messages?a=1;model=b",
        "/v1/messages?a=%zz&%zz=1",
        "/v1/models/m:generateContent?alt=media",
        "/v1/models/m:generateContent?$alt=proto",
        "/v1/models/m:generateContent?fields=candidates",
        "/v1/models/m:generateContent?$fields=candidates",
        "/v1/models/m:generateContent?$req=x",
        "/v1/models/m:streamGenerateContent?alt=sse&callback=f",
    ] {
        assert!(matches!(post(path), Err(RouteError { kind: Kind::InvalidRequest, .. })), "{path}");
    }
}

#[test]
fn the_gemini_key_is_read_from_the_query() {
    assert_eq!(query_key("alt=sse&key=AIza%2Bx"), Some("AIza+x".into()));
    assert_eq!(query_key("k%65y=a"), Some("a".into()));
    assert_eq!(query_key("monkey=a&alt=sse"), None);
    assert_eq!(query_key("key"), None);
    assert_eq!(query_key("key=%FF"), None);
}
