-- name: create
INSERT INTO rollback_points (id, execution_id, status, created_at, expires_at, opening, steps, bytes, seal)
VALUES ($1, $2, 'open', $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO NOTHING

-- name: begin_step
-- Written before the step begins: a crash from here on undoes it.
UPDATE rollback_points SET begun = $2 WHERE id = $1 AND begun < $2

-- name: begin_undo
-- Written before a step's undo begins.
UPDATE rollback_points SET undoing = undoing || $2::text WHERE id = $1 AND NOT $2 = ANY (undoing)

-- name: move
-- From one status to another, for whoever is first: this is how a purge and a rollback never both have it.
-- Whose answer was lost and tries again finds that it was the first: by its claim.
UPDATE rollback_points SET status = $3, result = coalesce($4::jsonb, result), claim = $5
WHERE id = $1 AND (status = ANY ($2::text[]) OR status = $3 AND claim = $5)
RETURNING *

-- name: note_bytes
UPDATE rollback_points SET bytes = $2 WHERE id = $1

-- name: of_execution
SELECT * FROM rollback_points WHERE execution_id = $1

-- name: of_executions
SELECT * FROM rollback_points WHERE execution_id = ANY ($1::uuid[])

-- name: half_way
-- What a daemon that died was putting back or purging.
SELECT * FROM rollback_points WHERE status IN ('undoing', 'purging')

-- name: held
-- What undos have put back, for cleanings to leave alone; what is purged since of the rest changes nothing of that.
SELECT execution_id, result -> 'held' AS held FROM rollback_points WHERE result ? 'held' ORDER BY created_at DESC

-- name: holding
-- Those points whole, each with its execution, the newest first; $1: only that of one execution.
SELECT point.*, run.task_name AS run_task, run.status AS run_status, run.metrics AS run_metrics
FROM rollback_points AS point JOIN maintenance_executions AS run ON run.id = point.execution_id
WHERE point.result ? 'held' AND ($1::uuid IS NULL OR point.execution_id = $1)
ORDER BY point.created_at DESC, point.id

-- name: put_held
-- What still is held of an undo; its other figures stay.
UPDATE rollback_points SET result = jsonb_set(result, '{held}', $2::jsonb) WHERE id = $1 AND result ? 'held'

-- name: incomplete
-- Rollbacks that wait for somebody to move something out of the way.
SELECT * FROM rollback_points WHERE status = 'incomplete' ORDER BY created_at DESC LIMIT 20

-- name: expired
-- Never that of an execution that still runs, however long ago it began. What is half purged is tried again.
SELECT point.* FROM rollback_points AS point JOIN maintenance_executions AS run ON run.id = point.execution_id
WHERE point.status IN ('open', 'incomplete', 'purging') AND point.expires_at <= $1
  AND run.status NOT IN ('scheduled', 'running')
ORDER BY point.expires_at LIMIT 20

-- name: kept
-- All that keep something, the oldest first, each with its execution.
SELECT point.*, run.task_name AS run_task, run.status AS run_status, run.metrics AS run_metrics
FROM rollback_points AS point JOIN maintenance_executions AS run ON run.id = point.execution_id
WHERE (point.status IN ('open', 'incomplete', 'purging', 'undoing') AND $1::uuid[] IS NULL)
   OR point.execution_id = ANY ($1::uuid[])
ORDER BY point.created_at, point.id

-- name: next_expiry
SELECT min(point.expires_at)
FROM rollback_points AS point JOIN maintenance_executions AS run ON run.id = point.execution_id
WHERE point.status IN ('open', 'incomplete', 'purging') AND run.status NOT IN ('scheduled', 'running')

-- name: put_off_purge
UPDATE rollback_points SET status = $3, expires_at = $2, result = coalesce(result, '{}') || $4::jsonb
WHERE id = $1

-- name: latest_known
-- How far time had come when something was last written.
SELECT greatest(
    (SELECT max(scheduled_for) FROM maintenance_executions WHERE status NOT IN ('scheduled')),
    (SELECT max(created_at) FROM rollback_points),
    (SELECT max(at) FROM audit_log))
