-- Who was active by week and by month, and every user who was ever seen: kept in the transaction that writes the rows, as
-- the other roll-ups. A week is named by its Monday.

CREATE TABLE usage_week_users (
    week    text COLLATE "C" NOT NULL,   -- `2026-11-23`
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (week, user_id)
);

-- Rows of usage_week_users by week, and of usage_month_users by month.
CREATE TABLE usage_week_actives (
    week         text   COLLATE "C" NOT NULL PRIMARY KEY,
    active_users bigint NOT NULL
) WITH (fillfactor = 80);
CREATE TABLE usage_month_actives (
    month        text   COLLATE "C" NOT NULL PRIMARY KEY,
    active_users bigint NOT NULL
) WITH (fillfactor = 80);

-- For a search: who has ever been charged a message, and on which day last.
CREATE TABLE usage_users (
    user_id  text COLLATE "C" NOT NULL PRIMARY KEY,
    last_day text COLLATE "C" NOT NULL
) WITH (fillfactor = 80);

INSERT INTO usage_week_users
SELECT DISTINCT CASE WHEN day < '0001' THEN day ELSE to_char(date_trunc('week', day::timestamp), 'YYYY-MM-DD') END, user_id
FROM usage_day_users;
INSERT INTO usage_week_actives SELECT week, count(*) FROM usage_week_users GROUP BY week;
INSERT INTO usage_month_actives SELECT month, count(*) FROM usage_month_users GROUP BY month;
INSERT INTO usage_users SELECT user_id, max(day) FROM usage_day_users GROUP BY user_id;
