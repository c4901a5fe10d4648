-- name: vitals
-- One row, of the table $1, for the sessions $2 of ours. A role without pg_monitor sees replicas, and nothing of them.
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8 AS wal_bytes,
    pg_size_bytes(current_setting('max_wal_size')) AS max_wal_bytes,
    replicas.number AS replicas, replicas.lag_bytes, replicas.lag_seconds,
    (SELECT 'autovacuum or somebody else''s vacuum (process ' || pid || ')' FROM pg_stat_progress_vacuum
     WHERE datname = current_database() AND relid = $1 AND pid <> ALL ($2) LIMIT 1) AS vacuum,
    (SELECT count(*)::int FROM pg_locks WHERE NOT granted AND pg_blocking_pids(pid) && $2) AS blocked,
    -- Who is in a transaction holds the lock of its own; it may be seen also where the role may not see what he does.
    -- Of those whose state is hidden, which may be idle in it for hours, all together count as one.
    sessions.seen + least(1, sessions.hidden) AS others, sessions.hidden,
    coalesce(oldest.seconds, 0)::float8 AS transaction_seconds, oldest.pid AS transaction_pid
FROM (SELECT count(*)::int AS number,
        -- Who only receives the log, as Barman does, never says what it has replayed: what it has written counts.
        CASE WHEN count(*) > count(coalesce(replay_lsn, flush_lsn, write_lsn, sent_lsn)) THEN NULL
            ELSE coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(),
                coalesce(replay_lsn, greatest(flush_lsn, write_lsn), sent_lsn))), 0)::int8 END AS lag_bytes,
        extract(epoch FROM max(replay_lag))::float8 AS lag_seconds
      FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup' AND state IS DISTINCT FROM 'startup') AS replicas
CROSS JOIN (SELECT count(*) FILTER (WHERE a.backend_type = 'client backend' AND a.state NOT LIKE 'idle%')::int AS seen,
        count(*) FILTER (WHERE a.backend_type IS NULL)::int AS hidden
     FROM (SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock' AND granted) AS l
     JOIN pg_stat_activity a ON a.pid = l.pid AND a.pid <> ALL ($2)) AS sessions
LEFT JOIN (SELECT pid, extract(epoch FROM clock_timestamp() - xact_start) AS seconds FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> ALL ($2) AND backend_type = 'client backend'
      ORDER BY xact_start LIMIT 1) AS oldest ON oldest.seconds IS NOT NULL

-- name: vacuum_progress
SELECT heap_blks_scanned AS done, heap_blks_total AS total FROM pg_stat_progress_vacuum WHERE pid = $1
