-- How calls ended, and how long the whole answers took: kept in the transaction that writes the rows, as the other roll-ups.
-- All rows count here, charged or not.

CREATE TABLE usage_day_outcomes (
    day     text   COLLATE "C" NOT NULL,
    model   text   COLLATE "C" NOT NULL,   -- the one that was sent upstream
    outcome text   COLLATE "C" NOT NULL,
    calls   bigint NOT NULL,
    PRIMARY KEY (day, model, outcome)
) WITH (fillfactor = 80);

-- Histograms of the rows whose outcome is `ok`. The buckets' bounds are src/store/calls.rs's.
CREATE TABLE usage_day_latencies (
    day      text   COLLATE "C" NOT NULL,
    measure  text   COLLATE "C" NOT NULL,   -- `duration` or `first_byte`
    below_ms bigint NOT NULL,               -- 2^63 - 1: no bound
    calls    bigint NOT NULL,
    PRIMARY KEY (day, measure, below_ms)
) WITH (fillfactor = 80);

INSERT INTO usage_day_outcomes
SELECT day, model_dispatched, outcome, count(*) FROM message_logs GROUP BY day, model_dispatched, outcome;

WITH fixed (bounds) AS (SELECT ARRAY[
    1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250,
    1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000, 10000, 12500, 16000, 20000, 25000, 31500, 40000, 50000, 63000, 80000,
    100000, 125000, 160000, 200000, 250000, 315000, 400000, 500000, 630000, 800000, 1000000, 1250000, 1600000, 2000000,
    2500000, 3150000, 4000000
]::bigint[])
INSERT INTO usage_day_latencies
SELECT day, measure, (bounds || 9223372036854775807)[width_bucket(ms, bounds) + 1], count(*)
FROM fixed CROSS JOIN message_logs
    CROSS JOIN LATERAL (VALUES ('duration', duration_ms), ('first_byte', first_byte_ms)) AS timed (measure, ms)
WHERE outcome = 'ok' AND ms IS NOT NULL GROUP BY 1, 2, 3;

-- What was done to one user. By hash: a subject may be longer than a row of a B-tree takes.
CREATE INDEX audit_log_subject ON audit_log USING hash (subject);
