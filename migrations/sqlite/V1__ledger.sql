-- The ledger. Same tables and meaning as migrations/postgres. Times are milliseconds since 1970 (UTC), money is in
-- millionths of a US dollar, ids are 16 bytes.

CREATE TABLE message_logs (
    month            TEXT    NOT NULL,   -- of the admission, fixed at reserve: `2026-11`
    id               BLOB    NOT NULL,   -- our own id
    day              TEXT    NOT NULL,   -- of the admission, in the configured zone: `2026-11-24`
    request_id       TEXT    NOT NULL,   -- the `x-request-id` the client saw
    admitted_at_ms   INTEGER NOT NULL,
    ended_at_ms      INTEGER NOT NULL,
    domain           TEXT    NOT NULL,
    user_id          TEXT,               -- NULL: anonymous
    team_id          TEXT,
    plan             TEXT    NOT NULL,
    dialect          TEXT    NOT NULL,
    endpoint         TEXT    NOT NULL,
    upstream         TEXT    NOT NULL,
    model_requested  TEXT    NOT NULL,
    model_dispatched TEXT    NOT NULL,
    model_groups     TEXT    NOT NULL,   -- JSON array
    stream           INTEGER NOT NULL,
    outcome          TEXT    NOT NULL,
    status           INTEGER NOT NULL,   -- 0: the upstream gave none
    messages         INTEGER NOT NULL,   -- 1: a charged message
    premium          INTEGER NOT NULL,   -- on a model of the premium group
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated        INTEGER NOT NULL,
    charges          TEXT    NOT NULL,   -- JSON: [[scope, owner, limit, period, epoch, start_ms, end_ms, amount], …]
    cost_micro_usd   INTEGER NOT NULL,
    price            TEXT    NOT NULL,
    task             TEXT    NOT NULL,   -- of a background call; empty: none
    attempt          INTEGER NOT NULL,   -- of its message; 2 and 3 are not charged, 0: no message was named
    message_hash     TEXT    NOT NULL,   -- tells an auditor which attempts belong together
    first_byte_ms    INTEGER,
    duration_ms      INTEGER NOT NULL,
    degraded         INTEGER NOT NULL,
    ingested_at_ms   INTEGER NOT NULL,   -- the store's own time
    PRIMARY KEY (month, id)
) STRICT;

-- What the counters load: the ids of a domain that went in during the last minutes.
CREATE INDEX message_logs_domain_ingested ON message_logs (domain, ingested_at_ms);
-- One user's usage, history, plan and teams.
CREATE INDEX message_logs_user ON message_logs (user_id, admitted_at_ms);
-- An operator's look-up of the id that a client reports.
CREATE INDEX message_logs_request_id ON message_logs (request_id);

-- Running totals: always the fold of message_logs.charges. Amounts stop at 2^63 - 1.
CREATE TABLE user_usage (
    domain          TEXT    NOT NULL,
    scope           TEXT    NOT NULL,
    owner           TEXT    NOT NULL,
    limit_name      TEXT    NOT NULL,
    period          TEXT    NOT NULL,
    epoch           INTEGER NOT NULL,
    period_start_ms INTEGER NOT NULL,
    period_end_ms   INTEGER NOT NULL,
    used            INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (domain, scope, owner, limit_name, period, epoch)
) STRICT, WITHOUT ROWID;

-- An owner that was ever reset, and since when its present epoch runs.
CREATE TABLE usage_epochs (
    domain      TEXT    NOT NULL,
    owner_key   TEXT    NOT NULL,
    epoch       INTEGER NOT NULL CHECK (epoch > 0),
    reset_at_ms INTEGER NOT NULL,
    PRIMARY KEY (domain, owner_key)
) STRICT, WITHOUT ROWID;

-- Who changed what, when, why. Insert-only; each row's hash covers the row before it.
CREATE TABLE audit_log (
    seq       INTEGER PRIMARY KEY,
    at_ms     INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    prev_hash BLOB    NOT NULL,
    hash      BLOB    NOT NULL
) STRICT;

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is insert-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is insert-only'); END;

-- What was done to one user; each entry ends in `seq`, so a page is read in its order.
CREATE INDEX audit_log_subject ON audit_log (subject);

-- What analytics reads instead of message_logs: folds that are kept in the transaction of the rows (src/store/rollup.rs).
-- Sums stop at 2^63 - 1. The first four, and who was active, are of charged messages (rows with messages > 0).

-- By day, model and plan.
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

-- By day and user.
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

-- By day and team.
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

-- Who was active in which week.
CREATE TABLE usage_week_users (
    week    TEXT    NOT NULL,   -- its Monday: `2026-11-23`
    user_id TEXT    NOT NULL,
    PRIMARY KEY (week, user_id)
) STRICT, WITHOUT ROWID;

-- How many rows the three tables by user have of each day, week and month.
CREATE TABLE usage_actives (
    span         TEXT    NOT NULL,   -- `day`, `week`, `month`
    period       TEXT    NOT NULL,   -- the day, the Monday of the week, the month
    active_users INTEGER NOT NULL,
    PRIMARY KEY (span, period)
) STRICT, WITHOUT ROWID;

-- For a search: who was ever charged a message, and on which day last.
CREATE TABLE usage_users (
    user_id  TEXT    NOT NULL,
    last_day TEXT    NOT NULL,
    PRIMARY KEY (user_id)
) STRICT, WITHOUT ROWID;

-- How calls ended: all rows, charged or not.
CREATE TABLE usage_day_outcomes (
    day     TEXT    NOT NULL,
    model   TEXT    NOT NULL,   -- the one that was sent upstream
    outcome TEXT    NOT NULL,
    calls   INTEGER NOT NULL,
    PRIMARY KEY (day, model, outcome)
) STRICT, WITHOUT ROWID;

-- Histograms of the rows whose outcome is `ok`. The bounds of the buckets are those of src/store/calls.rs.
CREATE TABLE usage_day_latencies (
    day      TEXT    NOT NULL,
    measure  TEXT    NOT NULL,   -- `duration` or `first_byte`
    below_ms INTEGER NOT NULL,   -- 2^63 - 1: no bound
    calls    INTEGER NOT NULL,
    PRIMARY KEY (day, measure, below_ms)
) STRICT, WITHOUT ROWID;

-- Refusals are no rows of message_logs: each run of a gateway counts its own and writes its totals now and then.
CREATE TABLE usage_refusals (
    day     TEXT    NOT NULL,
    gateway TEXT    NOT NULL,   -- one run of one gateway
    reason  TEXT    NOT NULL,
    refused INTEGER NOT NULL,
    PRIMARY KEY (day, gateway, reason)
) STRICT, WITHOUT ROWID;

-- The outbox of webhooks. Same table and meaning as migrations/postgres.
CREATE TABLE webhook_outbox (
    id             TEXT    NOT NULL PRIMARY KEY,   -- the `webhook-id` that receivers see: `msg_…`
    webhook        TEXT    NOT NULL,
    event          TEXT    NOT NULL,
    data           TEXT    NOT NULL,               -- JSON, without `used`
    used           INTEGER NOT NULL,
    at_ms          INTEGER NOT NULL,
    expires_at_ms  INTEGER NOT NULL,
    state          TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts       INTEGER NOT NULL DEFAULT 0,
    next_try_at_ms INTEGER NOT NULL DEFAULT 0,
    ended_at_ms    INTEGER,
    last_status    INTEGER,
    last_error     TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_outbox_open ON webhook_outbox (webhook, state, next_try_at_ms) WHERE state <> 'delivered';
CREATE INDEX webhook_outbox_expires ON webhook_outbox (expires_at_ms);
