//! Base64url and strict JSON.

use proptest::prelude::*;

use crate::auth::{base64url, json};

proptest! {
    #[test]
    fn every_value_has_one_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = base64url::encode(&bytes);
        prop_assert_eq!(base64url::decode(&text), Some(bytes));
    }

    #[test]
    fn every_text_is_the_one_of_its_value(text in "[A-Za-z0-9_-]{0,40}") {
        if let Some(bytes) = base64url::decode(&text) {
            prop_assert_eq!(base64url::encode(&bytes), text);
        }
    }
}

#[test]
fn rfc_4648_vectors() {
    let vectors = [
        ("", ""),
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ];
    for (value, text) in vectors {
        assert_eq!(base64url::encode(value.as_bytes()), text);
        assert_eq!(base64url::decode(text).as_deref(), Some(value.as_bytes()));
    }
    assert_eq!(base64url::decode("-_-_"), Some(vec![0xfb, 0xff, 0xbf]));
}

#[test]
fn other_texts_are_refused() {
    // padding, white space, the other alphabet, one sextet, bits behind the last byte, beyond ASCII
    for text in ["Zg==", "Zm8=", " Zg", "Zg ", "Zm\n9v", "+/+/", "Z", "Zm9vY", "Zh", "Zm9", "Zm9vé", "Zm9v."]
    {
        assert_eq!(base64url::decode(text), None, "{text}");
    }
}

#[test]
fn members_that_stand_twice_are_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1,"b":2}]}"#,
        "[]",
        "1",
        "",
        r#"{"a":1} x"#,
        r#"{"a":1}{"a":1}"#,
        r#"{"a":NaN}"#,
        r#"{"a":1e999}"#,
    ] {
        assert!(json::parse_object(text.as_bytes()).is_err(), "{text}");
    }
    let text = br#"{"a":[1,-1,1.5,true,null,"x",{"a":{}}],"b":18446744073709551615}"#;
    let expected: serde_json::Value = serde_json::from_slice(text).unwrap();
    assert_eq!(serde_json::Value::Object(json::parse_object(text).unwrap()), expected);
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    assert!(json::parse_object(text.as_bytes()).is_err());
}
