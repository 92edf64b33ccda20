-- Roll-ups: what analytics reads instead of message_logs, kept in the transaction that writes the rows. Each is a fold of
-- the charged messages (rows with messages > 0). Rows from before this step have no day of their own: they count on their
-- day in UTC. Amounts stop at 2^63 - 1.

ALTER TABLE message_logs ADD COLUMN day TEXT NOT NULL DEFAULT '';   -- of the admission, in the configured zone: `2026-11-24`
UPDATE message_logs SET day = strftime('%Y-%m-%d', admitted_at_ms / 1000, 'unixepoch')
    WHERE admitted_at_ms BETWEEN 0 AND 253402300799999;
UPDATE message_logs SET day = '1970-01-01' WHERE day = '';

CREATE TABLE usage_days (
    day              TEXT    NOT NULL,
    model            TEXT    NOT NULL,   -- the one that was sent upstream
    plan             TEXT    NOT NULL,
    messages         INTEGER NOT NULL,
    premium_messages INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    cost_micro_usd   INTEGER NOT NULL,
    PRIMARY KEY (day, model, plan)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_day_users (
    day              TEXT    NOT NULL,
    user_id          TEXT    NOT NULL,
    messages         INTEGER NOT NULL,
    premium_messages INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    cost_micro_usd   INTEGER NOT NULL,
    PRIMARY KEY (day, user_id)
) STRICT, WITHOUT ROWID;

-- The same by month: a year is twelve rows a user.
CREATE TABLE usage_month_users (
    month            TEXT    NOT NULL,   -- of the day: `2026-11`
    user_id          TEXT    NOT NULL,
    messages         INTEGER NOT NULL,
    premium_messages INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    cost_micro_usd   INTEGER NOT NULL,
    PRIMARY KEY (month, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_day_teams (
    day              TEXT    NOT NULL,
    team_id          TEXT    NOT NULL,
    messages         INTEGER NOT NULL,
    premium_messages INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    cost_micro_usd   INTEGER NOT NULL,
    PRIMARY KEY (day, team_id)
) STRICT, WITHOUT ROWID;

-- Rows of usage_day_users by day: signed-in users who sent a message.
CREATE TABLE usage_day_actives (
    day          TEXT    NOT NULL PRIMARY KEY,
    active_users INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Refusals are no rows of message_logs: each run of a gateway counts its own and writes its totals now and then.
CREATE TABLE usage_refusals (
    day     TEXT    NOT NULL,
    gateway TEXT    NOT NULL,   -- one run of one gateway
    reason  TEXT    NOT NULL,
    refused INTEGER NOT NULL,
    PRIMARY KEY (day, gateway, reason)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_days
SELECT day, model_dispatched, plan, sum(messages), sum(iif(premium, messages, 0)), sum(input_tokens), sum(output_tokens),
    sum(cached_tokens), sum(cost_micro_usd)
FROM message_logs WHERE messages > 0 GROUP BY day, model_dispatched, plan;

INSERT INTO usage_day_users
SELECT day, user_id, sum(messages), sum(iif(premium, messages, 0)), sum(input_tokens), sum(output_tokens),
    sum(cached_tokens), sum(cost_micro_usd)
FROM message_logs WHERE messages > 0 AND user_id IS NOT NULL GROUP BY day, user_id;

INSERT INTO usage_month_users
SELECT substr(day, 1, 7), user_id, sum(messages), sum(premium_messages), sum(input_tokens), sum(output_tokens),
    sum(cached_tokens), sum(cost_micro_usd)
FROM usage_day_users GROUP BY 1, user_id;

INSERT INTO usage_day_teams
SELECT day, team_id, sum(messages), sum(iif(premium, messages, 0)), sum(input_tokens), sum(output_tokens),
    sum(cached_tokens), sum(cost_micro_usd)
FROM message_logs WHERE messages > 0 AND team_id IS NOT NULL GROUP BY day, team_id;

INSERT INTO usage_day_actives SELECT day, count(*) FROM usage_day_users GROUP BY day;
