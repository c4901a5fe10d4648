-- name: totals
SELECT pg_database_size(current_database()) AS bytes, age(datfrozenxid)::int8 AS age,
    2147483648 - 3000000 - age(datfrozenxid)::int8 AS transactions_left,
    (SELECT coalesce(sum(n_dead_tup), 0)::int8 FROM pg_stat_user_tables) AS dead_rows,
    (SELECT coalesce(sum(n_live_tup), 0)::int8 FROM pg_stat_user_tables) AS live_rows
FROM pg_database WHERE datname = current_database()

-- name: tables
-- The largest tables. needed_bytes: what their rows would take without air, by average widths; null if not known.
SELECT s.relid AS oid, format('%I.%I', s.schemaname, s.relname) AS quoted, pg_table_size(s.relid) AS table_bytes,
    pg_indexes_size(s.relid) AS index_bytes, pg_relation_size(s.relid) AS heap_bytes, s.n_live_tup AS rows,
    s.n_dead_tup AS dead_rows, s.seq_scan AS scans, s.seq_tup_read AS scanned_rows, coalesce(s.idx_scan, 0) AS index_scans,
    greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum, w.needed_bytes
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
LEFT JOIN LATERAL (
    SELECT CASE WHEN count(*) = count(p.avg_width) AND c.reltuples >= 0 THEN
        (ceil(c.reltuples * (28 + ceil(sum((1 - p.null_frac) * p.avg_width) / 8.0) * 8)
            / ((current_setting('block_size')::int - 24) * coalesce((SELECT option_value::int
                FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100) / 100.0))
        * current_setting('block_size')::int)::int8 END AS needed_bytes
    FROM pg_attribute a LEFT JOIN pg_stats p ON p.schemaname = s.schemaname AND p.tablename = s.relname
        AND p.attname = a.attname AND NOT p.inherited
    WHERE a.attrelid = s.relid AND a.attnum > 0 AND NOT a.attisdropped) AS w ON true
WHERE s.schemaname <> 'jamaint' ORDER BY pg_total_relation_size(s.relid) DESC LIMIT 20

-- name: free_space
-- Counted page by page, but for those that the visibility map knows to hold no dead row.
SELECT (approx_free_space + dead_tuple_len)::int8 AS air FROM {schema}.pgstattuple_approx($1::oid::regclass)

-- name: unindexed_foreign_keys
SELECT f.conname::text AS name, format('%I.%I', n.nspname, c.relname) AS quoted, pg_relation_size(c.oid) AS bytes,
    format('CREATE INDEX CONCURRENTLY ON %I.%I (%s)', n.nspname, c.relname, (SELECT string_agg(format('%I', a.attname), ', '
        ORDER BY k.position) FROM unnest(f.conkey) WITH ORDINALITY k (attnum, position)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum)) AS sql
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND pg_relation_size(c.oid) > $1 AND NOT EXISTS (SELECT FROM pg_index i
    WHERE i.indrelid = f.conrelid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = ANY (f.conkey))
ORDER BY 3 DESC LIMIT 20

-- name: statements_schema
SELECT format('%I', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'

-- name: slow_queries
SELECT queryid::text AS id, left(regexp_replace(query, '\s+', ' ', 'g'), 200) AS query, calls,
    round(mean_exec_time::numeric, 2)::float8 AS mean_ms, round(total_exec_time::numeric)::int8 AS total_ms
FROM {schema}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 0 AND queryid IS NOT NULL
    AND userid <> (SELECT oid FROM pg_roles WHERE rolname = $1)
ORDER BY total_exec_time DESC LIMIT 10

-- name: query_times
SELECT queryid AS id, sum(calls)::int8 AS calls, sum(total_exec_time)::float8 AS total_ms
FROM {schema}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 0 AND queryid IS NOT NULL
    AND userid <> (SELECT oid FROM pg_roles WHERE rolname = $1)
GROUP BY queryid ORDER BY 3 DESC LIMIT 1000

-- name: create_times
-- How long queries took, at the beginning and the end of each optimization: two periods lie between three of them.
CREATE {unlogged}TABLE IF NOT EXISTS jamaint.query_times (
    task text NOT NULL, taken_at timestamptz NOT NULL, moment text NOT NULL, times jsonb NOT NULL,
    PRIMARY KEY (task, taken_at, moment))

-- name: has_times
SELECT to_regclass('jamaint.query_times') IS NOT NULL

-- name: keep_times
INSERT INTO jamaint.query_times (task, taken_at, moment, times) VALUES ($1, clock_timestamp(), $2, $3::text::jsonb)

-- name: times
SELECT moment, taken_at, times::text AS times FROM jamaint.query_times WHERE task = $1 ORDER BY taken_at DESC LIMIT 3

-- name: forget_times
DELETE FROM jamaint.query_times WHERE task = $1 AND taken_at < (
    SELECT min(taken_at) FROM (SELECT taken_at FROM jamaint.query_times WHERE task = $1 ORDER BY taken_at DESC LIMIT 4) AS newest)
