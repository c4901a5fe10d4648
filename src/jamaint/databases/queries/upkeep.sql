-- name: due
-- Tables whose statistics or dead rows are due, the worst first; $1 share of changed rows, $2 share of dead rows,
-- $3 least rows, $4 age. vacuum: why, or null; likewise analyze.
SELECT s.relid AS oid, format('%I.%I', s.schemaname, s.relname) AS quoted, pg_table_size(s.relid) AS bytes,
    pg_has_role(c.relowner, 'USAGE') OR d.is_ours OR CASE WHEN d.has_maintain THEN has_table_privilege(c.oid, 'MAINTAIN')
        ELSE false END AS may_vacuum, pg_get_userbyid(c.relowner)::text AS owner, s.n_dead_tup AS dead,
    CASE WHEN c.relkind <> 'p' AND age(c.relfrozenxid) > $4 THEN 'its oldest row is ' || age(c.relfrozenxid) || ' transactions old'
        WHEN s.n_dead_tup > $3 AND s.n_dead_tup > $2 * (s.n_live_tup + s.n_dead_tup)
        THEN s.n_dead_tup || ' of ' || s.n_live_tup + s.n_dead_tup || ' rows are dead' END AS vacuum,
    CASE WHEN c.relkind = 'p' THEN parts.why WHEN c.reltuples < 0 AND pg_relation_size(c.oid) > 0 THEN 'it was never analysed'
        WHEN s.n_mod_since_analyze > $3 AND s.n_mod_since_analyze > $1 * s.n_live_tup
        THEN s.n_mod_since_analyze || ' rows have changed since it was analysed' END AS analyze
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
-- The owner of a database may vacuum and analyse all tables in it.
CROSS JOIN (SELECT pg_has_role(datdba, 'USAGE') AS is_ours, current_setting('server_version_num')::int >= 170000 AS has_maintain
    FROM pg_database WHERE datname = current_database()) AS d
-- Autovacuum never comes to a partitioned table, only to its parts: the statistics of the whole are nobody's but ours.
LEFT JOIN LATERAL (
    SELECT CASE WHEN c.reltuples < 0 AND sum(pg_relation_size(l.oid)) > 0 THEN 'the whole was never analysed'
        WHEN abs(sum(l.reltuples) - c.reltuples) > $3 AND abs(sum(l.reltuples) - c.reltuples) > $1 * c.reltuples
        THEN 'its parts have ' || round(sum(l.reltuples)) || ' rows, and it had ' || c.reltuples || ' when the whole was analysed'
        END AS why
    FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf) AS parts ON c.relkind = 'p'
WHERE s.schemaname <> 'jamaint' AND c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
ORDER BY c.relkind <> 'p' AND age(c.relfrozenxid) > $4 DESC, c.relkind = 'p', s.n_dead_tup DESC, s.n_mod_since_analyze DESC

-- name: dead
SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = $1

-- name: vacuum
VACUUM (ANALYZE) {table}

-- name: analyze
ANALYZE {table}
