//! Names of models and what their answers cost: aliases, models that stand in, prices, authorities of one's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use toml_edit::{DocumentMut, value};

use super::failover::{before_the_stub, only, upstream};
use super::harness::{Answer, Dialect, Folder, Port, Rig, Served, Setup, eventually};

const MODEL: &str = "gemini-2.0-flash";

/// More configuration, as text.
fn with(text: &'static str) -> Setup {
    Setup::default().change(move |file| add(file, text))
}

fn add(file: &mut DocumentMut, text: &str) {
    for (key, item) in text.parse::<DocumentMut>().unwrap().iter() {
        file[key] = item.clone();
    }
}

/// Every model's name that the answer gives where its API has one.
fn models(dialect: Dialect, answer: &Answer) -> Vec<String> {
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let mut values: Vec<Value> = events.map(|data| serde_json::from_str(data).unwrap()).collect();
    if values.is_empty() {
        values.push(answer.json());
    }
    let name = |value: &Value| {
        let own = match dialect {
            Dialect::Anthropic if value["message"].is_object() => &value["message"]["model"],
            Dialect::OpenAi | Dialect::Anthropic => &value["model"],
            Dialect::Gemini => &value["modelVersion"],
        };
        own.as_str().map(str::to_owned)
    };
    values.iter().filter_map(name).collect()
}

#[tokio::test]
async fn an_alias_counts_as_its_model_and_answers_under_its_own_name() {
    // the anonymous plan has this one model, so the plan must see the model that is meant
    let rig = Rig::with(with("rewrite = { fast = \"gemini-2.0-flash\" }")).await;
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let call = rig.call(dialect, "Fast");
            let call = if stream { call.stream() } else { call };
            let answer = call.send().await;
            assert_eq!(answer.status, StatusCode::OK, "{dialect:?}: {}", answer.text());
            let models = models(dialect, &answer);
            assert!(
                !models.is_empty() && models.iter().all(|model| model == "Fast"),
                "{dialect:?} {models:?}"
            );
            assert!(answer.headers.get("x-tollgate-model-fallback").is_none());
        }
    }
    let list = rig.http.get(format!("{}/v1/models", rig.gateway().url)).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let ids: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["fast", MODEL]);
    assert_eq!(rig.stub.stats().await["by_model"][MODEL], 6, "{}", rig.stub.stats().await);
    let books = rig.finish().await;
    assert_eq!(books.rows.len(), 6);
    for row in &books.rows {
        assert_eq!((row.model_requested.as_str(), row.model_dispatched.as_str()), ("Fast", MODEL));
    }
}

#[tokio::test]
async fn an_alias_of_a_premium_model_spends_the_premium_limit() {
    let rig = Rig::with(with("rewrite = { best = \"claude-3-opus\" }")).await;
    let token = rig.token("alice");
    assert_eq!(rig.chat(&token, "best").send().await.status, StatusCode::OK);
    assert_eq!(rig.usage(&token).await["premiumMessages"], 1);
    assert_eq!(rig.call(Dialect::OpenAi, "best").send().await.status, StatusCode::FORBIDDEN);
    rig.finish().await;
}

/// `gpt-4o` leads to an upstream that is not there, all else to the stub.
fn with_fallback(text: &'static str) -> (Port, Setup) {
    let dead = Port::free();
    let mut table = upstream("dead", dead.address(), "");
    table["models"] = only("gpt-4o");
    (dead, before_the_stub(vec![table]).change(move |file| add(file, text)))
}

#[tokio::test]
async fn another_model_stands_in_where_the_configuration_says_so_and_the_answer_says_so() {
    let (_dead, setup) =
        with_fallback("fallback = { gpt-4o = [\"gpt-4o-mini\"] }\nrewrite = { smart = \"gpt-4o\" }");
    let rig = Rig::with(setup).await;
    let token = rig.token("alice");
    for asked in ["gpt-4o", "smart"] {
        for dialect in Dialect::ALL {
            for stream in [false, true] {
                let call = rig.call(dialect, asked).token(&token);
                let answer = if stream { call.stream() } else { call }.send().await;
                assert_eq!(answer.status, StatusCode::OK, "{dialect:?}: {}", answer.text());
                assert_eq!(answer.header("x-tollgate-model-fallback"), "gpt-4o-mini");
                assert!(models(dialect, &answer).iter().all(|model| model == "gpt-4o-mini"), "{dialect:?}");
            }
        }
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], 12);
    let books = rig.finish().await;
    for row in &books.rows {
        assert_eq!((row.upstream.as_str(), row.model_dispatched.as_str()), ("stub", "gpt-4o-mini"));
        assert_eq!(row.messages, 1);
    }
}

#[tokio::test]
async fn a_model_that_needs_more_than_was_held_does_not_stand_in() {
    // a premium model would need a unit of the premium limit too, and that was not held
    let (_dead, setup) = with_fallback("fallback = { gpt-4o = [\"claude-3-haiku\"] }");
    let rig = Rig::with(setup).await;
    let token = rig.token("alice");
    let answer = rig.chat(&token, "gpt-4o").send().await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let usage = rig.usage(&token).await;
    assert_eq!((&usage["totalMessages"], &usage["premiumMessages"]), (&0.into(), &0.into()));
    assert_eq!(rig.stub.requests().await, 0);
    rig.finish().await;
}

#[tokio::test]
async fn an_answers_cost_stands_in_the_ledger_with_its_price() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for stream in [false, true] {
        for (dialect, model) in
            [(Dialect::OpenAi, "gpt-4o"), (Dialect::Anthropic, "claude-3-opus"), (Dialect::Gemini, MODEL)]
        {
            let call = rig.call(dialect, model).token(&token).text("some words ".repeat(200));
            assert_eq!(if stream { call.stream() } else { call }.send().await.status, StatusCode::OK);
        }
    }
    assert_eq!(rig.chat(&token, "nobodys-model").send().await.status, StatusCode::OK);
    let unpriced = |labels| rig.gateway().metric_where("tollgate_unpriced_answers_total", labels);
    assert_eq!((unpriced("").await, unpriced(r#"model="other""#).await), (1, 1));
    let page = rig.http.get(format!("{}/metrics", rig.gateway().admin_url)).send().await.unwrap();
    let page = page.text().await.unwrap();
    let total_usd = page.lines().find_map(|line| line.strip_prefix("tollgate_cost_usd_total ")).unwrap();
    let total_usd: f64 = total_usd.parse().unwrap();
    let books = rig.finish().await;
    let mut sum = 0;
    for row in &books.rows {
        let price = match row.model_dispatched.as_str() {
            "gpt-4o" => Some([2_500_000, 10_000_000, 1_250_000]),
            "claude-3-opus" => Some([15_000_000, 75_000_000, 1_500_000]),
            MODEL => Some([100_000, 400_000, 25_000]),
            _ => None,
        };
        let Some([input, output, cached]) = price else {
            assert_eq!((row.cost_micro_usd, row.price.as_str()), (0, ""));
            continue;
        };
        assert_eq!(row.price, format!("{input}/{output}/{cached}"));
        let exact = (row.input_tokens - row.cached_tokens) * input
            + row.output_tokens * output
            + row.cached_tokens * cached;
        assert_eq!(row.cost_micro_usd, (exact + 500_000) / 1_000_000, "{row:?}");
        assert!(row.cost_micro_usd > 0, "{row:?}");
        sum += row.cost_micro_usd;
    }
    assert!((total_usd * 1e6 - f64::from(u32::try_from(sum).unwrap())).abs() < 0.5);
}

#[tokio::test]
async fn a_change_of_the_price_file_alone_is_taken_over() {
    let folder = Folder::new();
    let file = folder.path().join("prices.toml");
    let list = |input: u32| format!("[[prices]]\nmodels = [\"*\"]\ninput = {input}\noutput = 1\n");
    std::fs::write(&file, list(2)).unwrap();
    let path = file.display().to_string();
    let rig = Rig::with(Setup::default().change(move |toml| toml["prices"]["file"] = value(&path))).await;
    let token = rig.token("alice");
    let priced = async |before: &str| {
        let call = rig.chat(&token, MODEL);
        let id = call.id.clone();
        assert_eq!(call.send().await.status, StatusCode::OK, "{before}");
        id
    };
    let reloads = |result: &'static str| rig.gateway().metric_where("tollgate_config_reloads_total", result);
    let first = priced("the first list").await;
    std::fs::write(&file, "[[prices]]\n").unwrap();
    eventually("the broken list is not refused", async || (reloads("refused").await == 1).then_some(()))
        .await;
    let second = priced("a broken list").await;
    std::fs::write(&file, list(3)).unwrap();
    eventually("the new list is not taken over", async || (reloads("ok").await == 1).then_some(())).await;
    let third = priced("the new list").await;
    let books = rig.finish().await;
    let price = |id: &str| books.row(id).price.clone();
    let of = |input: u32| format!("{input}000000/1000000/{input}000000");
    assert_eq!([price(&first), price(&second), price(&third)], [of(2), of(2), of(3)]);
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named_and_nowhere_else() {
    let folder = Folder::new();
    let (address, pem) = tls_upstream();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let with_ca = {
        let mut table = upstream("with-ca", address, &format!("ca_file = {file:?}"));
        table["base_url"] = value(format!("https://localhost:{}", address.port()));
        table
    };
    let mut without = with_ca.clone();
    without["name"] = value("without-ca");
    without.remove("ca_file");
    let alone = |mut table: toml_edit::Table, model: &str| {
        table["models"] = only(model);
        table
    };
    let rig = Rig::with(before_the_stub(vec![alone(with_ca, "trusted"), alone(without, "untrusted")])).await;
    let token = rig.token("alice");
    for _ in 0..2 {
        let answer = rig.chat(&token, "trusted").send().await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}".to_owned()));
        assert_eq!(rig.chat(&token, "untrusted").send().await.status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(rig.finish_where(Served::Elsewhere).await.messages(), 2);
}

/// A server that answers `{}` over TLS, with a certificate that signs itself; its address and that certificate.
fn tls_upstream() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket.unwrap());
            let (mut head, mut byte) = (Vec::new(), [0]);
            // a client that does not trust us leaves in the handshake
            while !head.ends_with(b"}") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            if head.ends_with(b"}") {
                stream.write_all(reply).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    });
    (address, made.cert.pem())
}
