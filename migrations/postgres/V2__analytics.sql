-- Roll-ups: what analytics reads instead of message_logs, kept in the transaction that writes the rows. Each is a fold of
-- the charged messages (rows with messages > 0). Rows from before this step have no day of their own: they count on their
-- day in UTC. Amounts stop at 2^63 - 1.

-- Of the admission, in the configured zone: `2026-11-24`.
ALTER TABLE message_logs ADD COLUMN day text COLLATE "C" NOT NULL DEFAULT '1970-01-01';
UPDATE message_logs SET day = to_char(to_timestamp(admitted_at_ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')
    WHERE admitted_at_ms BETWEEN 0 AND 253402300799999;

CREATE TABLE usage_days (
    day              text   COLLATE "C" NOT NULL,
    model            text   COLLATE "C" NOT NULL,   -- the one that was sent upstream
    plan             text   COLLATE "C" NOT NULL,
    messages         bigint NOT NULL,
    premium_messages bigint NOT NULL,
    input_tokens     bigint NOT NULL,
    output_tokens    bigint NOT NULL,
    cached_tokens    bigint NOT NULL,
    cost_micro_usd   bigint NOT NULL,
    PRIMARY KEY (day, model, plan)
) WITH (fillfactor = 80);

CREATE TABLE usage_day_users (
    day              text   COLLATE "C" NOT NULL,
    user_id          text   COLLATE "C" NOT NULL,
    messages         bigint NOT NULL,
    premium_messages bigint NOT NULL,
    input_tokens     bigint NOT NULL,
    output_tokens    bigint NOT NULL,
    cached_tokens    bigint NOT NULL,
    cost_micro_usd   bigint NOT NULL,
    PRIMARY KEY (day, user_id)
) WITH (fillfactor = 80);

-- The same by month: a year is twelve rows a user.
CREATE TABLE usage_month_users (
    month            text   COLLATE "C" NOT NULL,   -- of the day: `2026-11`
    user_id          text   COLLATE "C" NOT NULL,
    messages         bigint NOT NULL,
    premium_messages bigint NOT NULL,
    input_tokens     bigint NOT NULL,
    output_tokens    bigint NOT NULL,
    cached_tokens    bigint NOT NULL,
    cost_micro_usd   bigint NOT NULL,
    PRIMARY KEY (month, user_id)
) WITH (fillfactor = 80);

CREATE TABLE usage_day_teams (
    day              text   COLLATE "C" NOT NULL,
    team_id          text   COLLATE "C" NOT NULL,
    messages         bigint NOT NULL,
    premium_messages bigint NOT NULL,
    input_tokens     bigint NOT NULL,
    output_tokens    bigint NOT NULL,
    cached_tokens    bigint NOT NULL,
    cost_micro_usd   bigint NOT NULL,
    PRIMARY KEY (day, team_id)
) WITH (fillfactor = 80);

-- Rows of usage_day_users by day: signed-in users who sent a message.
CREATE TABLE usage_day_actives (
    day          text   COLLATE "C" NOT NULL PRIMARY KEY,
    active_users bigint NOT NULL
) WITH (fillfactor = 80);

-- Refusals are no rows of message_logs: each run of a gateway counts its own and writes its totals now and then.
CREATE TABLE usage_refusals (
    day     text   COLLATE "C" NOT NULL,
    gateway text   COLLATE "C" NOT NULL,   -- one run of one gateway
    reason  text   COLLATE "C" NOT NULL,
    refused bigint NOT NULL,
    PRIMARY KEY (day, gateway, reason)
) WITH (fillfactor = 80);

INSERT INTO usage_days
SELECT day, model_dispatched, plan, sum(messages), coalesce(sum(messages) FILTER (WHERE premium), 0),
    least(sum(input_tokens), 9223372036854775807), least(sum(output_tokens), 9223372036854775807),
    least(sum(cached_tokens), 9223372036854775807), least(sum(cost_micro_usd), 9223372036854775807)
FROM message_logs WHERE messages > 0 GROUP BY day, model_dispatched, plan;

INSERT INTO usage_day_users
SELECT day, user_id, sum(messages), coalesce(sum(messages) FILTER (WHERE premium), 0),
    least(sum(input_tokens), 9223372036854775807), least(sum(output_tokens), 9223372036854775807),
    least(sum(cached_tokens), 9223372036854775807), least(sum(cost_micro_usd), 9223372036854775807)
FROM message_logs WHERE messages > 0 AND user_id IS NOT NULL GROUP BY day, user_id;

INSERT INTO usage_month_users
SELECT substr(day, 1, 7), user_id, sum(messages), sum(premium_messages),
    least(sum(input_tokens), 9223372036854775807), least(sum(output_tokens), 9223372036854775807),
    least(sum(cached_tokens), 9223372036854775807), least(sum(cost_micro_usd), 9223372036854775807)
FROM usage_day_users GROUP BY 1, user_id;

INSERT INTO usage_day_teams
SELECT day, team_id, sum(messages), coalesce(sum(messages) FILTER (WHERE premium), 0),
    least(sum(input_tokens), 9223372036854775807), least(sum(output_tokens), 9223372036854775807),
    least(sum(cached_tokens), 9223372036854775807), least(sum(cost_micro_usd), 9223372036854775807)
FROM message_logs WHERE messages > 0 AND team_id IS NOT NULL GROUP BY day, team_id;

INSERT INTO usage_day_actives SELECT day, count(*) FROM usage_day_users GROUP BY day;
