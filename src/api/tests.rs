//! The description names every path that is routed, and no other. What the calls answer is compared with it by
//! `tests/it/openapi.rs` and `tests/clients/openapi.py`.

use std::collections::BTreeSet;

use super::{OPENAPI, routes};

#[test]
fn the_description_has_each_path_of_the_router_and_no_other() {
    let described: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
    let described: BTreeSet<&str> =
        described["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routed: BTreeSet<&str> = routes().iter().map(|(path, _)| *path).collect();
    assert_eq!(described, routed);
}
