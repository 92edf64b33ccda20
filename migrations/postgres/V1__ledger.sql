-- The ledger. Same tables and meaning as migrations/sqlite. Times are milliseconds since 1970 (UTC), money is in
-- millionths of a US dollar. Keys sort by bytes (COLLATE "C"), so that every store pages in the same order.

CREATE TABLE message_logs (
    month            text    COLLATE "C" NOT NULL,   -- of the admission, fixed at reserve: `2026-11`
    id               uuid    NOT NULL,               -- our own id
    day              text    COLLATE "C" NOT NULL,   -- of the admission, in the configured zone: `2026-11-24`
    request_id       text    COLLATE "C" NOT NULL,   -- the `x-request-id` the client saw
    admitted_at_ms   bigint  NOT NULL,
    ended_at_ms      bigint  NOT NULL,
    domain           text    COLLATE "C" NOT NULL,
    user_id          text    COLLATE "C",            -- NULL: anonymous
    team_id          text    COLLATE "C",
    plan             text    NOT NULL,
    dialect          text    NOT NULL,
    endpoint         text    NOT NULL,
    upstream         text    NOT NULL,
    model_requested  text    NOT NULL,
    model_dispatched text    NOT NULL,
    model_groups     jsonb   NOT NULL,               -- array of names
    stream           boolean NOT NULL,
    outcome          text    NOT NULL,
    status           integer NOT NULL,               -- 0: the upstream gave none
    messages         bigint  NOT NULL,               -- 1: a charged message
    premium          boolean NOT NULL,               -- on a model of the premium group
    input_tokens     bigint  NOT NULL,
    output_tokens    bigint  NOT NULL,
    cached_tokens    bigint  NOT NULL,
    reasoning_tokens bigint  NOT NULL,
    estimated        boolean NOT NULL,
    charges          jsonb   NOT NULL,               -- [[scope, owner, limit, period, epoch, start_ms, end_ms, amount], …]
    cost_micro_usd   bigint  NOT NULL,
    price            text    NOT NULL,
    task             text    NOT NULL,               -- of a background call; empty: none
    attempt          integer NOT NULL,               -- of its message; 2 and 3 are not charged, 0: no message was named
    message_hash     text    COLLATE "C" NOT NULL,   -- tells an auditor which attempts belong together
    first_byte_ms    bigint,
    duration_ms      bigint  NOT NULL,
    degraded         boolean NOT NULL,
    ingested_at_ms   bigint  NOT NULL,               -- the server's own time
    PRIMARY KEY (month, id)
) PARTITION BY LIST (month);

-- The months' partitions are made by the gateway, ahead of time. This one takes rows whose month is none.
CREATE TABLE message_logs_unknown PARTITION OF message_logs FOR VALUES IN ('unknown');

-- What the counters load: the ids of a domain that went in during the last minutes.
CREATE INDEX message_logs_domain_ingested ON message_logs (domain, ingested_at_ms);
-- One user's usage, history, plan and teams.
CREATE INDEX message_logs_user ON message_logs (user_id, admitted_at_ms);
-- An operator's look-up of the id that a client reports.
CREATE INDEX message_logs_request_id ON message_logs (request_id);

-- Running totals: always the fold of message_logs.charges. Amounts stop at 2^63 - 1.
CREATE TABLE user_usage (
    domain          text   COLLATE "C" NOT NULL,
    scope           text   COLLATE "C" NOT NULL,
    owner           text   COLLATE "C" NOT NULL,
    limit_name      text   COLLATE "C" NOT NULL,
    period          text   COLLATE "C" NOT NULL,
    epoch           bigint NOT NULL,
    period_start_ms bigint NOT NULL,
    period_end_ms   bigint NOT NULL,
    used            bigint NOT NULL CHECK (used >= 0),
    PRIMARY KEY (domain, scope, owner, limit_name, period, epoch)
) WITH (fillfactor = 80);   -- room on the page, so that the running update of a total stays in place (HOT)

-- An owner that was ever reset, and since when its present epoch runs.
CREATE TABLE usage_epochs (
    domain      text   COLLATE "C" NOT NULL,
    owner_key   text   COLLATE "C" NOT NULL,
    epoch       bigint NOT NULL CHECK (epoch > 0),
    reset_at_ms bigint NOT NULL,
    PRIMARY KEY (domain, owner_key)
);

-- Who changed what, when, why. Insert-only; each row's hash covers the row before it.
CREATE TABLE audit_log (
    seq       bigint PRIMARY KEY,
    at_ms     bigint NOT NULL,
    actor     text   NOT NULL,
    action    text   NOT NULL,
    subject   text   NOT NULL,
    reason    text   NOT NULL,
    detail    text   NOT NULL,   -- JSON, kept as text: the hash covers its bytes
    prev_hash bytea  NOT NULL,
    hash      bytea  NOT NULL
);

CREATE FUNCTION audit_log_is_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is insert-only';
END
$$;

CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_is_insert_only();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_insert_only();

-- What was done to one user. By hash: a subject may be longer than a row of a B-tree takes.
CREATE INDEX audit_log_subject ON audit_log USING hash (subject);

-- What analytics reads instead of message_logs: folds that are kept in the transaction of the rows (src/store/rollup.rs).
-- Sums stop at 2^63 - 1. The first four, and who was active, are of charged messages (rows with messages > 0).

-- By day, model and plan.
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

-- By day and user.
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

-- By day and team.
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

-- Who was active in which week.
CREATE TABLE usage_week_users (
    week    text COLLATE "C" NOT NULL,   -- its Monday: `2026-11-23`
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (week, user_id)
);

-- How many rows the three tables by user have of each day, week and month.
CREATE TABLE usage_actives (
    span         text   COLLATE "C" NOT NULL,   -- `day`, `week`, `month`
    period       text   COLLATE "C" NOT NULL,   -- the day, the Monday of the week, the month
    active_users bigint NOT NULL,
    PRIMARY KEY (span, period)
) WITH (fillfactor = 80);

-- For a search: who was ever charged a message, and on which day last.
CREATE TABLE usage_users (
    user_id  text   COLLATE "C" NOT NULL,
    last_day text   COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id)
) WITH (fillfactor = 80);

-- How calls ended: all rows, charged or not.
CREATE TABLE usage_day_outcomes (
    day     text   COLLATE "C" NOT NULL,
    model   text   COLLATE "C" NOT NULL,   -- the one that was sent upstream
    outcome text   COLLATE "C" NOT NULL,
    calls   bigint NOT NULL,
    PRIMARY KEY (day, model, outcome)
) WITH (fillfactor = 80);

-- Histograms of the rows whose outcome is `ok`. The bounds of the buckets are those of src/store/calls.rs.
CREATE TABLE usage_day_latencies (
    day      text   COLLATE "C" NOT NULL,
    measure  text   COLLATE "C" NOT NULL,   -- `duration` or `first_byte`
    below_ms bigint NOT NULL,   -- 2^63 - 1: no bound
    calls    bigint NOT NULL,
    PRIMARY KEY (day, measure, below_ms)
) WITH (fillfactor = 80);

-- Refusals are no rows of message_logs: each run of a gateway counts its own and writes its totals now and then.
CREATE TABLE usage_refusals (
    day     text   COLLATE "C" NOT NULL,
    gateway text   COLLATE "C" NOT NULL,   -- one run of one gateway
    reason  text   COLLATE "C" NOT NULL,
    refused bigint NOT NULL,
    PRIMARY KEY (day, gateway, reason)
) WITH (fillfactor = 80);

-- The outbox of webhooks: written in the transaction of the rows that made a total reach a threshold, sent afterwards.
-- The id is the hash of webhook, bucket, epoch and threshold: once per period, whatever is replayed.
CREATE TABLE webhook_outbox (
    id             text    COLLATE "C" PRIMARY KEY,     -- the `webhook-id` that receivers see: `msg_…`
    webhook        text    COLLATE "C" NOT NULL,        -- its configured name
    event          text    NOT NULL,                    -- `limit.threshold_reached`
    data           text    NOT NULL,                    -- JSON, without `used`
    used           bigint  NOT NULL,                    -- the total that reached the threshold
    at_ms          bigint  NOT NULL,                    -- end of the request that did
    expires_at_ms  bigint  NOT NULL,                    -- the row may be deleted
    state          text    COLLATE "C" NOT NULL DEFAULT 'pending'
                           CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts       integer NOT NULL DEFAULT 0,
    next_try_at_ms bigint  NOT NULL DEFAULT 0,          -- while an attempt runs: when another gateway may try
    ended_at_ms    bigint,                              -- delivered or dead
    last_status    integer,                             -- NULL: the receiver gave none
    last_error     text    NOT NULL DEFAULT ''
);
CREATE INDEX webhook_outbox_open ON webhook_outbox (webhook, state, next_try_at_ms) WHERE state <> 'delivered';
CREATE INDEX webhook_outbox_expires ON webhook_outbox (expires_at_ms);
