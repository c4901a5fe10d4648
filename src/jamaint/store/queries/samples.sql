-- name: add
INSERT INTO maintenance_metrics (id, timestamp, metric_type, metric_name, value, unit, tags)
-- Its id comes from what it is of, so that it is harmless to write it twice.
SELECT md5(concat_ws('|', extract(epoch FROM $1::timestamptz), kind, name))::uuid, $1, 'usage', kind, value, 'B',
    jsonb_build_object('name', name)
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS sample (kind, name, value)
ON CONFLICT (id) DO NOTHING

-- name: since
-- One sample a day and thing is enough to see how it grows over weeks; of the last day, each.
SELECT metric_name AS kind, tags ->> 'name' AS name, timestamp, value::bigint AS value
FROM (
    SELECT DISTINCT ON (metric_name, tags ->> 'name',
            CASE WHEN timestamp >= $2 THEN timestamp ELSE date_trunc('day', timestamp) END)
        metric_name, tags, timestamp, value
    FROM maintenance_metrics
    WHERE metric_type = 'usage' AND timestamp >= $1 AND timestamp <= $3
    ORDER BY metric_name, tags ->> 'name',
        CASE WHEN timestamp >= $2 THEN timestamp ELSE date_trunc('day', timestamp) END, timestamp DESC
) AS newest
ORDER BY timestamp

-- name: forget
DELETE FROM maintenance_metrics WHERE metric_type = 'usage' AND timestamp < $1
