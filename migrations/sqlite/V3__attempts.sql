-- Attempts: which attempt of a message a row is, as far as its client is believed. 2 and 3 are not charged (messages = 0);
-- 0: no message was named. The hash tells an auditor which rows belong together.

ALTER TABLE message_logs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message_logs ADD COLUMN message_hash TEXT NOT NULL DEFAULT '';
