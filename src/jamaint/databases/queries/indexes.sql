-- name: indexes
-- Every index of the users' tables in this database, with all that decides whether it may be rebuilt or dropped.
-- needed_bytes: what a btree of so many entries would take, by the columns' average widths: 8 bytes of header and 4 of
-- pointer an entry, aligned to 8; 40 bytes of each page are the page's own. Null where the statistics do not tell.
WITH widths AS (
    SELECT i.indexrelid, count(*) AS columns, count(s.avg_width) AS known, bool_or(a.atttypid = 'name'::regtype) AS has_name,
        sum((1 - s.null_frac) * s.avg_width) AS width, max(s.null_frac) > 0 AS has_null
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, position)
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = CASE WHEN k.attnum = 0 THEN i.indexrelid ELSE i.indrelid END
        AND a.attnum = CASE WHEN k.attnum = 0 THEN k.position ELSE k.attnum END
    LEFT JOIN pg_stats s ON s.schemaname = n.nspname
        AND s.tablename = CASE WHEN k.attnum = 0 THEN c.relname ELSE t.relname END
        AND s.attname = a.attname AND NOT s.inherited
    GROUP BY i.indexrelid)
SELECT i.indexrelid AS oid, i.indrelid AS table_oid, c.relname::text AS name,
    format('%I.%I', n.nspname, c.relname) AS quoted, format('%I.%I', tn.nspname, t.relname) AS table_quoted,
    m.amname::text AS method, pg_get_indexdef(i.indexrelid) AS definition, pg_relation_size(i.indexrelid) AS bytes,
    pg_relation_size(t.oid) AS table_bytes, c.reltuples::float8 AS tuples, t.reltuples::float8 AS table_tuples,
    i.indisvalid AS is_valid, i.indisunique AS is_unique, i.indisprimary AS is_primary,
    i.indisexclusion AS is_exclusion, i.indisreplident AS is_replica_identity, i.indisclustered AS is_clustered,
    i.indexprs IS NOT NULL AS has_expressions, i.indpred IS NOT NULL AS is_partial,
    c.relkind = 'I' AS is_partitioned, c.relispartition AS is_partition, t.relpersistence::text AS persistence,
    EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid) AS backs_constraint,
    EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = i.indrelid AND f.contype = 'f'
        AND f.conkey[1] = i.indkey[0]) AS supports_foreign_key,
    EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) AS is_being_built,
    EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid IN (c.oid, t.oid)
        AND d.deptype = 'e') AS is_of_extension,
    pg_has_role(t.relowner, 'USAGE') AS is_owner, pg_get_userbyid(t.relowner)::text AS owner, coalesce(u.idx_scan, 0) AS scans,
    coalesce(u.idx_tup_read, 0) AS tuples_read,
    coalesce((to_jsonb(u) ->> 'last_idx_scan')::timestamptz, NULL) AS last_scan,
    coalesce(x.n_tup_ins + x.n_tup_upd + x.n_tup_del, 0) AS writes,
    array_to_string(ARRAY[i.indrelid::text, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text,
        m.amname::text, coalesce(pg_get_expr(i.indexprs, i.indrelid), ''), coalesce(pg_get_expr(i.indpred, i.indrelid), '')],
        '/') AS shape,
    coalesce(pg_tablespace_location(nullif(c.reltablespace, 0)), '') AS location,
    CASE WHEN m.amname = 'btree' AND w.columns = w.known AND NOT w.has_name AND c.reltuples >= 0 THEN
        ((ceil(c.reltuples * (4 + ceil((CASE WHEN w.has_null THEN 10 ELSE 8 END + ceil(w.width)) / 8.0) * 8)
            / ((current_setting('block_size')::int - 40) * coalesce((SELECT option_value::int
                FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 90) / 100.0)) + 1)
            * current_setting('block_size')::int)::int8 END AS needed_bytes
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN widths w ON w.indexrelid = i.indexrelid
LEFT JOIN pg_stat_user_indexes u ON u.indexrelid = i.indexrelid
LEFT JOIN pg_stat_user_tables x ON x.relid = i.indrelid
WHERE tn.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'jamaint') AND tn.nspname NOT LIKE 'pg\_temp%'
    AND ($1::oid IS NULL OR i.indexrelid = $1)
ORDER BY pg_relation_size(i.indexrelid) DESC, 4

-- name: pgstattuple
SELECT format('%I', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pgstattuple'

-- name: density
-- What of its pages is filled, by reading all of them.
SELECT index_size, leaf_pages, empty_pages, deleted_pages, avg_leaf_density FROM {schema}.pgstatindex($1::oid::regclass)

-- name: around
SELECT age(datfrozenxid)::int8 AS age, current_setting('autovacuum_freeze_max_age')::int8 AS freeze_age,
    -- Who only receives the log, and never replays it, asks nothing of an index.
    (SELECT count(*)::int FROM pg_stat_replication WHERE replay_lsn IS NOT NULL OR write_lsn IS NULL)
        + (SELECT count(*)::int FROM pg_replication_slots s WHERE slot_type = 'physical' AND NOT EXISTS (
            SELECT FROM pg_stat_replication r WHERE r.pid = s.active_pid AND r.replay_lsn IS NULL AND r.write_lsn IS NOT NULL))
        AS replicas,
    -- A crash resets all counters, and says so only in those of the server as a whole.
    (SELECT greatest(d.stats_reset, b.stats_reset) FROM pg_stat_database d, pg_stat_bgwriter b
        WHERE d.datname = current_database()) AS counting_since,
    inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1' AS is_local,
    CASE WHEN pg_has_role('pg_read_all_settings', 'MEMBER') THEN current_setting('data_directory', true) END AS data_directory
FROM pg_database WHERE datname = current_database()

-- name: reindex
REINDEX INDEX CONCURRENTLY {index}

-- name: analyze
ANALYZE {table}

-- name: drop
DROP INDEX CONCURRENTLY IF EXISTS {index}

-- name: create_builds
-- What is being built, written before it begins: what a build that was cut short leaves is known to be ours by this.
CREATE {unlogged}TABLE IF NOT EXISTS jamaint.builds (
    relation oid NOT NULL, name text NOT NULL, execution text NOT NULL, broken_before oid[] NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (relation, name))

-- name: note_build
INSERT INTO jamaint.builds AS noted (relation, name, execution, broken_before)
VALUES ($1, $2, $3, ARRAY(SELECT indexrelid FROM pg_index WHERE indrelid = $1 AND NOT indisvalid))
ON CONFLICT (relation, name) DO NOTHING

-- name: forget_build
DELETE FROM jamaint.builds WHERE relation = $1 AND name = $2

-- name: builds
SELECT relation, name FROM jamaint.builds ORDER BY began_at

-- name: broken
-- Of the builds that were noted: invalid indexes that were not there before, and that nobody is building now.
SELECT c.relname::text AS name, format('%I.%I', n.nspname, c.relname) AS quoted
FROM jamaint.builds b JOIN pg_index i ON i.indrelid = b.relation
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE b.relation = $1 AND b.name = $2 AND NOT i.indisvalid AND i.indexrelid <> ALL (b.broken_before)
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)

-- name: blocked
-- Who has waited for a lock of ours for longer than that, in milliseconds; a vacuum against wraparound at once.
SELECT a.pid, left(a.query, 60) AS query, a.query LIKE 'autovacuum:%(to prevent wraparound)' AS is_urgent
FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND NOT l.granted
WHERE $1 = ANY (pg_blocking_pids(a.pid)) AND (a.query LIKE 'autovacuum:%(to prevent wraparound)'
    OR clock_timestamp() - coalesce((to_jsonb(l) ->> 'waitstart')::timestamptz, a.state_change) > $2 * interval '1 ms')
LIMIT 1

-- name: build_progress
-- A phase counts blocks or rows, and what the one before has counted stands there still.
SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total FROM pg_stat_progress_create_index WHERE pid = $1

-- name: users
-- Transactions of others that hold a lock on the table $1. A prepared one has no process.
SELECT virtualtransaction AS transaction, coalesce(pid, 0) AS pid FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation = $1 AND granted AND coalesce(pid <> ALL ($2), true)

-- name: is_valid
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)

-- name: prepared
-- The name of a prepared transaction, by how pg_locks shows it.
SELECT p.gid FROM pg_prepared_xacts p JOIN pg_locks l ON l.transactionid = p.transaction
WHERE l.pid IS NULL AND l.virtualtransaction = $1
