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
