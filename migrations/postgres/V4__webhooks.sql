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
