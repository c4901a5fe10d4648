-- name: create_noted
-- Indexes that nobody seems to use: since when, and what became of them.
CREATE {unlogged}TABLE IF NOT EXISTS jamaint.noted_indexes (
    relation oid NOT NULL, name text NOT NULL, since timestamptz NOT NULL, looks int NOT NULL, looked_at timestamptz NOT NULL,
    scans int8 NOT NULL, PRIMARY KEY (relation, name))

-- name: create_dropped
-- What was dropped, with all that makes it again as it was; baseline is how its table was read until then.
CREATE TABLE IF NOT EXISTS jamaint.dropped_indexes (
    execution text NOT NULL, relation oid NOT NULL, table_name text NOT NULL, name text NOT NULL, quoted text NOT NULL,
    definition text NOT NULL, comment text, tablespace text, statistics jsonb NOT NULL, bytes int8 NOT NULL,
    dropped_at timestamptz NOT NULL, baseline jsonb NOT NULL, state text NOT NULL DEFAULT 'dropping',
    PRIMARY KEY (execution, quoted))

-- name: exists
SELECT to_regclass('jamaint.dropped_indexes') IS NOT NULL

-- name: noted
SELECT relation, name, since, looks, looked_at, scans FROM jamaint.noted_indexes

-- name: note
-- A look is counted once a day; an index that was scanned since begins anew.
INSERT INTO jamaint.noted_indexes AS n (relation, name, since, looks, looked_at, scans) VALUES ($1, $2, $3, 1, $3, $4)
ON CONFLICT (relation, name) DO UPDATE SET
    since = CASE WHEN n.scans = excluded.scans THEN n.since ELSE excluded.since END,
    looks = CASE WHEN n.scans <> excluded.scans THEN 1
        WHEN excluded.looked_at - n.looked_at > interval '20 hours' THEN n.looks + 1 ELSE n.looks END,
    looked_at = CASE WHEN n.scans <> excluded.scans OR excluded.looked_at - n.looked_at > interval '20 hours'
        THEN excluded.looked_at ELSE n.looked_at END,
    scans = excluded.scans

-- name: forget
DELETE FROM jamaint.noted_indexes WHERE relation = $1 AND name = $2

-- name: about
-- What the definition does not say.
SELECT obj_description(c.oid, 'pg_class') AS comment, t.spcname::text AS tablespace,
    coalesce((SELECT jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attstattarget >= 0), '{}')::text AS statistics
FROM pg_class c LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.oid = $1

-- name: reading
-- How a table is read: times and rows of sequential scans so far.
SELECT seq_scan AS scans, seq_tup_read AS rows, coalesce(idx_scan, 0) AS index_scans FROM pg_stat_user_tables WHERE relid = $1

-- name: keep
INSERT INTO jamaint.dropped_indexes (execution, relation, table_name, name, quoted, definition, comment, tablespace,
    statistics, bytes, dropped_at, baseline)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11, $12::text::jsonb)
ON CONFLICT (execution, quoted) DO NOTHING

-- name: move
UPDATE jamaint.dropped_indexes SET state = $3 WHERE execution = $1 AND quoted = $2

-- name: of_execution
SELECT * FROM jamaint.dropped_indexes WHERE execution = $1 AND state IN ('dropping', 'watched', 'settled') ORDER BY quoted

-- name: half_dropped
-- Of executions that were cut short in the midst of a drop.
SELECT d.*, i.indisvalid AS is_valid FROM jamaint.dropped_indexes d
LEFT JOIN pg_index i ON i.indexrelid = to_regclass(d.quoted) WHERE d.state = 'dropping'

-- name: unkeep
DELETE FROM jamaint.dropped_indexes WHERE execution = $1 AND quoted = $2

-- name: watched
SELECT * FROM jamaint.dropped_indexes WHERE state = 'watched' ORDER BY dropped_at

-- name: let_go
DELETE FROM jamaint.dropped_indexes WHERE execution = $1

-- name: there
SELECT i.indisvalid AS is_valid, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i WHERE i.indexrelid = to_regclass($1)

-- name: table_there
SELECT EXISTS (SELECT FROM pg_class WHERE oid = $1)

-- name: comment
COMMENT ON INDEX {index} IS {text}

-- name: quote
SELECT quote_literal($1::text)

-- name: statistics
ALTER INDEX {index} ALTER COLUMN {number} SET STATISTICS {target}

-- name: tablespace
SET default_tablespace = {tablespace}
