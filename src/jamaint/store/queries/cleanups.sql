-- name: put
-- A cleanup has the id of its execution, so that it is harmless to write it twice.
INSERT INTO cleanup_history (id, cleanup_type, started_at, completed_at, duration, operations, total_freed_space,
    total_processed_items, success, error_message)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET
    completed_at = excluded.completed_at, duration = excluded.duration, operations = excluded.operations,
    total_freed_space = excluded.total_freed_space, total_processed_items = excluded.total_processed_items,
    success = excluded.success, error_message = excluded.error_message

-- name: page
-- The newest first. What its execution says today goes beside it: one that was rolled back has freed nothing, and a
-- purge has freed more since.
SELECT kept.*, run.task_name, run.status, run.metrics AS metrics_now
FROM cleanup_history AS kept LEFT JOIN maintenance_executions AS run ON run.id = kept.id
WHERE ($1::timestamptz IS NULL OR kept.started_at >= $1)
  AND ($2::timestamptz IS NULL OR (kept.started_at, kept.id) < ($2, $3::uuid))
ORDER BY kept.started_at DESC, kept.id DESC
LIMIT $4

-- name: freed
-- What cleanups since then have freed, by operation; those that were rolled back have freed nothing.
SELECT operation ->> 'type' AS type, sum((operation ->> 'freed_space')::bigint)::bigint AS freed_space,
    sum((operation ->> 'processed_items')::bigint)::bigint AS processed_items
FROM cleanup_history AS kept
    JOIN maintenance_executions AS run ON run.id = kept.id AND run.status <> 'rolled_back',
    jsonb_array_elements(kept.operations) AS operation
WHERE kept.started_at >= $1
GROUP BY 1
