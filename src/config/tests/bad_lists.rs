//! One mistake each in the lists of the configuration, issuers and upstreams, and exactly what is told about it.

use super::check;

#[test]
fn issuers() {
    check(ISSUERS);
}

const ISSUERS: &[(&str, &str, &str)] = &[
    (
        r#"name = "oidc""#,
        r#"name = "chat""#,
        r#"t.toml:68: issuers[1].name: found "chat" again, allowed: a name that stands once in the list"#,
    ),
    (
        r#"algorithms = ["HS256"]"#,
        "algorithms = []",
        "t.toml:63: issuers[0].algorithms: found an empty list, allowed: HS256, RS256, PS256, ES256, ES384, EdDSA",
    ),
    (
        r#"algorithms = ["HS256"]"#,
        r#"algorithms = ["HS512", "none"]"#,
        "t.toml:63: issuers[0].algorithms[0]: found \"HS512\", allowed: HS256, RS256, PS256, ES256, ES384, EdDSA\n\
         \n\
         t.toml:63: issuers[0].algorithms[1]: found \"none\", allowed: HS256, RS256, PS256, ES256, ES384, EdDSA",
    ),
    (
        r#"algorithms = ["HS256"]"#,
        r#"algorithms = ["HS256", "RS256"]"#,
        "t.toml:63: issuers[0].algorithms[1]: found \"RS256\", allowed: HS256 beside a secret\n\
         hint: for a public key, give `public_key_file`, `jwks_file` or `jwks_url`",
    ),
    (
        r#"algorithms = ["RS256", "EdDSA"]"#,
        r#"algorithms = ["RS256", "HS256"]"#,
        "t.toml:69: issuers[1].algorithms[1]: found \"HS256\", allowed: an algorithm for public keys, such as RS256\n\
         hint: a public key that is taken for a secret lets anybody sign tokens",
    ),
    (
        r#"secret = "${JWT_SECRET}""#,
        r#"secret = "${NO_SECRET}""#,
        "t.toml:64: issuers[0].secret: found `${NO_SECRET}`, a variable that is not set, allowed: `${NAME}` of a set variable, or `${NAME:-default}`\n\
         hint: set the environment variable `NO_SECRET`, or write `${NO_SECRET:-default}`",
    ),
    (
        r#"secret = "${JWT_SECRET}""#,
        r#"secret = "${SHORT_SECRET}""#,
        "t.toml:64: issuers[0].secret: found a secret of 8 bytes, allowed: at least 32 bytes\n\
         hint: make one with `openssl rand -hex 32`",
    ),
    (
        r#"secret = "${JWT_SECRET}""#,
        r#"secret = "${EMPTY}""#,
        "t.toml:64: issuers[0].secret: found a secret of 0 bytes, allowed: at least 32 bytes\n\
         hint: make one with `openssl rand -hex 32`",
    ),
    (
        "secret = \"${JWT_SECRET}\"\n",
        "",
        "t.toml:61: issuers[0].secret: found nothing, allowed: exactly one of secret, secret_file, public_key_file, jwks_file, jwks_url",
    ),
    (
        r#"secret = "${JWT_SECRET}""#,
        "secret = \"${JWT_SECRET}\"\njwks_file = \"k.json\"",
        "t.toml:65: issuers[0].jwks_file: found `secret` and `jwks_file`, allowed: exactly one of secret, secret_file, public_key_file, jwks_file, jwks_url",
    ),
    (
        r#"secret = "${JWT_SECRET}""#,
        "secret = \"${JWT_SECRET}\"\njwks_refresh = \"5m\"",
        "t.toml:65: issuers[0].jwks_refresh: found `jwks_refresh` beside `secret`, allowed: beside `jwks_url` only",
    ),
    (
        r#""https://id.example/keys""#,
        r#""id.example/keys""#,
        "t.toml:70: issuers[1].jwks_url: found a text that is no URL, allowed: an `https://` (or `http://`) URL with a host and no user name\n\
         hint: the provider's discovery page names it as `jwks_uri`",
    ),
    (
        r#""https://id.example/keys""#,
        r#""https://u:hunter2@id.example/keys""#,
        "t.toml:70: issuers[1].jwks_url: found a URL with a user name, allowed: an `https://` (or `http://`) URL with a host and no user name\n\
         hint: the provider's discovery page names it as `jwks_uri`",
    ),
    (
        "jwks_url = \"https://id.example/keys\"\njwks_refresh = \"5m\"",
        r#"public_key_file = """#,
        r#"t.toml:70: issuers[1].public_key_file: found "", allowed: the path of a file"#,
    ),
    (
        r#"jwks_refresh = "5m""#,
        r#"jwks_refresh = "10s""#,
        r#"t.toml:71: issuers[1].jwks_refresh: found "10s", allowed: a time from "1m" to "1day""#,
    ),
    (
        r#"jwks_refresh = "5m""#,
        "jwks_refresh = \"5m\"\njwks_stale_limit = \"2m\"",
        "t.toml:72: issuers[1].jwks_stale_limit: found 120 s, allowed: at least `jwks_refresh`, 300 s\n\
         hint: or the keys go out of use before they are fetched again",
    ),
    (
        r#"jwks_refresh = "5m""#,
        r#"jwks_refresh = "90s 500ms""#,
        "t.toml:71: issuers[1].jwks_refresh: found 90500 ms, allowed: a time in whole seconds",
    ),
    (
        r#"header = "x-user-token""#,
        r#"header = "x user token""#,
        r#"t.toml:74: issuers[1].header: found "x user token", allowed: the name of a header, such as "authorization""#,
    ),
    (
        r#"leeway = "1m""#,
        r#"leeway = "1h""#,
        r#"t.toml:75: issuers[1].leeway: found "1h", allowed: a time from "0s" to "10m""#,
    ),
    (
        r#"max_lifetime = "1h""#,
        r#"max_lifetime = "0s""#,
        r#"t.toml:76: issuers[1].max_lifetime: found "0s", allowed: a time from "1s" to "1year""#,
    ),
    (
        r#"claims = { user = "id""#,
        r#"claims = { usr = "id""#,
        "t.toml:65: issuers[0].claims.usr: found an unknown key, allowed: user, plan, team, role\n\
         hint: did you mean `user`?",
    ),
    (
        r#"claims = { user = "id""#,
        r#"claims = { user = """#,
        r#"t.toml:65: issuers[0].claims.user: found "", allowed: the dotted path of a claim, such as "sub""#,
    ),
    (
        r#"claims = { user = "id", plan = "app.plan" }"#,
        r#"claims = "sub""#,
        "t.toml:65: issuers[0].claims: found a string, allowed: a table",
    ),
];

#[test]
fn upstreams() {
    check(UPSTREAMS);
}

const UPSTREAMS: &[(&str, &str, &str)] = &[
    (
        r#"name = "claude""#,
        r#"name = "openai""#,
        r#"t.toml:87: upstreams[1].name: found "openai" again, allowed: a name that stands once in the list"#,
    ),
    (
        r#"name = "claude""#,
        r#"name = "Claude""#,
        r#"t.toml:87: upstreams[1].name: found "Claude", allowed: 1 to 64 of lower-case letters, digits, `_`, `-`"#,
    ),
    (
        r#""https://api.example""#,
        r#""api.example""#,
        "t.toml:81: upstreams[0].base_url: found a text that is no URL, allowed: an `http://` or `https://` URL with a host, and no user name, query or fragment",
    ),
    (
        r#""https://api.example""#,
        r#""https://u:hunter2@api.example""#,
        "t.toml:81: upstreams[0].base_url: found a URL with a user name, allowed: an `http://` or `https://` URL with a host, and no user name, query or fragment\n\
         hint: the key belongs into `api_key`",
    ),
    (
        r#""https://api.example""#,
        r#""https://api.example/?key=hunter2""#,
        "t.toml:81: upstreams[0].base_url: found a URL with a query or fragment, allowed: an `http://` or `https://` URL with a host, and no user name, query or fragment\n\
         hint: the key belongs into `api_key`",
    ),
    (
        r#""https://api.example""#,
        r#""ftp://api.example""#,
        "t.toml:81: upstreams[0].base_url: found a URL with another scheme, allowed: an `http://` or `https://` URL with a host, and no user name, query or fragment",
    ),
    (
        r#""https://api.example""#,
        r#""https://api.example/v1""#,
        "t.toml:84: upstreams[0].serves.openai: found \"/v1\" although `base_url` ends in it, allowed: a prefix that is not there twice\n\
         hint: remove `/v1` from `base_url`",
    ),
    (
        "base_url = \"https://api.example\"\n",
        "",
        "t.toml:79: upstreams[0].base_url: found nothing, allowed: an `http://` or `https://` URL with a host, and no user name, query or fragment",
    ),
    (
        r#""sk-claude""#,
        r#""sk-claude\n""#,
        "t.toml:89: upstreams[1].api_key: found a key with a space, a line break or a letter beyond ASCII, allowed: visible ASCII characters",
    ),
    (
        r#"models = ["gpt-*"]"#,
        r#"models = "gpt-*""#,
        "t.toml:83: upstreams[0].models: found a string, allowed: a list\n\
         hint: write `models = [\"…\"]`",
    ),
    (
        r#"models = ["gpt-*"]"#,
        r#"models = ["gpt-*", "@premium"]"#,
        "t.toml:83: upstreams[0].models[1]: found \"@premium\", allowed: a model's name, `*` standing for any run of characters\n\
         hint: only plans and limits can name groups",
    ),
    (
        r#"models = ["gpt-*"]"#,
        "models = []",
        r#"t.toml:83: upstreams[0].models: found an empty list, allowed: at least one pattern, such as "*""#,
    ),
    (
        "serves = { openai = \"/v1\" }\n",
        "",
        r#"t.toml:79: upstreams[0].serves: found nothing, allowed: prefixes by dialect (openai, anthropic, gemini), such as { openai = "/v1" }"#,
    ),
    (
        r#"serves = { openai = "/v1" }"#,
        "serves = {}",
        r#"t.toml:84: upstreams[0].serves: found an empty table, allowed: prefixes by dialect (openai, anthropic, gemini), such as { openai = "/v1" }"#,
    ),
    (
        r#"serves = { openai = "/v1" }"#,
        r#"serves = { openia = "/v1" }"#,
        "t.toml:84: upstreams[0].serves.openia: found \"openia\", allowed: openai, anthropic, gemini\n\
         hint: did you mean `openai`?",
    ),
    (
        r#"serves = { openai = "/v1" }"#,
        r#"serves = { openai = "v1" }"#,
        r#"t.toml:84: upstreams[0].serves.openai: found "v1", allowed: a path that begins with `/`, such as "/v1""#,
    ),
    (
        r#"serves = { openai = "/v1" }"#,
        r#"serves = { openai = "" }"#,
        "t.toml:84: upstreams[0].serves.openai: found \"\", allowed: a path that begins with `/`, such as \"/v1\"\n\
         hint: write `/` for no prefix",
    ),
    (
        r#"serves = { openai = "/v1" }"#,
        r#"serves = { openai = "/v1?x=1" }"#,
        r#"t.toml:84: upstreams[0].serves.openai: found "/v1?x=1", allowed: a path that begins with `/`, such as "/v1""#,
    ),
    (
        r#"connect = "2s""#,
        r#"connect = "2ms""#,
        r#"t.toml:92: upstreams[1].timeouts.connect: found "2ms", allowed: a time from "100ms" to "1m""#,
    ),
    (
        r#"idle = "30s" }"#,
        r#"idel = "30s" }"#,
        "t.toml:92: upstreams[1].timeouts.idel: found an unknown key, allowed: connect, first_byte, idle\n\
         hint: did you mean `idle`?",
    ),
    (
        r#"first_byte = "10m""#,
        "first_byte = 600",
        "t.toml:92: upstreams[1].timeouts.first_byte: found an integer, allowed: a string",
    ),
];
