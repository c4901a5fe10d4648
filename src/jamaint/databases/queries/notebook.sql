-- name: schema_owner
-- Of the schema and the tables in it, what is somebody else's, and what would make it ours. A superuser has every role:
-- for one, only another superuser is no stranger.
WITH ours AS (SELECT 'SCHEMA jamaint' AS what, 0 AS place, nspowner AS owner FROM pg_namespace WHERE nspname = 'jamaint'
    UNION ALL SELECT format('TABLE jamaint.%I', relname), 1, relowner FROM pg_class
    WHERE relnamespace = to_regnamespace('jamaint') AND relkind = 'r')
SELECT coalesce((array_agg(o.rolname::text ORDER BY place, what) FILTER (WHERE NOT is_ours))[1], '') AS owner,
    bool_and(is_ours) AS is_ours,
    string_agg(format('ALTER %s OWNER TO %I', what, current_user), '; ' ORDER BY place, what) FILTER (WHERE NOT is_ours) AS cure
FROM ours JOIN pg_roles o ON o.oid = ours.owner JOIN pg_roles u ON u.rolname = current_user
CROSS JOIN LATERAL (SELECT o.rolname = current_user
    OR CASE WHEN u.rolsuper THEN o.rolsuper ELSE pg_has_role(o.oid, 'USAGE') END AS is_ours) AS judged
HAVING count(*) > 0

-- name: publication
-- Which publications would send what is written in our schema, to subscribers that have no such tables and would stop.
SELECT string_agg(pubname::text, ', ' ORDER BY pubname) FROM pg_publication WHERE puballtables
    OR pubname IN (SELECT pubname FROM pg_publication_tables WHERE schemaname = 'jamaint')

-- name: writes_are_published
-- Whether a batch would be: its cursor, or the rows that it keeps.
SELECT EXISTS (SELECT FROM pg_publication WHERE puballtables) AND ($1::text IS NOT NULL OR EXISTS (
    SELECT FROM pg_class WHERE oid = to_regclass('jamaint.cursors') AND relpersistence = 'p'))

-- name: to_relog
-- Our notes that are not logged as they should be: not at all where they would be published ($1), else as any table.
SELECT format('ALTER TABLE jamaint.%I SET %s', relname, CASE WHEN $1 THEN 'UNLOGGED' ELSE 'LOGGED' END) AS sql
FROM pg_class WHERE relnamespace = to_regnamespace('jamaint') AND relkind = 'r'
    AND relname IN ('cursors', 'held_rows', 'builds', 'noted_indexes', 'query_times')
    AND (relpersistence = 'u') <> $1 AND pg_has_role(relowner, 'USAGE')

-- name: to_share
-- What whoever owns the database, or the table $1 whose rows are kept in $2, lacks to dump the database with our schema in it:
-- pg_dump locks every table for reading. Rows are shown to nobody who may not read their table.
WITH roles AS (SELECT r.oid, r.rolname FROM pg_roles r WHERE NOT r.rolsuper AND r.rolname <> current_user AND r.oid IN (
        (SELECT datdba FROM pg_database WHERE datname = current_database()), (SELECT relowner FROM pg_class WHERE oid = $1)))
SELECT format('GRANT USAGE ON SCHEMA jamaint TO %I', rolname) AS sql FROM roles
WHERE NOT has_schema_privilege(oid, 'jamaint', 'USAGE')
UNION ALL SELECT format('GRANT SELECT ON jamaint.%I TO %I', c.relname, r.rolname) FROM roles r, pg_class c
WHERE c.relnamespace = to_regnamespace('jamaint') AND c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE')
    AND NOT has_table_privilege(r.oid, c.oid, 'SELECT')
    AND (c.relname NOT LIKE 'kept\_%' OR c.oid = to_regclass($2) AND has_table_privilege(r.oid, $1, 'SELECT'))

-- name: has_schema
SELECT to_regnamespace('jamaint') IS NOT NULL

-- name: all_of_ours
SELECT format('%I.%I', 'jamaint', relname) AS quoted, pg_total_relation_size(oid) AS bytes FROM pg_class
WHERE relnamespace = to_regnamespace('jamaint') AND relkind = 'r' ORDER BY 1

-- name: is_at_work
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1784769633 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))

-- name: drop_one
DROP TABLE {table}

-- name: drop_schema
DROP SCHEMA jamaint

-- name: may_create
SELECT has_database_privilege(current_database(), 'CREATE')

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS jamaint

-- name: create_cursors
-- How far a rule has gone through its table: in the very transaction of each batch.
CREATE {unlogged}TABLE IF NOT EXISTS jamaint.cursors (
    task text NOT NULL, relation oid NOT NULL, rule text NOT NULL, position text[] NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (task, relation, rule))

-- name: has_cursors
SELECT to_regclass('jamaint.cursors') IS NOT NULL

-- name: cursor
SELECT position FROM jamaint.cursors WHERE task = $1 AND relation = $2 AND rule = $3

-- name: move_cursor
INSERT INTO jamaint.cursors AS kept (task, relation, rule, position) VALUES ($1, $2, $3, $4)
ON CONFLICT (task, relation, rule) DO UPDATE SET position = excluded.position, moved_at = now()

-- name: clear_cursor
DELETE FROM jamaint.cursors WHERE task = $1 AND relation = $2 AND rule = $3

-- name: create_held
-- Rows that were put back, by their keys: they are old still, and would go again at once.
CREATE {unlogged}TABLE IF NOT EXISTS jamaint.held_rows (
    relation oid NOT NULL, key text[] NOT NULL, until timestamptz NOT NULL, source text, PRIMARY KEY (relation, key))

-- name: widen_held
ALTER TABLE jamaint.held_rows ADD COLUMN IF NOT EXISTS source text

-- name: held_have_source
SELECT EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = 'jamaint.held_rows'::regclass AND attname = 'source' AND NOT attisdropped)

-- name: release_held
-- By the table that they were kept in, which is one rule's of one execution.
DELETE FROM jamaint.held_rows WHERE source = $1

-- name: has_held
SELECT to_regclass('jamaint.held_rows') IS NOT NULL

-- name: held
SELECT count(*) AS rows, max(until) AS until FROM jamaint.held_rows WHERE relation = $1 AND until > clock_timestamp()

-- name: let_held_go
DELETE FROM jamaint.held_rows WHERE until <= clock_timestamp()

-- name: lock
-- One of us at a time on a table, whichever daemon it is of.
SELECT pg_try_advisory_lock(1784769633, $1::int)

-- name: unlock
SELECT pg_advisory_unlock(1784769633, $1::int)
