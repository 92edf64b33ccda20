//! The description of the usage API against the running router. That answers have the described bodies is checked by
//! `tests/clients/openapi.py`, with a public validator.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::harness::Rig;

#[tokio::test]
async fn each_path_takes_the_described_methods_and_no_other() {
    let rig = Rig::start().await;
    let url = &rig.gateway().url;
    let answer = rig.http.get(format!("{url}/api/openapi.json")).send().await.unwrap();
    let described: Value = answer.json().await.unwrap();
    let paths = described["paths"].as_object().unwrap();
    assert!(paths.len() > 10, "{paths:?}");
    for (path, operations) in paths {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let operation = operations.get(method.as_str().to_lowercase());
            let wanted = match operation {
                None => StatusCode::METHOD_NOT_ALLOWED,
                Some(operation) if operation["security"] == json!([]) => StatusCode::OK,
                Some(_) => StatusCode::UNAUTHORIZED,
            };
            let answer = rig.http.request(method.clone(), format!("{url}{path}")).send().await.unwrap();
            assert_eq!(answer.status(), wanted, "{method} {path}");
            if wanted != StatusCode::OK {
                let body: Value = answer.json().await.unwrap();
                let error = &body["error"];
                assert!(error["code"].is_string() && error["message"].is_string(), "{method} {path}: {body}");
            }
        }
    }
    rig.finish().await;
}
