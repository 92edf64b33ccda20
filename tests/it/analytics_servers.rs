//! Analytics on PostgreSQL: what the API answers equals SQL over the rows to the unit after real traffic through two
//! gateways, and with a streaming replica it is read there.

use http::StatusCode;
use serde_json::Value;
use tollgate::auth::TokenRequest;

use super::harness::{Dialect, Postgres, Rig, ServerRig, eventually};

const ORDINARY_MODEL: &str = "gemini-2.0-flash";
const OTHER_MODEL: &str = "gpt-4o-mini";
const PREMIUM_MODEL: &str = "claude-3-opus";

/// Yesterday too: the test may run over midnight.
const RANGE: &str = "/api/analytics?days=2";

async fn get(rig: &Rig, number: usize, path: &str) -> Value {
    let url = format!("{}{path}", rig.gateways[number].url);
    let answer = rig.http.get(url).bearer_auth(rig.admin_token()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.unwrap()
}

/// The charged sums of rows, in the order of [`SHOWN`].
const SUMS: &str = "coalesce(sum(messages), 0), coalesce(sum(messages) FILTER (WHERE premium), 0),
    coalesce(sum(input_tokens) FILTER (WHERE messages > 0), 0),
    coalesce(sum(output_tokens) FILTER (WHERE messages > 0), 0),
    coalesce(sum(cached_tokens) FILTER (WHERE messages > 0), 0),
    coalesce(sum(cost_micro_usd) FILTER (WHERE messages > 0), 0)";
const SHOWN: [&str; 6] =
    ["messages", "premiumMessages", "inputTokens", "outputTokens", "cachedTokens", "costUsd"];
const CALLS: &str = "count(*), count(*) FILTER (WHERE outcome IN ('upstream_error', 'truncated', 'crashed'))";
const USERS: &str = "count(DISTINCT user_id) FILTER (WHERE messages > 0)";

/// A list of the answer as rows of text, the money in millionths as it stands in the ledger.
fn shown(list: &Value, name: &str, more: &[&str]) -> Vec<Vec<String>> {
    let text = |item: &Value, name: &str| match &item[name] {
        Value::String(text) => text.clone(),
        Value::Number(usd) if name == "costUsd" => format!("{:.0}", usd.as_f64().unwrap() * 1e6),
        other => other.to_string(),
    };
    let row = |item| std::iter::once(&name).chain(&SHOWN).chain(more).map(|name| text(item, name)).collect();
    list.as_array().unwrap().iter().map(row).collect()
}

/// Each list of the answer is SQL over `message_logs`.
async fn assert_equal_to_the_rows(postgres: &Postgres, body: &Value) {
    let range = format!("FROM message_logs WHERE day BETWEEN '{}' AND '{}'", body["from"], body["until"]);
    let range = range.replace('"', "");
    let by = async |column: &str, more: &str, rest: &str| {
        let sql = format!("SELECT {column}, {SUMS}{more} {range} AND {column} IS NOT NULL GROUP BY 1 {rest}");
        postgres.rows(&sql).await
    };
    let calls = format!(", {CALLS}");
    let days = by("day", &format!("{calls}, {USERS}"), "ORDER BY 1").await;
    let mut answered = shown(&body["days"], "date", &["calls", "errors", "activeUsers"]);
    answered.retain(|day| day[7] != "0");
    assert_eq!(answered, days);
    let models = by("model_dispatched", &calls, "ORDER BY 2 DESC, 1").await;
    assert_eq!(shown(&body["byModel"], "model", &["calls", "errors"]), models);
    for (list, name, column) in
        [("byPlan", "plan", "plan"), ("topUsers", "userId", "user_id"), ("topTeams", "teamId", "team_id")]
    {
        let charged = "HAVING sum(messages) > 0 ORDER BY 2 DESC, 1 LIMIT 20";
        assert_eq!(shown(&body[list], name, &[]), by(column, "", charged).await, "{list}");
    }
    let all = postgres.rows(&format!("SELECT '', {SUMS}, {CALLS}, {USERS} {range}")).await;
    let totals = Value::Array(vec![body["totals"].clone()]);
    assert_eq!(shown(&totals, "none", &["calls", "errors", "activeUsers"])[0][1..], all[0][1..]);
    let outcomes =
        postgres.rows(&format!("SELECT outcome, count(*) {range} GROUP BY 1 ORDER BY 2 DESC, 1")).await;
    let answered = body["byOutcome"].as_array().unwrap().iter();
    let answered =
        answered.map(|of| vec![of["outcome"].as_str().unwrap().to_owned(), of["calls"].to_string()]);
    assert_eq!(answered.collect::<Vec<_>>(), outcomes);
    for (name, column, share) in [
        ("p50Ms", "duration_ms", 0.5),
        ("p95Ms", "duration_ms", 0.95),
        ("firstByteP50Ms", "first_byte_ms", 0.5),
        ("firstByteP95Ms", "first_byte_ms", 0.95),
    ] {
        let sql = format!(
            "SELECT percentile_disc({share}) WITHIN GROUP (ORDER BY {column}) {range} AND outcome = 'ok'"
        );
        let exact: u64 = postgres.rows(&sql).await[0][0].parse().unwrap();
        let answered = body["totals"][name].as_u64().unwrap();
        // a bucket of the histogram: 2 ms wide below 10 ms, and then 30 % at most
        let off = answered.abs_diff(exact) * 10;
        assert!(off <= 20_u64.max(3 * exact.min(answered)), "{name}: {answered} ms, {exact} ms by the rows");
    }
}

/// Messages of several users, teams, plans and models; failures, a torn answer and a client that leaves.
async fn traffic(rig: &Rig) {
    let member = rig.token_of(TokenRequest {
        user: "carol".to_owned(),
        team: Some("crew".to_owned()),
        ttl_s: 3_600,
        ..TokenRequest::default()
    });
    let (alice, bob) = (rig.token("alice"), rig.token("bob"));
    for (number, (token, model, count)) in [
        (&alice, ORDINARY_MODEL, 3),
        (&alice, PREMIUM_MODEL, 2),
        (&bob, OTHER_MODEL, 4),
        (&member, ORDINARY_MODEL, 2),
        (&member, PREMIUM_MODEL, 1),
    ]
    .into_iter()
    .enumerate()
    {
        for at in 0..count {
            let call = rig.call_at(at % 2, Dialect::ALL[number % 3], model).token(token);
            let call = if at == 0 { call.stream() } else { call };
            let call = call.header("x-stub-delay-ms", number * 30);
            assert_eq!(call.send().await.status, StatusCode::OK);
        }
    }
    let anonymous = rig.call_at(1, Dialect::OpenAi, ORDINARY_MODEL).send().await;
    assert_eq!(anonymous.status, StatusCode::OK);
    for model in [OTHER_MODEL, "o3-mini"] {
        let failed = rig.call_at(0, Dialect::OpenAi, model).token(&bob).header("x-stub-status", 500);
        assert_eq!(failed.send().await.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    let torn = rig.call_at(1, Dialect::OpenAi, OTHER_MODEL).token(&bob).stream();
    assert!(torn.header("x-stub-cut-after", 2).try_send().await.is_err(), "a torn answer ends cleanly");
    let left = rig.chat(&alice, ORDINARY_MODEL).stream().header("x-stub-piece-delay-ms", 600_000);
    drop(left.open().await);
    let refused = rig.call_at(0, Dialect::OpenAi, PREMIUM_MODEL).send().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn analytics_of_two_gateways_equal_sql_over_the_rows() {
    let rig = ServerRig::start(2).await;
    traffic(&rig).await;
    rig.quiet().await;
    for number in 0..2 {
        let body = get(&rig, number, RANGE).await;
        assert_equal_to_the_rows(&rig.postgres, &body).await;
        let totals = &body["totals"];
        let shown = ["messages", "calls", "errors", "activeUsers"].map(|name| totals[name].as_u64().unwrap());
        assert_eq!(shown, [15, 17, 3, 3], "{totals}");
    }
    rig.finish().await;
}

/// What the gateway shows of `user`: messages by analytics, months of history, and whether a search finds the user.
async fn seen(rig: &Rig, user: &str) -> (u64, usize, bool) {
    let totals = get(rig, 0, RANGE).await["totals"]["messages"].as_u64().unwrap();
    let history = get(rig, 0, &format!("/api/usage/history?userId={user}")).await;
    let found = get(rig, 0, &format!("/api/users?prefix={user}")).await;
    let count = |body: &Value| body["items"].as_array().unwrap().len();
    (totals, count(&history), count(&found) == 1)
}

async fn send(rig: &Rig, token: &str, count: u32) {
    for _ in 0..count {
        assert_eq!(rig.chat(token, ORDINARY_MODEL).send().await.status, StatusCode::OK);
    }
    rig.quiet().await;
}

/// From here on the replica stands still, so that it shows which of the two was read.
async fn pause(replica: &Postgres) {
    replica.execute("SELECT pg_wal_replay_pause()").await;
    eventually("the replica does not pause", async || {
        (replica.number("SELECT (pg_get_wal_replay_pause_state() = 'paused')::int::bigint").await == 1)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_replica_analytics_are_read_there_and_without_it_from_the_ledger() {
    const FAILURES: &str = "tollgate_replica_failures_total";
    let (rig, mut replica) = ServerRig::with_replica().await;
    let (alice, bob) = (rig.token("alice"), rig.token("bob"));
    send(&rig, &alice, 2).await;
    let shows = async |wanted: (u64, usize, bool), complaint: &str| {
        eventually(complaint, async || (seen(&rig, "bob").await == wanted).then_some(())).await;
    };
    shows((2, 0, false), "the replica does not follow").await;

    pause(&replica).await;
    send(&rig, &bob, 3).await;
    assert_eq!(rig.postgres.number("SELECT count(*) FROM message_logs").await, 5);
    assert_eq!(seen(&rig, "bob").await, (2, 0, false), "read at the replica, which stands still");
    assert_eq!(rig.usage(&bob).await["totalMessages"], 3, "what decides is never read there");
    assert_eq!(rig.gateway().metric(FAILURES).await, 0);

    replica.execute("SELECT pg_wal_replay_resume()").await;
    shows((5, 1, true), "the replica does not catch up").await;
    assert_equal_to_the_rows(&rig.postgres, &get(&rig, 0, RANGE).await).await;
    assert_eq!(rig.gateway().metric(FAILURES).await, 0);

    replica.stop().await;
    send(&rig, &bob, 1).await;
    assert_eq!(seen(&rig, "bob").await, (6, 1, true), "read from the ledger");
    assert!(rig.gateway().metric(FAILURES).await >= 3, "each of the three reads is told");

    replica.start_again().await;
    shows((6, 1, true), "the replica does not follow again").await;
    pause(&replica).await;
    send(&rig, &bob, 1).await;
    shows((6, 1, true), "the replica is not read again").await;
    rig.finish().await;
}
