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

-- name: none_held
-- For whole tables: all that is held is read once.
NOT EXISTS (SELECT FROM jamaint.held_rows AS jamaint_held WHERE jamaint_held.relation = {oid}
    AND jamaint_held.key = ARRAY[{key}] AND jamaint_held.until > now())

-- name: not_held
-- For batches: as a value, which is looked up for each row. As NOT EXISTS, each batch would read all that is held.
(SELECT true FROM jamaint.held_rows AS jamaint_held WHERE jamaint_held.relation = {oid}
    AND jamaint_held.key = ARRAY[{key}] AND jamaint_held.until > now() LIMIT 1) IS NULL

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

-- name: take_some
-- Some of what a rule means, for a proof; nobody is waited for.
WITH gone AS (DELETE FROM {table} WHERE {table}.ctid = ANY (ARRAY(
        SELECT {table}.ctid FROM {table} WHERE {condition} LIMIT $1{lock})) AND {condition}
        RETURNING {table}.*){keep}
SELECT count(*) FROM gone

-- name: keep_some
, kept AS (INSERT INTO {kept} SELECT * FROM gone)

-- name: changed_columns
-- Of what was put back in a proof: the columns that are not as they were.
SELECT name FROM (SELECT {kept}.* FROM {kept}) AS batch JOIN {table} AS there ON {same_there}
CROSS JOIN LATERAL (VALUES {pairs}) AS pair (name, was, is_now) WHERE was IS DISTINCT FROM is_now GROUP BY name ORDER BY name

-- name: vacuum
VACUUM (ANALYZE) {table}

-- name: vacuum_between
-- The file is shortened once, at the end: on some disks that keeps every commit waiting for a quarter of a second.
VACUUM (ANALYZE, TRUNCATE false) {table}

-- name: kept_exists
SELECT to_regclass($1) IS NOT NULL

-- name: kept_columns
SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum

-- name: kept_is_empty
SELECT NOT EXISTS (SELECT FROM {kept})

-- name: kept_pages
SELECT (pg_relation_size($1::regclass) / current_setting('block_size')::int)::int

-- name: kept_size
SELECT coalesce(pg_total_relation_size(to_regclass($1)), 0)

-- name: put_back
-- By places of what is kept, which needs no index. Whoever has a row's place already keeps it. What was inserted and is
-- not among the places has got another key from a trigger.
WITH batch AS MATERIALIZED (SELECT ctid AS jamaint_place, {values} FROM {kept}
        WHERE ctid >= $1::text::tid AND ctid < $2::text::tid),
    put AS (INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM batch
        {arbiter} RETURNING {key_columns})
SELECT (SELECT count(*) FROM put) AS inserted,
    ARRAY(SELECT batch.jamaint_place::text FROM batch JOIN put ON {same}) AS places

-- name: settle
-- What has come back is kept no more, unless a trigger has changed it: then only what is kept tells how it was.
WITH back AS MATERIALIZED (SELECT place, ARRAY[{key}] AS key, {changed} AS changed FROM
        (SELECT ctid AS place, {values} FROM {kept} WHERE ctid = ANY ($1::text[]::tid[])) AS batch),
    {gone}
    held AS (INSERT INTO jamaint.held_rows (relation, key, until, source)
        SELECT {oid}, key, now() + {hold_seconds} * interval '1 second', '{kept}' FROM back
        ON CONFLICT (relation, key) DO UPDATE SET until = excluded.until, source = excluded.source)
SELECT count(*) FILTER (WHERE changed) AS changed FROM back

-- name: keep_no_more
gone AS (DELETE FROM {kept} WHERE ctid = ANY (ARRAY(SELECT place FROM back WHERE NOT changed))),

-- name: check_now
-- What would be checked only at COMMIT is checked here, where a refusal costs no more than these rows.
SET CONSTRAINTS ALL IMMEDIATE

-- name: row_there
(SELECT ROW({there})::text FROM {table} AS there WHERE {same_there}) IS DISTINCT FROM ROW({batch})::text

-- name: places
SELECT ctid::text AS place FROM {kept} WHERE ctid >= $1::text::tid AND ctid < $2::text::tid

-- name: left_over
-- What is in its place and held was put back before, and changed by a trigger.
SELECT *, is_taken AND {is_held} AS is_back
FROM (SELECT place::text AS place, ARRAY[{key}] AS key, EXISTS (SELECT FROM {table} AS there WHERE {same_there}) AS is_taken,
        {is_same} AS is_same
    FROM (SELECT ctid AS place, {values} FROM {kept}) AS batch) AS found

-- name: is_held
EXISTS (SELECT FROM jamaint.held_rows AS held WHERE held.relation = {oid} AND held.key = found.key)

-- name: first_left_over
SELECT * FROM ({left_over}) AS every WHERE (is_taken OR NOT $1) AND NOT (is_back AND is_same) ORDER BY is_back LIMIT 20

-- name: count_left_over
SELECT count(*) AS rows, count(*) FILTER (WHERE is_back) AS back FROM ({left_over}) AS every WHERE (is_taken OR NOT $1) AND NOT (is_back AND is_same)

-- name: count_kept
SELECT count(*) AS rows, count(*) FILTER (WHERE EXISTS (SELECT FROM {table} AS there WHERE {same_there})) AS taken
FROM (SELECT {values} FROM {kept}) AS batch

-- name: drop_kept
DROP TABLE IF EXISTS {kept}
