-- name: task_figures
-- How executions that ended in the period did, by task. A run and its retries count once, by the last attempt; what was
-- cancelled before it started is `skipped`. freed_space has what
-- purges freed since, and nothing of what was rolled back.
SELECT run.task_name,
    count(*) FILTER (WHERE run.status = 'completed') AS completed,
    count(*) FILTER (WHERE run.status = 'failed') AS failed,
    count(*) FILTER (WHERE run.status = 'rolled_back') AS rolled_back,
    count(*) FILTER (WHERE run.status = 'cancelled' AND run.started_at IS NOT NULL) AS cancelled,
    count(*) FILTER (WHERE run.status = 'cancelled' AND run.started_at IS NULL) AS skipped,
    count(run.duration) FILTER (WHERE run.status = 'completed') AS timed,
    (avg(run.duration) FILTER (WHERE run.status = 'completed') / 1000.0)::float8 AS mean_seconds,
    (percentile_cont(0.5) WITHIN GROUP (ORDER BY run.duration) FILTER (WHERE run.status = 'completed') / 1000.0)::float8
        AS median_seconds,
    (percentile_cont(0.9) WITHIN GROUP (ORDER BY run.duration) FILTER (WHERE run.status = 'completed') / 1000.0)::float8
        AS p90_seconds,
    coalesce(sum((run.metrics ->> 'freed_space')::bigint), 0)::bigint AS freed_bytes
FROM maintenance_executions AS run
WHERE run.completed_at >= $1 AND run.completed_at < $2
  AND run.status IN ('completed', 'failed', 'rolled_back', 'cancelled')
  AND NOT EXISTS (SELECT FROM maintenance_executions AS later
      WHERE later.retry_of = run.id AND later.completed_at >= $1 AND later.completed_at < $2)
GROUP BY run.task_name

-- name: last_successes
SELECT task_name, max(completed_at) AS at FROM maintenance_executions WHERE status = 'completed' GROUP BY task_name

-- name: window_runs
-- When something ran for a window in the period; what still runs ends at $2.
SELECT window_name, started_at, coalesce(completed_at, $2) AS ended_at
FROM maintenance_executions
WHERE window_name IS NOT NULL AND started_at < $2 AND coalesce(completed_at, $2) > $1

-- name: add
-- A row for each metric and five minutes; its id comes from what it is of, so that it is harmless to write it twice.
INSERT INTO maintenance_metrics (id, timestamp, metric_type, metric_name, value, unit, tags, metadata)
SELECT md5(concat_ws('|', '5m', extract(epoch FROM $1::timestamptz), type, name))::uuid, $1, type, name, mean, unit,
    '{"per": "5m"}', jsonb_build_object('n', n, 'min', least, 'avg', mean, 'max', most)
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::float8[], $7::float8[], $8::float8[])
    AS sample (type, name, unit, n, least, mean, most)
ON CONFLICT (id) DO NOTHING

-- name: roll_up
-- Each day's row made anew from its rows of five minutes: late rows are counted, and nothing is added twice.
INSERT INTO maintenance_metrics (id, timestamp, metric_type, metric_name, value, unit, tags, metadata)
SELECT md5(concat_ws('|', '1d', day, metric_type, metric_name))::uuid, day, metric_type, metric_name,
    sum((metadata ->> 'avg')::float8 * (metadata ->> 'n')::bigint) / sum((metadata ->> 'n')::bigint), min(unit),
    '{"per": "1d"}', jsonb_build_object('n', sum((metadata ->> 'n')::bigint), 'min', min((metadata ->> 'min')::float8),
        'avg', sum((metadata ->> 'avg')::float8 * (metadata ->> 'n')::bigint) / sum((metadata ->> 'n')::bigint),
        'max', max((metadata ->> 'max')::float8))
FROM (
    SELECT date_trunc('day', timestamp, 'UTC') AS day, metric_type, metric_name, unit, metadata
    FROM maintenance_metrics
    WHERE tags ->> 'per' = '5m' AND timestamp >= $1 AND timestamp < $2
) AS sample
GROUP BY day, metric_type, metric_name
ON CONFLICT (id) DO UPDATE SET value = excluded.value, metadata = excluded.metadata

-- name: since
-- The rows of five minutes from then on, one figure a metric.
SELECT metric_type, metric_name, min(unit) AS unit, sum((metadata ->> 'n')::bigint)::bigint AS n,
    min((metadata ->> 'min')::float8) AS least, max((metadata ->> 'max')::float8) AS most,
    sum((metadata ->> 'avg')::float8 * (metadata ->> 'n')::bigint) / sum((metadata ->> 'n')::bigint) AS mean
FROM maintenance_metrics
WHERE tags ->> 'per' = '5m' AND timestamp >= $1 AND timestamp < $2
GROUP BY metric_type, metric_name

-- name: forget
DELETE FROM maintenance_metrics
WHERE (tags ->> 'per' = '5m' AND timestamp < $1) OR (tags ->> 'per' = '1d' AND timestamp < $2)
