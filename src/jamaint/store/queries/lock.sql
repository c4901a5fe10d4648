-- name: note_holder
INSERT INTO daemon_lock (holder, since) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET holder = excluded.holder, since = excluded.since

-- name: holder
SELECT holder, since FROM daemon_lock
