//! One mistake each in the file and its plain tables, and exactly what is told about it.

use super::check;

#[test]
fn file() {
    check(FILE);
}

const FILE: &[(&str, &str, &str)] = &[
    (
        "[server]\n",
        "[sever]\n",
        "t.toml:1: sever: found an unknown key, allowed: server, storage, quota, groups, plans, issuers, apps, upstreams, rewrite, fallback, prices, webhooks\n\
         hint: did you mean `server`?",
    ),
    (
        "[server]\n",
        "hooks = []\n[server]\n",
        "t.toml:1: hooks: found an unknown key, allowed: server, storage, quota, groups, plans, issuers, apps, upstreams, rewrite, fallback, prices, webhooks",
    ),
    ("[quota]\n", "[quota\n", "t.toml:15: invalid TOML: unclosed table, expected `]`"),
    ("[quota]\n", "[server]\n", "t.toml:15: invalid TOML: duplicate key"),
    ("lease = \"20m\"\n", "lease = \"20m\"\nlease = \"20m\"\n", "t.toml:22: invalid TOML: duplicate key"),
    (
        r#"redis_password = "hunter2-hunter2""#,
        r#"redis_password = "hunter2\q""#,
        r#"t.toml:12: invalid TOML: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`"#,
    ),
    (
        r#"redis_password = "hunter2-hunter2""#,
        r#"redis password = "hunter2""#,
        "t.toml:12: invalid TOML: key with no value, expected `=`",
    ),
    (
        r#"redis_password = "hunter2-hunter2""#,
        r#"redis_password = "hunter2" hunter2"#,
        "t.toml:12: invalid TOML: unexpected key or value, expected newline, `#`",
    ),
    (
        r#"secret = "${JWT_SECRET}""#,
        r#"secret = "hunter2"#,
        r#"t.toml:64: invalid TOML: invalid basic string, expected `"`"#,
    ),
    (
        r#"secret = "${JWT_SECRET}""#,
        "secret = hunter2",
        "t.toml:64: invalid TOML: string values must be quoted, expected literal string",
    ),
    (
        r#"scope = "team""#,
        r#"scope = "${SCOPE}""#,
        "t.toml:48: plans.team.limits[0].scope: found `${SCOPE}`, a variable that is not set, allowed: `${NAME}` of a set variable, or `${NAME:-default}`\n\
         hint: set the environment variable `SCOPE`, or write `${SCOPE:-default}`",
    ),
    (
        r#"scope = "team""#,
        r#"scope = "${SCOPE:-teem}""#,
        "t.toml:48: plans.team.limits[0].scope: found \"teem\", allowed: user, team\n\
         hint: did you mean `team`?",
    ),
    (
        r#"name = "pool""#,
        r#"name = "${pool""#,
        "t.toml:46: plans.team.limits[0].name: found `${` that begins no variable, allowed: `${NAME}` of a set variable, or `${NAME:-default}`\n\
         hint: a text that has `${` in it must come from a variable itself",
    ),
];

#[test]
fn server() {
    check(SERVER);
}

const SERVER: &[(&str, &str, &str)] = &[
    (
        r#"listen = "0.0.0.0:8080""#,
        r#"listen = ":8080""#,
        "t.toml:2: server.listen: found \":8080\", allowed: an IP address and a port, such as \"0.0.0.0:8080\"\n\
         hint: write `0.0.0.0:8080` for all interfaces",
    ),
    (
        r#"listen = "0.0.0.0:8080""#,
        "listen = 8080",
        "t.toml:2: server.listen: found an integer, allowed: a string",
    ),
    (
        r#"listen = "0.0.0.0:8080""#,
        r#"listen = "0.0.0.0:9090""#,
        r#"t.toml:3: server.admin_listen: found "127.0.0.1:9090", allowed: a port other than that of `server.listen`, 9090"#,
    ),
    (
        r#"admin_listen = "127.0.0.1:9090""#,
        r#"admin_listn = "127.0.0.1:9090""#,
        "t.toml:3: server.admin_listn: found an unknown key, allowed: listen, admin_listen, max_body, trusted_proxies, cors_origins\n\
         hint: did you mean `admin_listen`?",
    ),
    (
        r#"max_body = "32MiB""#,
        r#"max_body = "2GiB""#,
        r#"t.toml:4: server.max_body: found "2GiB", allowed: a size from "1KiB" to "1GiB""#,
    ),
    (
        r#"max_body = "32MiB""#,
        r#"max_body = "1000""#,
        r#"t.toml:4: server.max_body: found "1000", allowed: a size from "1KiB" to "1GiB""#,
    ),
    (
        r#"max_body = "32MiB""#,
        r#"max_body = "much""#,
        r#"t.toml:4: server.max_body: found "much", allowed: a size from "1KiB" to "1GiB""#,
    ),
    (
        r#"trusted_proxies = ["10.0.0.0/8"]"#,
        r#"trusted_proxies = ["10.0.0.0/8", "10.1.2.3", "fd00::/129"]"#,
        "t.toml:5: server.trusted_proxies[1]: found \"10.1.2.3\", allowed: a network, such as \"10.0.0.0/8\"\n\
         hint: write `10.1.2.3/32` for this address alone\n\
         \n\
         t.toml:5: server.trusted_proxies[2]: found \"fd00::/129\", allowed: a network, such as \"10.0.0.0/8\"",
    ),
    (
        r#"trusted_proxies = ["10.0.0.0/8"]"#,
        r#"trusted_proxies = "10.0.0.0/8""#,
        "t.toml:5: server.trusted_proxies: found a string, allowed: a list\n\
         hint: write `trusted_proxies = [\"…\"]`",
    ),
    (
        "[server]\n",
        "[server]\ntls = { cert = \"c.pem\", key = \"k.pem\" }\n",
        "t.toml:2: server.tls: found an unknown key, allowed: listen, admin_listen, max_body, trusted_proxies, cors_origins\n\
         hint: not supported by this version",
    ),
];

#[test]
fn storage() {
    check(STORAGE);
}

const STORAGE: &[(&str, &str, &str)] = &[
    (
        r#"data_dir = "data""#,
        r#"data_dir = """#,
        r#"t.toml:8: storage.data_dir: found "", allowed: the path of a folder"#,
    ),
    (
        r#""postgresql://db/tollgate""#,
        r#""mysql://u:hunter2@db/tollgate""#,
        "t.toml:9: storage.database_url: found a URL with another scheme, allowed: a URL that begins with one of postgresql, postgres",
    ),
    (
        r#""postgresql://db/tollgate""#,
        r#""postgre://u:hunter2@db/tollgate""#,
        "t.toml:9: storage.database_url: found a URL with another scheme, allowed: a URL that begins with one of postgresql, postgres\n\
         hint: did you mean `postgres`?",
    ),
    (
        r#""postgresql://db/tollgate""#,
        r#""hunter2""#,
        "t.toml:9: storage.database_url: found a text that is no URL, allowed: a URL that begins with one of postgresql, postgres",
    ),
    (
        "database_url = \"postgresql://db/tollgate\"\n",
        "",
        "t.toml:7: storage.database_url: found nothing, allowed: a `postgresql://` URL\n\
         hint: the replica is a copy of that database: set both or none",
    ),
    (
        "redis-cluster://",
        "redis-clutser://",
        "t.toml:11: storage.redis_url: found a URL with another scheme, allowed: a URL that begins with one of redis, rediss, redis-cluster, rediss-cluster, redis-sentinel, rediss-sentinel\n\
         hint: did you mean `redis-cluster`?",
    ),
    (
        r#"redis_password = "hunter2-hunter2""#,
        "redis_password = 77777777",
        "t.toml:12: storage.redis_password: found an integer, allowed: a string",
    ),
    (
        "migrate = false",
        r#"migrate = "no""#,
        "t.toml:13: storage.migrate: found a string, allowed: true, false",
    ),
];

#[test]
fn quota() {
    check(QUOTA);
}

const QUOTA: &[(&str, &str, &str)] = &[
    (
        r#""Europe/Berlin""#,
        r#""Europe/Berln""#,
        "t.toml:16: quota.timezone: found \"Europe/Berln\", allowed: an IANA time zone, such as \"Europe/Berlin\"\n\
         hint: did you mean `Europe/Berlin`?",
    ),
    (
        r#""Europe/Berlin""#,
        r#""Mars""#,
        r#"t.toml:16: quota.timezone: found "Mars", allowed: an IANA time zone, such as "Europe/Berlin""#,
    ),
    (
        r#"default_plan = "free""#,
        r#"default_plan = "fre""#,
        "t.toml:17: quota.default_plan: found \"fre\", allowed: the name of a plan: free, guest, team\n\
         hint: did you mean `free`?",
    ),
    (
        "default_plan = \"free\"\n",
        "",
        "t.toml:15: quota.default_plan: found nothing, allowed: the name of a plan: free, guest, team",
    ),
    (
        r#"anonymous_plan = "guest""#,
        r#"anonymous_plan = """#,
        r#"t.toml:18: quota.anonymous_plan: found "", allowed: the name of a plan: free, guest, team"#,
    ),
    (
        r#"anonymous_keys = ["anonymous"]"#,
        r#"anonymous_keys = ["", 1]"#,
        "t.toml:19: quota.anonymous_keys[0]: found \"\", allowed: a literal API key\n\
         hint: an empty key always counts as none\n\
         \n\
         t.toml:19: quota.anonymous_keys[1]: found an integer, allowed: a string",
    ),
    (
        r#"on_outage = "deny""#,
        r#"on_outage = "block""#,
        r#"t.toml:20: quota.on_outage: found "block", allowed: ledger, deny, allow"#,
    ),
    (
        r#"lease = "20m""#,
        r#"lease = "9s""#,
        r#"t.toml:21: quota.lease: found "9s", allowed: a time from "10s" to "1day""#,
    ),
    (
        r#"lease = "20m""#,
        r#"lease = "25h""#,
        r#"t.toml:21: quota.lease: found "25h", allowed: a time from "10s" to "1day""#,
    ),
    (
        r#"lease = "20m""#,
        r#"lease = "a while""#,
        r#"t.toml:21: quota.lease: found "a while", allowed: a time from "10s" to "1day""#,
    ),
    (
        "default_plan = \"free\"\n",
        "default_plan = \"free\"\npremium_group = \"premum\"\n",
        "t.toml:18: quota.premium_group: found \"premum\", allowed: the name of a group: premium\n\
         hint: did you mean `premium`?",
    ),
];
