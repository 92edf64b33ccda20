-- The ledger. Same tables and meaning as migrations/sqlite. Times are milliseconds since 1970 (UTC), money is in
-- millionths of a US dollar. Keys sort by bytes (COLLATE "C"), so that every store pages in the same order.

CREATE TABLE message_logs (
    month            text    COLLATE "C" NOT NULL,   -- of the admission, fixed at reserve: `2026-11`
    id               uuid    NOT NULL,               -- our own id
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
    premium          boolean NOT NULL,               -- on a model of the group `premium`
    input_tokens     bigint  NOT NULL,
    output_tokens    bigint  NOT NULL,
    cached_tokens    bigint  NOT NULL,
    reasoning_tokens bigint  NOT NULL,
    estimated        boolean NOT NULL,
    charges          jsonb   NOT NULL,               -- [[scope, owner, limit, period, epoch, start_ms, end_ms, amount], …]
    cost_micro_usd   bigint  NOT NULL,
    price            text    NOT NULL,
    task             text    NOT NULL,
    first_byte_ms    bigint,
    duration_ms      bigint  NOT NULL,
    degraded         boolean NOT NULL,
    ingested_at_ms   bigint  NOT NULL,               -- the server's own time
    PRIMARY KEY (month, id)
) PARTITION BY LIST (month);

-- The months' partitions are made by the gateway, ahead of time. This one takes rows whose month is none.
CREATE TABLE message_logs_unknown PARTITION OF message_logs FOR VALUES IN ('unknown');

CREATE INDEX message_logs_domain_ingested ON message_logs (domain, ingested_at_ms);
CREATE INDEX message_logs_user ON message_logs (user_id, admitted_at_ms);
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
