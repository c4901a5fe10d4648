-- name: state
-- What a server says of itself. As a standby: how far it is behind; one that has replayed all that it has received is
-- not behind, however long nothing was written. As the primary: the slowest of its standbys, in the same way.
WITH here AS (SELECT pg_is_in_recovery() AS is_standby)
SELECT NOT is_standby AS is_primary,
    CASE WHEN is_standby THEN
        CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END
    ELSE (SELECT extract(epoch FROM max(CASE WHEN replay_lsn = pg_current_wal_lsn() THEN interval '0' ELSE replay_lag END))
        FROM pg_stat_replication)
    END::float8 AS lag_seconds,
    (SELECT count(*) FROM pg_stat_replication) AS standbys,
    (SELECT count(*) FROM pg_stat_activity
        WHERE state <> 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()) AS active_connections,
    (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS longest_transaction_seconds,
    pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all
FROM here
