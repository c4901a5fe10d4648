-- name: put
-- The whole state of an execution under an id that is ours: harmless when it is done twice, new or not. One statement
-- for both, so that a batch of either is one round trip.
INSERT INTO maintenance_executions AS kept (
    id, task_id, task_name, window_id, window_name, status, trigger, scheduled_for, deadline, started_at,
    completed_at, duration, steps, metrics, rollback_point, error, reasons, requested_by, options,
    attempt, retry_of, paused)
VALUES ($1, (SELECT id FROM maintenance_tasks WHERE id = $2), $3, (SELECT id FROM maintenance_windows WHERE id = $4),
    $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, started_at = excluded.started_at, completed_at = excluded.completed_at,
    duration = excluded.duration, steps = excluded.steps, metrics = excluded.metrics,
    rollback_point = excluded.rollback_point, error = excluded.error, reasons = excluded.reasons,
    paused = excluded.paused

-- name: unfinished
-- What a daemon that died left behind, and what still waits.
SELECT * FROM maintenance_executions WHERE status IN ('scheduled', 'running') ORDER BY scheduled_for, id

-- name: by_id
SELECT * FROM maintenance_executions WHERE id = $1

-- name: by_prefix
-- Two rows are enough to know that a prefix is not unique. The bounds make it a range of the primary key.
SELECT * FROM maintenance_executions WHERE id BETWEEN $1 AND $2 LIMIT 2

-- name: newest
SELECT * FROM maintenance_executions ORDER BY coalesce(started_at, scheduled_for) DESC, id DESC LIMIT 1

-- name: page
-- One page, the newest first; each filter is off when it is null.
SELECT * FROM maintenance_executions
WHERE ($1::text IS NULL OR task_name = $1)
  AND ($2::text IS NULL OR status = $2)
  AND ($3::timestamptz IS NULL OR scheduled_for >= $3)
  AND ($4::timestamptz IS NULL OR (scheduled_for, id) < ($4, $5::uuid))
ORDER BY scheduled_for DESC, id DESC
LIMIT $6

-- name: around
(SELECT * FROM maintenance_executions
 WHERE task_name = $1 AND scheduled_for <= $2
   AND (scheduled_for >= $2 - $3::interval OR completed_at >= $2 - $3::interval OR completed_at IS NULL)
 ORDER BY scheduled_for DESC LIMIT 3)
UNION ALL
(SELECT * FROM maintenance_executions
 WHERE task_name = $1 AND scheduled_for > $2 AND scheduled_for <= $2 + $3::interval
 ORDER BY scheduled_for LIMIT 2)
ORDER BY scheduled_for

-- name: newest_ended_by_task
-- Each task's newest execution that ran and has ended: what dependencies ask for.
SELECT DISTINCT ON (task_name) * FROM maintenance_executions
WHERE started_at IS NOT NULL AND status IN ('completed', 'failed', 'cancelled', 'rolled_back')
ORDER BY task_name, scheduled_for DESC

-- name: newest_skipped_by_task
-- Each task's newest execution that never started: what depends on it has nothing to build on.
SELECT DISTINCT ON (task_name) * FROM maintenance_executions
WHERE started_at IS NULL AND status = 'cancelled' AND trigger <> 'missed'
ORDER BY task_name, scheduled_for DESC

-- name: crashes_in_a_row
SELECT wanted.name AS task_name, count(*)::int AS crashes
FROM unnest($1::text[]) AS wanted (name)
CROSS JOIN LATERAL (
    SELECT status, error FROM maintenance_executions AS one
    WHERE one.task_name = wanted.name AND started_at IS NOT NULL AND started_at > coalesce(
        (SELECT released_at FROM maintenance_tasks AS task WHERE task.name = wanted.name), '-infinity')
    ORDER BY scheduled_for DESC LIMIT $2) AS newest
WHERE newest.error ->> 'kind' = 'interrupted' AND newest.status IN ('failed', 'rolled_back')
GROUP BY wanted.name

-- name: last_occurrences
-- Where each task's calendar stands: its newest occurrence, started or skipped.
SELECT task_id, max(scheduled_for) AS scheduled_for FROM maintenance_executions
WHERE trigger = 'schedule' AND task_id IS NOT NULL GROUP BY task_id

-- name: totals
SELECT count(*) FILTER (WHERE status = 'completed') AS completed,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE status = 'rolled_back') AS rolled_back,
    coalesce(sum((metrics ->> 'freed_space')::bigint), 0)::bigint AS freed_space
FROM maintenance_executions WHERE completed_at >= $1 AND scheduled_for >= $1 - interval '1 day'

-- name: add_log
INSERT INTO maintenance_execution_logs (execution_id, seq, at, level, step, message)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING

-- name: logs
SELECT seq, at, level, step, message FROM maintenance_execution_logs
WHERE execution_id = $1 AND seq > $2 ORDER BY seq LIMIT $3

-- name: last_logs
SELECT seq, at, level, step, message FROM (
    SELECT seq, at, level, step, message FROM maintenance_execution_logs
    WHERE execution_id = $1 ORDER BY seq DESC LIMIT $2) AS newest
ORDER BY seq

-- name: durations
-- How long each task's newest completed executions took, and when the newest ended: by the index on task and time.
SELECT task.name AS task_name, run.duration, run.completed_at
FROM maintenance_tasks AS task CROSS JOIN LATERAL (
    SELECT duration, completed_at, scheduled_for FROM maintenance_executions
    WHERE task_name = task.name AND status = 'completed' AND duration IS NOT NULL
    ORDER BY scheduled_for DESC LIMIT $1) AS run
ORDER BY task.name, run.scheduled_for
