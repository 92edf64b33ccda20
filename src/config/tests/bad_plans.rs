//! One mistake each in groups, plans and limits, and exactly what is told about it.

use super::check;

#[test]
fn groups() {
    check(GROUPS);
}

const GROUPS: &[(&str, &str, &str)] = &[
    (
        r#"premium = ["claude-*", "o3*"]"#,
        r#"premum = ["claude-*", "o3*"]"#,
        "t.toml:38: plans.free.limits[1].models[0]: found \"@premium\", allowed: the name of a group: @premum\n\
         hint: did you mean `@premum`?",
    ),
    (
        r#"premium = ["claude-*", "o3*"]"#,
        "premium = []",
        r#"t.toml:24: groups.premium: found an empty list, allowed: at least one pattern, such as "*""#,
    ),
    (
        r#"premium = ["claude-*", "o3*"]"#,
        r#"premium = ["claude-*", "@other", "a b", ""]"#,
        "t.toml:24: groups.premium[1]: found \"@other\", allowed: a model's name, `*` standing for any run of characters\n\
         hint: only plans and limits can name groups\n\
         \n\
         t.toml:24: groups.premium[2]: found \"a b\", allowed: a model's name, `*` standing for any run of characters\n\
         \n\
         t.toml:24: groups.premium[3]: found \"\", allowed: a model's name, `*` standing for any run of characters",
    ),
    (
        r#"premium = ["claude-*", "o3*"]"#,
        "\"@premium\" = [\"claude-*\"]\npremium = [\"o3*\"]",
        "t.toml:24: groups.\"@premium\": found \"@premium\", allowed: 1 to 64 of letters, digits, `_`, `.`, `-`\n\
         hint: write `premium`: the `@` stands where it is used",
    ),
];

#[test]
fn plans() {
    check(PLANS);
}

const PLANS: &[(&str, &str, &str)] = &[
    (
        r#"extends = "free""#,
        r#"extends = "fee""#,
        "t.toml:43: plans.team.extends: found \"fee\", allowed: the name of a plan: free, guest, team\n\
         hint: did you mean `free`?",
    ),
    (
        r#"extends = "free""#,
        r#"extends = "team""#,
        "t.toml:43: plans.team.extends: found the circle `team` → `team`, allowed: a plan that does not lead back here",
    ),
    (
        "[plans.free]\n",
        "[plans.free]\nextends = \"team\"\n",
        "t.toml:27: plans.free.extends: found the circle `free` → `team` → `free`, allowed: a plan that does not lead back here\n\
         \n\
         t.toml:44: plans.team.extends: found the circle `team` → `free` → `team`, allowed: a plan that does not lead back here",
    ),
    (
        "[plans.free]\nmodels = [\"*\"]",
        "[plans.free]",
        "t.toml:26: plans.free.models: found nothing, allowed: patterns and groups, such as [\"*\"]\n\
         hint: a plan without `extends` must say which models it may use",
    ),
    (
        "[plans.free]\nmodels = [\"*\"]",
        "[plans.free]\nmodels = []",
        r#"t.toml:27: plans.free.models: found an empty list, allowed: at least one pattern or group, such as "*""#,
    ),
    (
        "[plans.free]\nmodels = [\"*\"]",
        "[plans.free]\nmodels = [\"*\", \"@premum\", \"@free\"]",
        "t.toml:27: plans.free.models[1]: found \"@premum\", allowed: the name of a group: @premium\n\
         hint: did you mean `@premium`?\n\
         \n\
         t.toml:27: plans.free.models[2]: found \"@free\", allowed: the name of a group: @premium",
    ),
    (
        "[plans.free]\nmodels",
        "[plans.free]\nlimts = 1\nmodels",
        "t.toml:27: plans.free.limts: found an unknown key, allowed: extends, models, limits\n\
         hint: did you mean `limits`?",
    ),
    (
        "[plans.guest]\nmodels",
        "[plans.\"a|b\"]\nmodels = [\"*\"]\n[plans.guest]\nmodels",
        r#"t.toml:57: plans."a|b": found "a|b", allowed: 1 to 64 of letters, digits, `_`, `.`, `-`"#,
    ),
    (
        r#"limits = [{ name = "guest", meter = "messages", max = 60, per = "hour" }]"#,
        r#"limits = { name = "guest" }"#,
        "t.toml:59: plans.guest.limits: found a table, allowed: a list of tables",
    ),
];

#[test]
fn limits() {
    check(LIMITS);
}

const LIMITS: &[(&str, &str, &str)] = &[
    (
        "name = \"pool\"\n",
        "",
        "t.toml:45: plans.team.limits[0].name: found nothing, allowed: 1 to 64 of letters, digits, `_`, `.`, `-`",
    ),
    (
        r#"name = "pool""#,
        r#"name = "team pool""#,
        r#"t.toml:46: plans.team.limits[0].name: found "team pool", allowed: 1 to 64 of letters, digits, `_`, `.`, `-`"#,
    ),
    (
        r#"name = "pool""#,
        r#"name = "parallel""#,
        r#"t.toml:53: plans.team.limits[1].name: found "parallel" again, allowed: a name that stands once in the list"#,
    ),
    (
        "name = \"pool\"\nmeter = \"messages\"\n",
        "name = \"pool\"\n",
        "t.toml:45: plans.team.limits[0].meter: found nothing, allowed: messages, background, in_flight",
    ),
    (
        "name = \"pool\"\nmeter = \"messages\"",
        "name = \"pool\"\nmeter = \"mesages\"",
        "t.toml:47: plans.team.limits[0].meter: found \"mesages\", allowed: messages, background, in_flight\n\
         hint: did you mean `messages`?",
    ),
    (
        "name = \"pool\"\nmeter = \"messages\"",
        "name = \"pool\"\nmeter = \"cost_usd\"",
        "t.toml:47: plans.team.limits[0].meter: found \"cost_usd\", allowed: messages, background, in_flight\n\
         hint: not supported by this version",
    ),
    (
        r#"scope = "team""#,
        r#"scope = "key""#,
        "t.toml:48: plans.team.limits[0].scope: found \"key\", allowed: user, team\n\
         hint: not supported by this version",
    ),
    (
        r#"scope = "team""#,
        r#"scope = "org""#,
        r#"t.toml:48: plans.team.limits[0].scope: found "org", allowed: user, team"#,
    ),
    (
        "max = 5000",
        "max = -1",
        "t.toml:49: plans.team.limits[0].max: found -1, allowed: an integer, 0 to 9007199254740991",
    ),
    (
        "max = 5000",
        "max = 9007199254740992",
        "t.toml:49: plans.team.limits[0].max: found 9007199254740992, allowed: an integer, 0 to 9007199254740991",
    ),
    (
        "max = 5000",
        "max = 5000.0",
        "t.toml:49: plans.team.limits[0].max: found a float, allowed: an integer, 0 to 9007199254740991",
    ),
    (
        "max = 5000",
        r#"max = "5000""#,
        "t.toml:49: plans.team.limits[0].max: found a string, allowed: an integer, 0 to 9007199254740991\n\
         hint: remove the quotes",
    ),
    (
        "max = 5000\n",
        "",
        "t.toml:45: plans.team.limits[0].max: found nothing, allowed: an integer, 0 to 9007199254740991",
    ),
    (
        r#"per = "year""#,
        r#"per = "fortnight""#,
        r#"t.toml:50: plans.team.limits[0].per: found "fortnight", allowed: second, minute, hour, day, week, month, year"#,
    ),
    (
        r#"per = "year""#,
        r#"per = "yaer""#,
        "t.toml:50: plans.team.limits[0].per: found \"yaer\", allowed: second, minute, hour, day, week, month, year\n\
         hint: did you mean `year`?",
    ),
    (
        "per = \"year\"\n",
        "",
        "t.toml:45: plans.team.limits[0].per: found nothing, allowed: second, minute, hour, day, week, month, year",
    ),
    (
        "max = 4\n",
        "max = 4\nper = \"day\"\n",
        "t.toml:56: plans.team.limits[1].per: found \"day\", allowed: no `per` beside `meter = \"in_flight\"`\n\
         hint: `in_flight` counts what is open at once: remove `per`",
    ),
    (
        r#"models = ["@premium", "gpt-5"]"#,
        "models = []",
        r#"t.toml:38: plans.free.limits[1].models: found an empty list, allowed: at least one pattern or group, such as "*""#,
    ),
    (
        r#"per = "year""#,
        "per = \"year\"\nrollover = 500",
        "t.toml:51: plans.team.limits[0].rollover: found an unknown key, allowed: name, meter, models, scope, max, per, alert\n\
         hint: not supported by this version",
    ),
    (
        r#"per = "year""#,
        "per = \"year\"\nalert = [0.8, 80]",
        "t.toml:51: plans.team.limits[0].alert[1]: found 80, allowed: a share of the limit from 0.001 to 1, in steps of 0.001\n\
         hint: 80 % is 0.8",
    ),
    (
        r#"per = "year""#,
        "per = \"year\"\nalert = []",
        "t.toml:51: plans.team.limits[0].alert: found 0 thresholds, allowed: 1 to 8",
    ),
    (
        "max = 4",
        "max = 4\nalert = [1]",
        "t.toml:56: plans.team.limits[1].alert: found `alert` on a short limit, allowed: `alert` beside `per` of an hour or longer\n\
         hint: a limit of a second or a minute, or of what is open at once, is reached all the time",
    ),
    (
        r#"per = "year""#,
        "per = \"year\"\nshadow = true",
        "t.toml:51: plans.team.limits[0].shadow: found an unknown key, allowed: name, meter, models, scope, max, per, alert\n\
         hint: not supported by this version",
    ),
    (
        r#"per = "year""#,
        "per = \"year\"\nanchor = \"signup\"",
        "t.toml:51: plans.team.limits[0].anchor: found an unknown key, allowed: name, meter, models, scope, max, per, alert\n\
         hint: not supported by this version",
    ),
];
