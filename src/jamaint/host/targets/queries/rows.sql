-- Templates: what stands in braces is put in by us, quoted by the server; values are parameters.

-- name: explain
EXPLAIN SELECT FROM {table} WHERE {condition}

-- name: estimate
EXPLAIN (FORMAT JSON) SELECT FROM {table} WHERE {condition}

-- name: count
SELECT count(*) FROM {table} WHERE {condition}

-- name: sample
SELECT ARRAY[{key}] AS key, pg_column_size({table}.*) AS bytes FROM {table} WHERE {condition} LIMIT 5

-- name: within
SET LOCAL statement_timeout = '{milliseconds}ms'

-- name: bound
-- Where the next batch ends; no row when what is left is less than a batch.
SELECT {position} FROM {table} WHERE {after} AND {bounded} ORDER BY {order} OFFSET {offset} LIMIT 1

-- name: hold
-- Rows to which others may refer are locked first: from then on nobody can begin to.
SELECT count(*) FROM (SELECT FROM {table} WHERE {after} AND {until} AND {condition} FOR UPDATE) AS held

-- name: unreferenced
NOT EXISTS (SELECT FROM {child} AS jamaint_child WHERE {pairs})

-- name: not_held
NOT EXISTS (SELECT FROM jamaint.held_rows AS jamaint_held WHERE jamaint_held.relation = {oid}
    AND jamaint_held.key = ARRAY[{key}] AND jamaint_held.until > now())

-- name: make_kept
-- Columns and their types, and nothing else: no default, no constraint, no trigger changes what is kept.
CREATE TABLE IF NOT EXISTS {kept} (LIKE {table})

-- name: take
-- What goes is kept by the very statement that deletes it.
WITH gone AS (DELETE FROM {table} WHERE {after} AND {until} AND {condition} RETURNING {table}.*),
    kept AS (INSERT INTO {kept} SELECT * FROM gone)
SELECT count(*) FROM gone

-- name: take_for_good
WITH gone AS (DELETE FROM {table} WHERE {after} AND {until} AND {condition} RETURNING 1)
SELECT count(*) FROM gone

-- name: vacuum
VACUUM (ANALYZE) {table}

-- name: vacuum_between
-- The file is shortened once, at the end: on some disks that keeps every commit waiting for a quarter of a second.
VACUUM (ANALYZE, TRUNCATE false) {table}

-- name: kept_exists
SELECT to_regclass($1) IS NOT NULL

-- name: kept_columns
SELECT attname::text AS name FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum

-- name: kept_is_empty
SELECT NOT EXISTS (SELECT FROM {kept})

-- name: kept_pages
SELECT (pg_relation_size($1::regclass) / current_setting('block_size')::int)::int

-- name: kept_size
SELECT coalesce(pg_total_relation_size(to_regclass($1)), 0)

-- name: put_back
-- By pages of what is kept, which needs no index. Whoever has a row's place already keeps it.
WITH batch AS MATERIALIZED (SELECT ctid AS jamaint_place, * FROM {kept} WHERE ctid >= $1::text::tid AND ctid < $2::text::tid),
    put AS (INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM batch
        ON CONFLICT DO NOTHING RETURNING {columns}),
    back AS (SELECT batch.jamaint_place, ARRAY[{key}] AS key, {changed} AS changed FROM batch JOIN put ON {same}),
    gone AS (DELETE FROM {kept} USING back WHERE {kept}.ctid = back.jamaint_place),
    held AS (INSERT INTO jamaint.held_rows (relation, key, until)
        SELECT {oid}, key, now() + {hold_seconds} * interval '1 second' FROM back
        ON CONFLICT (relation, key) DO UPDATE SET until = excluded.until)
SELECT count(*) AS put, count(*) FILTER (WHERE changed) AS changed FROM back

-- name: places
SELECT ctid::text FROM {kept} WHERE ctid >= $1::text::tid AND ctid < $2::text::tid

-- name: put_one_back
WITH batch AS MATERIALIZED (SELECT * FROM {kept} WHERE ctid = $1::text::tid),
    put AS (INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM batch
        ON CONFLICT DO NOTHING RETURNING 1),
    gone AS (DELETE FROM {kept} WHERE ctid = $1::text::tid AND EXISTS (SELECT FROM put)),
    held AS (INSERT INTO jamaint.held_rows (relation, key, until)
        SELECT {oid}, ARRAY[{key}], now() + {hold_seconds} * interval '1 second' FROM batch WHERE EXISTS (SELECT FROM put)
        ON CONFLICT (relation, key) DO UPDATE SET until = excluded.until)
SELECT count(*) FROM put

-- name: left_over
SELECT * FROM (SELECT ARRAY[{key}] AS key, EXISTS (SELECT FROM {table} AS there WHERE {same_there}) AS is_taken
    FROM {kept} AS batch) AS found WHERE is_taken OR NOT $1 LIMIT 20

-- name: count_kept
SELECT count(*) AS rows, count(*) FILTER (WHERE EXISTS (SELECT FROM {table} AS there WHERE {same_there})) AS taken
FROM {kept} AS batch

-- name: drop_kept
DROP TABLE IF EXISTS {kept}
