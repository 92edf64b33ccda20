//! Every kind of limit in one request through two gateways, while administrators and teams change under the load.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::Value;
use tollgate::auth::TokenRequest;
use tollgate::clock::Stopwatch;

use super::{TTL_S, user, users};
use crate::harness::{Dialect, Load, Pace, ServerRig, Setup, eventually, fault, within};

const POOL: u64 = 30;
const MEMBER: u64 = 12;
const PREMIUM: u64 = 5;
const BURST: u64 = 3;
const MEMBERS: usize = 5;

/// A team pool, each member's own limits, and (plan `bursty`) a short window.
fn crew(file: &mut toml_edit::DocumentMut) {
    let limits = format!(
        r#"[crew]
        models = ["*"]
        [[crew.limits]]
        name = "pool"
        meter = "messages"
        scope = "team"
        max = {POOL}
        per = "month"
        [[crew.limits]]
        name = "messages"
        meter = "messages"
        max = {MEMBER}
        per = "month"
        [[crew.limits]]
        name = "premium"
        meter = "messages"
        models = ["@premium"]
        max = {PREMIUM}
        per = "month"
        [alone]
        models = ["*"]
        [[alone.limits]]
        name = "alone"
        meter = "messages"
        max = 10
        per = "month"
        [bursty]
        extends = "crew"
        [[bursty.limits]]
        name = "burst"
        meter = "messages"
        max = {BURST}
        per = "minute""#
    );
    let plans: toml_edit::DocumentMut = limits.parse().unwrap();
    for (name, plan) in plans.iter() {
        file["plans"][name] = plan.clone();
    }
}

/// Two gateways. With `deny` they never decide without Redis, also on a machine so busy that it does not answer in time.
async fn rig(policy: &'static str) -> ServerRig {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000).change(crew);
    let setup = setup.change(move |file| file["quota"]["on_outage"] = toml_edit::value(policy));
    ServerRig::with(setup, &[]).await
}

fn member(rig: &ServerRig, name: &str, team: &str, plan: &str) -> String {
    rig.token_of(TokenRequest {
        user: name.to_owned(),
        team: Some(team.to_owned()),
        plan: Some(plan.to_owned()),
        ttl_s: TTL_S,
        ..TokenRequest::default()
    })
}

/// Calls of all members at once through both gateways; how many were answered to each.
async fn rush(rig: &ServerRig, tokens: &[String], model: &str, each: usize) -> Vec<u64> {
    let calls = (0..each * tokens.len()).map(|number| {
        let call =
            rig.call_at(number % 2, Dialect::OpenAi, model).token(&tokens[(number / 2) % tokens.len()]);
        tokio::spawn(async move { (number, call.send().await.status) })
    });
    let mut answered = vec![0; tokens.len()];
    for call in join_all(calls).await {
        let (number, status) = call.unwrap();
        answered[(number / 2) % tokens.len()] += u64::from(status == StatusCode::OK);
    }
    answered
}

/// Rushes until there is `enough`: what is put off as Redis was late, on a busy machine, is asked for again.
async fn rush_until(
    rig: &ServerRig,
    tokens: &[String],
    (model, each): (&str, usize),
    enough: impl Fn(&[u64]) -> bool,
) -> Vec<u64> {
    let mut answered = vec![0; tokens.len()];
    eventually("too few are answered", async || {
        let more = rush(rig, tokens, model, each).await;
        answered.iter_mut().zip(&more).for_each(|(sum, more)| *sum += more);
        enough(&answered).then_some(())
    })
    .await;
    answered
}

fn used(usage: &Value, limit: &str) -> u64 {
    let limits = usage["limits"].as_array().unwrap();
    limits.iter().find(|found| found["name"] == limit).unwrap()["used"].as_u64().unwrap()
}

/// The second gateway shows so much used, and never more. What the first has just ended may still be held.
async fn shows(rig: &ServerRig, token: &str, limit: &str, count: u64) {
    eventually(&format!("`{limit}` does not show {count} used"), async || {
        let used = used(&rig.usage_at(1, token).await, limit);
        assert!(used <= count, "`{limit}` shows {used} used, {count} were answered");
        (used == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pool_member_and_premium_limits_hold_at_once_and_a_refusal_by_one_takes_nothing_of_the_others() {
    let rig = rig("deny").await;
    let tokens: Vec<String> =
        (0..MEMBERS).map(|number| member(&rig, &format!("member-{number}"), "red", "crew")).collect();
    let spent = |premium: &[u64]| premium.iter().all(|count| *count >= PREMIUM);
    let premium = rush_until(&rig, &tokens, ("claude-3-opus", 20), spent).await;
    assert_eq!(premium, [PREMIUM; MEMBERS], "premium messages of each member");
    // until the pool is empty; what was refused or put off must have cost nothing
    let left = POOL - premium.iter().sum::<u64>();
    let empty = |others: &[u64]| others.iter().sum::<u64>() >= left;
    let others = rush_until(&rig, &tokens, ("gemini-2.0-flash", 10), empty).await;
    let each: Vec<u64> = premium.iter().zip(&others).map(|(premium, others)| premium + others).collect();
    let all: u64 = each.iter().sum();
    assert_eq!(all, POOL, "the pool is spent to the unit: {each:?}");
    assert!(each.iter().all(|count| *count <= MEMBER), "{each:?}");
    for (token, count) in tokens.iter().zip(&each) {
        shows(&rig, token, "messages", *count).await;
    }
    assert_eq!(rig.finish().await.messages(), POOL);
    fault(
        "I1, I3",
        "team pool + member + premium limit in one reserve, two gateways: each exact",
        format_args!("pool {all} of {POOL}, members {each:?} of {MEMBER}, premium {premium:?} of {PREMIUM}"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_limit_refuses_without_touching_pool_or_member_limits() {
    let rig = rig("deny").await;
    let tokens = [member(&rig, "alice", "red", "bursty")];
    let watch = Stopwatch::start();
    // a unit that was held for a call that was put off does not come back: its window gives the next
    let answered = rush_until(&rig, &tokens, ("claude-3-opus", 60), |answered| answered[0] >= BURST).await[0];
    // one unit comes back every 20 s
    let most = BURST + watch.elapsed_ms() / (60_000 / BURST);
    assert!((BURST..=most).contains(&answered), "{answered} of {most}");
    for limit in ["pool", "messages", "premium"] {
        shows(&rig, &tokens[0], limit, answered).await;
    }
    assert_eq!(rig.finish().await.messages(), answered);
    fault(
        "I1, I3",
        "60 at once against burst 3/min beside pool, member and premium limits: all or nothing",
        format_args!("{answered} admitted, each limit shows {answered}"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_under_load_moves_no_running_request_and_keeps_every_row() {
    let rig = rig("ledger").await;
    let tokens = users(&rig, "user", 4, "wide");
    let load = Load::start(&rig, &tokens, Pace { piece_delay_ms: 10, ..Pace::default() });
    let resets = 6;
    for reset in 0..resets {
        load.more(40).await;
        let url = format!("{}/api/usage?userId=user-{}", rig.gateways[reset % 2].url, reset % 4);
        let answer = rig.http.delete(url).bearer_auth(rig.admin_token()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
    load.more(40).await;
    let seen = load.stop().await;
    assert_eq!(seen.server_errors(), seen.count(503), "{}", seen.examples());
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F19",
        "admin resets under load: each request stays in the epoch it was admitted to",
        format_args!("{resets} resets, {whole} answers, every one in the ledger once"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_changes_team_in_mid_flight_settles_where_the_hold_was_taken() {
    let rig = rig("ledger").await;
    let red = member(&rig, "alice", "red", "crew");
    let stream = |token: &str| {
        let call = rig.call_at(0, Dialect::OpenAi, "gpt-4o").token(token).stream();
        call.header("x-stub-pieces", 20).header("x-stub-piece-delay-ms", 50)
    };
    let open: Vec<_> = (0..4).map(|_| tokio::spawn(stream(&red).send())).collect();
    eventually("the streams do not open", async || (rig.stub.stats().await["open"] == 4).then_some(())).await;
    let blue = member(&rig, "alice", "blue", "crew");
    for _ in 0..3 {
        let call = rig.call_at(1, Dialect::OpenAi, "gpt-4o").token(&blue);
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    for stream in open {
        assert_eq!(within("a stream", stream).await.unwrap().status, StatusCode::OK);
    }
    rig.quiet().await;
    for (token, pool) in [(&red, 4), (&blue, 3)] {
        assert_eq!(used(&rig.usage_at(0, token).await, "pool"), pool);
    }
    let of =
        |team| format!("SELECT count(*) FROM message_logs WHERE domain = 'team:{team}' AND messages = 1");
    let rows = (rig.postgres.number(&of("red")).await, rig.postgres.number(&of("blue")).await);
    assert_eq!(rows, (4, 3), "rows of the old team and of the new");
    // the check at the end compares limits by name, and alice has used those of two teams
    user(&rig, "alice", "alone");
    rig.finish().await;
    fault(
        "F20",
        "a user changes team in mid-flight: old holds settle in the old team",
        "4 in the old, 3 in the new",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_whose_clocks_run_ahead_cut_periods_by_the_clock_they_share() {
    // eight days ahead: in another month near a month's end, in another week at any time
    let ahead = std::time::Duration::from_secs(8 * 86_400);
    let setup = Setup { gateways: 2, clock_shift: ahead, ..Setup::default() };
    let setup = setup.change(|file| {
        let mut limit = toml_edit::Table::new();
        limit["name"] = toml_edit::value("weekly");
        limit["meter"] = toml_edit::value("messages");
        limit["max"] = toml_edit::value(10);
        limit["per"] = toml_edit::value("week");
        file["plans"]["free"]["limits"].as_array_of_tables_mut().unwrap().push(limit);
        // a decision without Redis has no other clock than the gateway's
        file["quota"]["on_outage"] = toml_edit::value("deny");
    });
    let rig = ServerRig::with(setup, &[]).await;
    let token = user(&rig, "alice", "free");
    let mut answered = 0;
    for number in 0..16 {
        let status = eventually("Redis never answers in time", async || {
            let call = rig.call_at(number % 2, Dialect::OpenAi, "gpt-4o").token(&token);
            Some(call.send().await.status).filter(|status| *status != StatusCode::SERVICE_UNAVAILABLE)
        })
        .await;
        answered += u64::from(status == StatusCode::OK);
    }
    assert_eq!(answered, 10, "messages of a week with 10");
    let weeks = "SELECT count(DISTINCT period) FROM user_usage WHERE limit_name = 'weekly'";
    rig.quiet().await;
    assert_eq!(rig.postgres.number(weeks).await, 1, "weeks that were charged");
    rig.finish().await;
    fault(
        "F16, F17",
        "gateways' clocks 8 days ahead of Redis: periods are Redis's, no fresh quota",
        "10 of 10 in one week, 6 refused",
    );
}
