//! The listener and clients of every kind: old, slow, silent, half-spoken.

use http::{Method, StatusCode};

use super::harness::{Answer, Dialect, Rig, Wire, h2c_client};

const MODEL: &str = "gemini-2.0-flash";

fn chat_request(token: &str, version: &str) -> String {
    let body = format!(r#"{{"model":"{MODEL}","messages":[]}}"#);
    format!(
        "POST /v1/chat/completions {version}\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn many_calls_go_over_one_h1_connection() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut wire = Wire::connect(&rig.gateway().url).await;
    for number in 1..=10 {
        // answers of the upstream, of ourselves, refusals: after each the connection lives on
        wire.send(chat_request(&token, "HTTP/1.1")).await;
        let answer = wire.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "call {number}: {answer}");
        wire.send("POST /v1/unknown HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\n\r\n{}").await;
        assert!(wire.answer().await.starts_with("HTTP/1.1 404 "));
        wire.send(chat_request("no-token", "HTTP/1.1")).await;
        assert!(wire.answer().await.starts_with("HTTP/1.1 401 "));
        wire.send(format!(
            "GET /api/usage HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\r\n"
        ))
        .await;
        let answer = wire.answer().await;
        assert!(answer.contains(&format!("\"totalMessages\":{number},")), "call {number}: {answer}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn http_1_0_is_answered_and_the_connection_closed() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for request in ["GET / HTTP/1.0\r\n\r\n".to_owned(), chat_request(&token, "HTTP/1.0")] {
        let mut wire = Wire::connect(&rig.gateway().url).await;
        wire.send(&request).await;
        let answer = String::from_utf8(wire.rest().await).unwrap();
        let wanted = if request.starts_with("GET") { " 307 " } else { " 200 " };
        assert!(answer.lines().next().unwrap().contains(wanted), "{answer}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn silent_and_half_spoken_clients_do_not_keep_others_waiting() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut silent = Vec::new();
    let starts: [&[u8]; 5] = [b"", b"P", b"PRI", b"PRI * HTTP/2.0\r\n", b"POST /v1/chat/comp"];
    for start in starts.iter().cycle().take(50) {
        let mut wire = Wire::connect(&rig.gateway().url).await;
        wire.send(start).await;
        silent.push(wire);
    }
    for http in [rig.http.clone(), h2c_client()] {
        for dialect in Dialect::ALL {
            let answer = rig.call(dialect, MODEL).token(&token).through(&http).send().await;
            assert_eq!(answer.status, StatusCode::OK, "{dialect:?}");
        }
    }
    drop(silent);
    rig.finish().await;
}

#[tokio::test]
async fn a_request_in_single_bytes_is_answered() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut wire = Wire::connect(&rig.gateway().url).await;
    for byte in chat_request(&token, "HTTP/1.1").bytes() {
        wire.send([byte]).await;
    }
    let answer = wire.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // no HTTP/1 method of three letters is mistaken for HTTP/2
    let mut wire = Wire::connect(&rig.gateway().url).await;
    wire.send("PUT / HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n").await;
    let answer = wire.answer().await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    rig.finish().await;
}

#[tokio::test]
async fn a_broken_preface_ends_the_connection_and_nothing_else() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut wire = Wire::connect(&rig.gateway().url).await;
    wire.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nnonsense").await;
    wire.rest().await;
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    rig.finish().await;
}

#[tokio::test]
async fn operators_pages_are_not_on_the_clients_port() {
    let rig = Rig::start().await;
    for path in ["/metrics", "/health/live", "/health/ready"] {
        let get = |base: &str| rig.http.get(format!("{base}{path}")).send();
        assert_eq!(get(&rig.gateway().url).await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(get(&rig.gateway().admin_url).await.unwrap().status(), StatusCode::OK, "{path}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for (path, status) in [
        ("/v1/models", "200"),
        ("/v1/models/gemini-2.0-flash", "200"),
        ("/v1beta/models", "200"),
        ("/api/openapi.json", "200"),
        ("/dashboard", "200"),
        ("/api/usage", "200"),
        ("/v1/unknown", "404"),
        ("/v1beta/unknown", "404"),
        ("/v1//models", "404"),
        ("/v1/chat/completions", "405"),
        ("/nowhere", "404"),
    ] {
        let mut wire = Wire::connect(&rig.gateway().url).await;
        let ask = |method| {
            format!(
                "{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\nx-request-id: one\r\n\r\n"
            )
        };
        wire.send(ask("HEAD")).await;
        let head = wire.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
        // were there a body, it would be read as the next answer's head
        wire.send(ask("GET")).await;
        let get = wire.answer().await;
        let (get, _) = get.split_once("\r\n\r\n").unwrap();
        let plain = |text: &str| -> Vec<String> {
            let lines =
                text.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(plain(&head), plain(get), "{path}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn options_tells_the_methods_of_a_call() {
    let rig = Rig::start().await;
    for (path, allow) in [
        ("/v1/chat/completions", "POST, OPTIONS"),
        ("/v1/messages", "POST, OPTIONS"),
        ("/v1beta/models/gemini-2.0-flash:generateContent", "POST, OPTIONS"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
    ] {
        for http in [&rig.http, &h2c_client()] {
            let request = http.request(Method::OPTIONS, format!("{}{path}", rig.gateway().url));
            let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
            assert_eq!((answer.status, answer.header("allow")), (StatusCode::NO_CONTENT, allow), "{path}");
            assert!(answer.body.is_empty());
        }
    }
    let request = rig.http.request(Method::OPTIONS, format!("{}/v1/unknown", rig.gateway().url));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    rig.finish().await;
}
