-- The ledger. Same tables and meaning as migrations/postgres. Times are milliseconds since 1970 (UTC), money is in
-- millionths of a US dollar, ids are 16 bytes.

CREATE TABLE message_logs (
    month            TEXT    NOT NULL,   -- of the admission, fixed at reserve: `2026-11`
    id               BLOB    NOT NULL,   -- our own id
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
    premium          INTEGER NOT NULL,   -- 1: on a model of the group `premium`
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated        INTEGER NOT NULL,
    charges          TEXT    NOT NULL,   -- JSON: [[scope, owner, limit, period, epoch, start_ms, end_ms, amount], …]
    cost_micro_usd   INTEGER NOT NULL,
    price            TEXT    NOT NULL,
    task             TEXT    NOT NULL,
    first_byte_ms    INTEGER,
    duration_ms      INTEGER NOT NULL,
    degraded         INTEGER NOT NULL,
    ingested_at_ms   INTEGER NOT NULL,   -- the store's own time
    PRIMARY KEY (month, id)
) STRICT;

CREATE INDEX message_logs_domain_ingested ON message_logs (domain, ingested_at_ms);
CREATE INDEX message_logs_user ON message_logs (user_id, admitted_at_ms);
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
