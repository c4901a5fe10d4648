-- name: note_holder
INSERT INTO daemon_lock (holder, since) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET holder = excluded.holder, since = excluded.since

-- name: is_noted
SELECT to_regclass('daemon_lock') IS NOT NULL

-- name: holder
SELECT holder, since FROM daemon_lock

-- name: end
-- A key of 64 bits stands in pg_locks as two halves.
SELECT count(pg_terminate_backend(activity.pid)) FROM pg_stat_activity AS activity JOIN pg_locks AS held USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND held.classid::bigint << 32 | held.objid::bigint = $1::bigint
  AND activity.pid = $2 AND activity.backend_start = $3
