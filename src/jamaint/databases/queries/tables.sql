-- name: parts
-- A name as the server reads it: one part, or schema and table.
SELECT parse_ident($1)::text[]

-- name: find
-- In the first of the schemas that has it.
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, format('%I.%I', n.nspname, c.relname) AS quoted,
    c.relkind::text AS kind, c.relpersistence::text AS persistence,
    CASE WHEN c.relkind = 'p' AND c.reltuples < 0 THEN (SELECT CASE WHEN bool_or(l.reltuples < 0) THEN -1 ELSE sum(l.reltuples) END
        FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf) ELSE c.reltuples END::float8 AS tuples,
    parts.table_bytes, parts.index_bytes,
    has_table_privilege(c.oid, 'SELECT, DELETE') AND has_table_privilege(c.oid, 'SELECT')
        AND has_table_privilege(c.oid, 'DELETE') AS may_delete, has_table_privilege(c.oid, 'INSERT') AS may_insert,
    has_any_column_privilege(c.oid, 'UPDATE') AS may_lock,
    pg_has_role(c.relowner, 'USAGE') OR pg_has_role(d.datdba, 'USAGE')
        OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END
        AS may_vacuum, pg_get_userbyid(c.relowner)::text AS owner,
    c.relhasrules AS has_rules,
    c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS has_children,
    n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') OR n.nspname LIKE 'pg\_temp%' AS is_system,
    (SELECT e.extname::text FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS extension
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_database d ON d.datname = current_database()
-- A partitioned table has no file: its parts have.
CROSS JOIN LATERAL (SELECT sum(pg_table_size(oid))::int8 AS table_bytes, sum(pg_indexes_size(oid))::int8 AS index_bytes
    FROM (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) AS part (oid)) AS parts
WHERE c.relname = $2 AND n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY array_position($1::text[], n.nspname::text) LIMIT 1

-- name: by_oid
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = $1

-- name: oid_of
SELECT to_regclass($1)::oid

-- name: live_rows
-- By what was written since; null or 0 where the server's counters were lost.
SELECT sum(n_live_tup)::int8 FROM pg_stat_user_tables
WHERE relid IN (SELECT $1::oid UNION SELECT relid FROM pg_partition_tree($1::oid))

-- name: columns
SELECT a.attname::text AS name, format('%I', a.attname) AS quoted,
    CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, NULL) END AS base,
    format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' AS is_generated
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum

-- name: shape
-- Changes when a column comes, goes, or becomes something else.
SELECT md5(string_agg(format('%s %L %s', attnum, attname, atttypid), ',' ORDER BY attnum))
FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped

-- name: key
-- What tells rows apart: the primary key, else the narrowest unique index over columns that are never null.
SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, position)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.position <= i.indnkeyatts ORDER BY k.position) AS columns
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
    AND i.indexprs IS NULL AND m.amname = 'btree'
    AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, position)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.position <= i.indnkeyatts AND NOT a.attnotnull)
ORDER BY i.indisprimary DESC, i.indnkeyatts, c.relname LIMIT 1

-- name: leads_an_index
-- Whether a btree index that holds all rows begins with that column.
SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree' AND a.attname = $2)

-- name: referring
-- Foreign keys that point here, with whether the referring side can be looked up by them.
SELECT f.conname::text AS name, format('%I.%I', n.nspname, c.relname) AS quoted, f.confdeltype::text AS on_delete,
    f.conrelid = f.confrelid AS is_own,
    ARRAY(SELECT format('%I', a.attname) FROM unnest(f.conkey) WITH ORDINALITY k (attnum, position)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum ORDER BY k.position) AS columns,
    ARRAY(SELECT format('%I', a.attname) FROM unnest(f.confkey) WITH ORDINALITY k (attnum, position)
        JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum ORDER BY k.position) AS referred,
    (SELECT sum(pg_relation_size(oid))::int8 FROM (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) AS part (oid))
        AS bytes, has_table_privilege(c.oid, 'SELECT') AS may_look,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = f.conrelid AND i.indisvalid AND i.indpred IS NULL
        AND i.indkey[0] = ANY (f.conkey)) AS is_indexed
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.confrelid = $1 AND f.contype = 'f' AND f.conparentid = 0 ORDER BY 1, 2

-- name: triggers
-- The users' own that would fire on a delete, or on the insert that puts back.
SELECT tgname::text AS name, (tgtype & 8) <> 0 AS on_delete, (tgtype & 4) <> 0 AS on_insert
FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal AND tgenabled <> 'D' AND (tgtype & 12) <> 0 ORDER BY 1

-- name: has_deferrable
-- Whether a unique or exclusion constraint of the table, or of a part of it, may be checked late: ON CONFLICT then fails.
SELECT EXISTS (SELECT FROM pg_index i WHERE NOT i.indimmediate
    AND i.indrelid IN (SELECT $1::oid UNION SELECT relid FROM pg_partition_tree($1::regclass)))

-- name: search_path
-- Where code of the table's own looks things up (its triggers, constraints, indexes, the operators of its types): in the
-- schemas $2 that a session of the role begins with, the table's, and those of its columns' types. is_open: somebody may
-- create there who could have us run anything.
WITH wanted AS (
    SELECT name, position FROM unnest($2::text[]) WITH ORDINALITY AS given (name, position)
    UNION ALL SELECT n.nspname::text, 1000 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1
    UNION ALL SELECT n.nspname::text, 1001 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_type b ON b.oid IN (t.oid, t.typbasetype, t.typelem) JOIN pg_namespace n ON n.oid = b.typnamespace
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped)
SELECT n.nspname::text AS name, quote_ident(n.nspname) AS quoted, EXISTS (
    SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS given LEFT JOIN pg_roles r ON r.oid = given.grantee
    WHERE given.privilege_type = 'CREATE' AND NOT coalesce(r.rolsuper OR r.rolname = ANY (ARRAY['pg_database_owner',
            current_user]) OR r.oid IN (n.nspowner, (SELECT relowner FROM pg_class WHERE oid = $1),
            (SELECT datdba FROM pg_database WHERE datname = current_database())), false)) AS is_open
FROM wanted JOIN pg_namespace n ON n.nspname = wanted.name
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_temp%'
GROUP BY n.oid ORDER BY min(position), n.nspname

-- name: search
SELECT set_config('search_path', $1, false)

-- name: sizes
SELECT sum(pg_table_size(oid))::int8 AS table_bytes, sum(pg_indexes_size(oid))::int8 AS index_bytes,
    sum(pg_total_relation_size(oid))::int8 AS total_bytes
FROM (SELECT $1::oid UNION SELECT relid FROM pg_partition_tree($1::oid)) AS part (oid)
