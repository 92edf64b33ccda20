//! The JSON reader: what it takes, what it refuses, and where it says that the fault is.

use proptest::prelude::*;

use super::{Cursor, Fault, MAX_DEPTH, plain_run};

fn strict(text: &[u8]) -> Result<(), Fault> {
    let mut cursor = Cursor::new(text);
    cursor.skip()?;
    cursor.end()
}

/// What `serde_json` says when it has to build every value.
fn reference(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok()
}

#[test]
fn grammar_agrees_with_the_reference() {
    let cases: &[&str] = &[
        "",
        " ",
        "{}",
        "[]",
        "{ }",
        "[ ]",
        "null",
        "true",
        "false",
        "nul",
        "truefalse",
        "0",
        "-0",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1E-7",
        "-",
        "+1",
        "1 2",
        "{} {}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "[[],[{}],{\"a\":[{}]}]",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83d\\n\"",
        "\"\\ud83d\\ud83d\"",
        "\"\t\"",
        "\"a\u{7f}b\"",
        "NaN",
        "Infinity",
        "// c\n1",
        "/* c */ 1",
        "1//",
        "\u{feff}1",
        "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":\"e\"}",
        "[1,2,3",
        "{\"a\":1",
        "]",
        "}",
        ":",
        ",",
    ];
    for case in cases {
        assert_eq!(strict(case.as_bytes()).is_ok(), reference(case.as_bytes()), "case {case:?}");
    }
}

#[test]
fn depth_is_bounded_for_skipped_and_read_values() {
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let limit = MAX_DEPTH as usize;
    assert_eq!(strict(nest(limit).as_bytes()), Ok(()));
    assert_eq!(strict(nest(limit + 1).as_bytes()), Err(Fault::TooDeep));
    assert_eq!(strict(nest(1_000_000).as_bytes()), Err(Fault::TooDeep));

    let text = format!("{{\"a\":{}}}", nest(limit));
    let mut cursor = Cursor::new(text.as_bytes());
    let read = cursor.object(|_, value| value.skip().map(|_| ()));
    assert_eq!(read, Err(Fault::TooDeep));
}

#[test]
fn spans_cover_values_without_blanks() {
    let text = br#" { "a" : [1, "x"] , "b\u0063": "d\n" } "#;
    let mut cursor = Cursor::new(text);
    let mut seen = Vec::new();
    let span = cursor
        .object(|key, value| {
            let span = value.skip()?;
            seen.push((key.to_owned(), String::from_utf8(text[span].to_vec()).unwrap()));
            Ok::<(), Fault>(())
        })
        .unwrap();
    assert_eq!(&text[span], &text[1..text.len() - 1]);
    assert_eq!(seen, [("a".into(), r#"[1, "x"]"#.into()), ("bc".into(), r#""d\n""#.into())]);
    assert_eq!(cursor.end(), Ok(()));
}

proptest! {
    #[test]
    fn any_text_is_judged_as_the_reference_does(text in r#"[\[\]{},:"\\u0-9a-ftrlsn\-.eE+ ]{0,24}"#) {
        let ours = strict(text.as_bytes()).is_ok();
        match serde_json::from_slice::<serde_json::Value>(text.as_bytes()) {
            Ok(_) => prop_assert!(ours),
            // a matter of its number type, not of the grammar
            Err(error) if error.to_string().starts_with("number out of range") => prop_assert!(ours),
            Err(_) => prop_assert!(!ours),
        }
    }

    #[test]
    fn plain_run_agrees_with_a_plain_loop(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let slow = bytes.iter().take_while(|b| **b >= 0x20 && **b != b'"' && **b != b'\\').count();
        prop_assert_eq!(plain_run(&bytes), slow);
    }

    #[test]
    fn plain_run_finds_late_hits(pad in 0usize..40, hit in prop::sample::select(vec![0u8, 0x1f, b'"', b'\\'])) {
        let mut bytes = vec![0x80u8; pad];
        bytes.push(hit);
        bytes.extend([b'"'; 9]);
        prop_assert_eq!(plain_run(&bytes), pad);
    }
}
