//! What concerns the file as a whole: several mistakes at once, tables that are none, nobody to serve, bounds.

use proptest::prelude::*;

use super::super::{ConfigProblem, parse};
use super::{SOUND, changed, env, told};

#[test]
fn all_problems_are_told_at_once_by_line() {
    let text = SOUND
        .replace("idle = \"30s\"", "idle = \"x\"")
        .replace("[server]", "[sever]")
        .replace("max = 20\n", "max = -20\n")
        .replace("per = \"year\"", "per = \"fortnight\"")
        .replace("extends = \"free\"", "extends = \"fre\"")
        .replace("${JWT_SECRET}", "${SHORT_SECRET}")
        .replace("default_plan = \"free\"", "default_plan = 1");
    assert_eq!(
        told(&text),
        "\
t.toml:1: sever: found an unknown key, allowed: server, storage, quota, groups, plans, issuers, apps, upstreams, rewrite, fallback, prices, webhooks
hint: did you mean `server`?

t.toml:17: quota.default_plan: found an integer, allowed: a string

t.toml:39: plans.free.limits[1].max: found -20, allowed: an integer, 0 to 9007199254740991

t.toml:43: plans.team.extends: found \"fre\", allowed: the name of a plan: free, guest, team
hint: did you mean `free`?

t.toml:50: plans.team.limits[0].per: found \"fortnight\", allowed: second, minute, hour, day, week, month, year

t.toml:64: issuers[0].secret: found a secret of 8 bytes, allowed: at least 32 bytes
hint: make one with `openssl rand -hex 32`

t.toml:92: upstreams[1].timeouts.idle: found \"x\", allowed: a time from \"1s\" to \"1h\""
    );
}

#[test]
fn a_problem_has_its_place() {
    let text = "# é\r\nquota.default_plan = \"a\"\r\nplans.a = { models = [\r\n  \"*\",\r\n  \"é\", 7] }\r\n";
    let problems = parse(text, "dir/t.toml", &env).unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|ConfigProblem { file, line, column, key, .. }| (file.as_str(), *line, *column, key.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            ("dir/t.toml", Some(1), Some(1), "upstreams"),
            ("dir/t.toml", Some(1), Some(1), "issuers"),
            ("dir/t.toml", Some(5), Some(8), "plans.a.models[2]"),
        ]
    );
    assert_eq!(problems.len(), 3);
}

#[test]
fn a_gateway_that_nobody_can_use_is_refused() {
    let quota = "quota.default_plan = \"a\"\nplans.a.models = [\"*\"]\n";
    let upstream = "[[upstreams]]\nname = \"u\"\nbase_url = \"http://h\"\nmodels = [\"*\"]\nserves = { openai = \"/v1\" }\n";
    assert_eq!(
        told(&format!("{quota}{upstream}")),
        "t.toml:1: issuers: found nothing, allowed: at least one `[[issuers]]`, or `quota.anonymous_plan`\n\
         hint: without either, every request is answered 401"
    );
    assert_eq!(told(&format!("quota.anonymous_plan = \"a\"\n{quota}{upstream}")), "nothing");
    assert_eq!(
        told(&format!("quota.anonymous_plan = \"a\"\n{quota}")),
        "t.toml:1: upstreams: found nothing, allowed: at least one server that requests go to\n\
         hint: add `[[upstreams]]` with `name`, `base_url`, `models` and `serves`"
    );
    assert_eq!(
        told(""),
        "t.toml:1: quota.default_plan: found nothing, allowed: the name of a plan, of which there is none yet\n\n\
         t.toml:1: upstreams: found nothing, allowed: at least one server that requests go to\n\
         hint: add `[[upstreams]]` with `name`, `base_url`, `models` and `serves`\n\n\
         t.toml:1: issuers: found nothing, allowed: at least one `[[issuers]]`, or `quota.anonymous_plan`\n\
         hint: without either, every request is answered 401"
    );
}

/// A table that is something else is told once, and not again by what needed it.
#[test]
fn a_table_that_is_none_is_told_once() {
    for (name, allowed) in [
        ("server", "a table"),
        ("storage", "a table"),
        ("quota", "a table"),
        ("groups", "a table"),
        ("plans", "a table"),
        ("issuers", "a list of tables"),
        ("upstreams", "a list of tables"),
    ] {
        assert_eq!(
            told(&format!("{name} = 1\n{}", without(name))),
            format!("t.toml:1: {name}: found an integer, allowed: {allowed}")
        );
    }
    let text = format!("{}[upstreams]\nname = \"u\"\n", without("upstreams"));
    let line = without("upstreams").lines().count() + 1;
    assert_eq!(
        told(&text),
        format!(
            "t.toml:{line}: upstreams: found a table, allowed: a list of tables\nhint: write `[[upstreams]]`"
        )
    );
}

#[test]
fn what_is_left_open_is_told_at_the_end_of_the_text() {
    assert_eq!(
        told("quota.default_plan = \"\"\"free\n# the end\n\n"),
        "t.toml:2: invalid TOML: invalid multi-line basic string, expected `\"`"
    );
}

/// The sound configuration without the tables of a name.
fn without(name: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in SOUND.lines() {
        if line.starts_with('[') {
            let header = line.trim_matches(['[', ']']);
            inside = header == name || header.starts_with(&format!("{name}."));
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    assert!(kept.len() < SOUND.len(), "no table `{name}`");
    kept
}

#[test]
fn a_plan_has_at_most_32_limits() {
    // `team` takes over two and has two of its own
    let more = |count: u32| {
        let limit = |n| format!("[[plans.team.limits]]\nname = \"l{n}\"\nmeter = \"in_flight\"\nmax = 1\n");
        (0..count).map(limit).collect::<String>()
    };
    let text = |count| changed("[plans.guest]\n", &format!("{}\n[plans.guest]\n", more(count)));
    assert_eq!(told(&text(28)), "nothing");
    assert_eq!(
        told(&text(29)),
        "t.toml:42: plans.team: found 33 limits, those of extended plans included, allowed: at most 32"
    );
}

#[test]
fn a_line_of_plans_has_an_end() {
    let text = |count: u32| {
        let plan = |n| {
            format!(
                "[plans.p{n}]\nextends = \"{}\"\n",
                if n == 0 { "free".to_owned() } else { format!("p{}", n - 1) }
            )
        };
        format!("{SOUND}{}", (0..count).map(plan).collect::<String>())
    };
    assert_eq!(told(&text(8)), "nothing");
    assert_eq!(
        told(&text(9)),
        "t.toml:94: plans.p0.extends: found a line of more than 8 plans below `p8`, allowed: at most 8"
    );
}

/// A plan below a broken one says nothing of its own.
#[test]
fn a_broken_plan_is_told_once() {
    let child = "[plans.child]\nextends = \"team\"\n[plans.grandchild]\nextends = \"child\"\n";
    assert_eq!(
        told(&(changed("extends = \"free\"", "extends = \"fee\"") + child)),
        "t.toml:43: plans.team.extends: found \"fee\", allowed: the name of a plan: child, free, grandchild, guest, team\n\
         hint: did you mean `free`?"
    );
    assert_eq!(
        told(&(changed("extends = \"free\"", "extends = \"team\"") + child)),
        "t.toml:43: plans.team.extends: found the circle `team` → `team`, allowed: a plan that does not lead back here"
    );
}

#[test]
fn long_and_odd_texts_are_shown_on_one_line() {
    let name = format!("a\\n\\u0007{}", "b".repeat(200));
    assert_eq!(
        told(&changed("name = \"pool\"", &format!("name = \"{name}\""))),
        format!(
            "t.toml:46: plans.team.limits[0].name: found \"a\\n\\u{{7}}{}\"…, \
             allowed: 1 to 64 of letters, digits, `_`, `.`, `-`",
            "b".repeat(77)
        )
    );
}

proptest! {
    /// Whatever is cut out of a line of a sound file or put into it: nothing panics, every problem has its place in the file and
    /// no secret is told.
    #[test]
    fn no_slip_breaks_the_reading(
        at in 0..SOUND.len(),
        length in 0_usize..60,
        put in prop::sample::select(&["", "\n", "\"", "[", "]", "x", "=", "1", "[[", "${", "@", "é"][..]),
    ) {
        // within its line: a cut across lines could make a secret the value of another key
        let line_end = SOUND[at..].find('\n').map_or(SOUND.len(), |length| at + length);
        let end = (at + length).min(line_end);
        let text = format!("{}{put}{}", &SOUND[..at], &SOUND[end..]);
        if let Err(problems) = parse(&text, "t.toml", &env) {
            prop_assert!(!problems.is_empty());
            let lines = text.lines().count().max(1);
            for problem in problems.iter() {
                prop_assert!(problem.line.is_some_and(|line| (1..=lines).contains(&line)), "{problem}");
            }
            for secret in ["hunter2-hunter2", "sk-claude", super::JWT_SECRET] {
                prop_assert!(!problems.to_string().contains(secret), "{problems}");
            }
        }
    }
}
