//! Multipart bodies: the model is found, and what can be read in two ways is refused.

use http::{HeaderMap, Method};

use crate::dialect::{Ask, ScanError, rewrite, route, scan};

const TYPE: &str = "multipart/form-data; boundary=B0und";

fn audio(content_type: &str, body: &[u8]) -> Result<Ask, ScanError> {
    let route = route(&Method::POST, "/v1/audio/transcriptions", &HeaderMap::new()).unwrap().unwrap();
    scan(&route, Some(content_type), body)
}

/// One part as the SDKs write it.
fn part(headers: &str, value: &str) -> String {
    format!("--B0und\r\nContent-Disposition: form-data; {headers}\r\n\r\n{value}\r\n")
}

fn form(parts: &[String]) -> String {
    format!("{}--B0und--\r\n", parts.concat())
}

fn file() -> String {
    part(
        "name=\"file\"; filename=\"a;b \\\" name=\\\"model\\\".wav\"\r\nContent-Type: audio/wav",
        "RIFF\r\n--B0un\r\n\r\nmodel",
    )
}

fn model() -> String {
    part("name=\"model\"", "whisper-1")
}

#[test]
fn finds_the_model_and_replaces_only_it() {
    let body = form(&[file(), model(), part("name=\"stream\"", "true"), part("name=\"language\"", "en")]);
    let ask = audio(TYPE, body.as_bytes()).unwrap();
    assert_eq!((ask.model.as_str(), ask.stream), ("whisper-1", true));
    let route = route(&Method::POST, "/v1/audio/transcriptions", &HeaderMap::new()).unwrap().unwrap();
    let out = rewrite(&route, &ask, body.as_bytes(), Some("big"), true).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), body.replace("\r\n\r\nwhisper-1", "\r\n\r\nbig"));
}

#[test]
fn ordinary_variants_are_read() {
    let body = form(&[model(), file()]);
    for content_type in
        [TYPE, "Multipart/Form-Data;boundary=\"B0und\"", "multipart/form-data; charset=utf-8; Boundary=B0und"]
    {
        assert_eq!(audio(content_type, body.as_bytes()).unwrap().model, "whisper-1", "{content_type}");
    }
    for headers in
        ["name=model", "NAME=\"model\"", "name=\"model\"\r\nContent-Type: text/plain; charset=UTF-8"]
    {
        let body = form(&[file(), part(headers, "m")]);
        assert_eq!(audio(TYPE, body.as_bytes()).unwrap().model, "m", "{headers}");
    }
    let trimmed = body.trim_end();
    assert_eq!(audio(TYPE, trimmed.as_bytes()).unwrap().model, "whisper-1");
}

#[test]
fn a_second_or_disguised_model_is_refused() {
    let second = [
        part("name=\"model\"", "big"),
        part("name=\"MODEL\"", "big"),
        part("name=\" model\"", "big"),
        part("name=model", "big"),
    ];
    for second in second {
        for parts in [[model(), second.clone()], [second.clone(), model()]] {
            let refused = audio(TYPE, form(&parts).as_bytes());
            assert_eq!(refused, Err(ScanError::Ambiguous("model")), "{second}");
        }
    }
    for alike in ["MODEL", " model", "model ", "Model"] {
        let refused = audio(TYPE, form(&[part(&format!("name=\"{alike}\""), "big")]).as_bytes());
        assert_eq!(refused, Err(ScanError::Ambiguous("model")), "{alike}");
    }
    let broken = [
        part("name=\"model\"; filename=\"x\"", "big"),
        part("name=\"model\"; filename*=utf-8''x", "big"),
        part("name=\"mod\\el\"", "big"),
        part("name=\"mo%64el\"", "big"),
        part("name*=utf-8''model", "big"),
        part("name=\"x\"; name=\"model\"", "big"),
        part("filename=\"x\"", "big"),
        part("name=\"model", "big"),
        part("name=\"model\"x", "big"),
        part("name=\"model\"\r\nContent-Type: application/json", "\"big\""),
        part("name=\"model\"\r\nContent-Transfer-Encoding: base64", "Ymln"),
        part("name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"", "big"),
        part("name=\"x\"\r\n folded: y", "big"),
        part("name=\"_charset_\"", "utf-16"),
        part("name=\"x\"\r\nnocolon", "big"),
        "--B0und\r\nContent-Disposition: attachment; name=\"model\"\r\n\r\nbig\r\n".to_owned(),
        "--B0und\r\nX: y\r\n\r\nbig\r\n".to_owned(),
        "--B0und\r\n\r\nbig\r\n".to_owned(),
        "--B0und\nContent-Disposition: form-data; name=\"model\"\n\nbig\n".to_owned(),
    ];
    for broken in broken {
        for parts in [vec![broken.clone()], vec![model(), broken.clone()], vec![broken.clone(), model()]] {
            let refused = audio(TYPE, form(&parts).as_bytes());
            let ok = matches!(refused, Err(ScanError::Multipart(..) | ScanError::Ambiguous(..)));
            assert!(ok, "{broken}: {refused:?}");
        }
    }
}

#[test]
fn the_frame_must_be_exact() {
    let body = form(&[model()]);
    let bodies = [
        format!("preamble\r\n{body}"),
        format!("\r\n{body}"),
        format!("{body}epilogue"),
        body.replace("--B0und--", "--B0und"),
        body.replace("--B0und--\r\n", ""),
        body.replace("whisper-1", "whisper-1\n--B0und\nx"),
        body.replace("whisper-1", "a--B0und"),
        body.replace("whisper-1", "a\n--B0und\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny"),
        body.replace("--B0und\r\n", "--B0und \r\n"),
        String::new(),
    ];
    for body in bodies {
        let refused = audio(TYPE, body.as_bytes());
        assert!(matches!(refused, Err(ScanError::Multipart(..))), "{body:?}: {refused:?}");
    }
    for (content_type, wanted) in [
        ("application/json", false),
        ("multipart/mixed; boundary=B0und", false),
        ("multipart/form-data", true),
        ("multipart/form-data; boundary=", true),
        ("multipart/form-data; boundary=a b", true),
        ("multipart/form-data; boundary=B0und; boundary=other", true),
    ] {
        let refused = audio(content_type, body.as_bytes()).unwrap_err();
        assert_eq!(matches!(refused, ScanError::Multipart(..)), wanted, "{content_type}: {refused:?}");
    }
    assert_eq!(audio(TYPE, form(&[file()]).as_bytes()), Err(ScanError::NoModel));
    assert_eq!(audio(TYPE, b"--B0und--"), Err(ScanError::NoModel));
    let many = form(&vec![part("name=\"x\"", "y"); 129]);
    assert_eq!(audio(TYPE, many.as_bytes()), Err(ScanError::Multipart("it has too many parts")));
    let mut torn = form(&[model(), part("name=\"stream\"", "~")]).into_bytes();
    let at = torn.iter().position(|byte| *byte == b'~').unwrap();
    torn[at] = 0xFF;
    assert!(matches!(audio(TYPE, &torn), Err(ScanError::Multipart(..))));
    for bad in ["", " m", "m\r\n", "é"] {
        let refused = audio(TYPE, form(&[part("name=\"model\"", bad)]).as_bytes());
        assert!(matches!(refused, Err(ScanError::Value { key: "model", .. })), "{bad:?}: {refused:?}");
    }
}
