-- name: all
SELECT * FROM maintenance_policies

-- name: put
INSERT INTO maintenance_policies AS kept (id, name, description, scope, rules, actions, conditions, enabled, priority,
    origin, definition, created_by, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (name) DO UPDATE SET
    description = excluded.description, scope = excluded.scope, rules = excluded.rules, actions = excluded.actions,
    conditions = excluded.conditions, enabled = excluded.enabled, priority = excluded.priority,
    origin = excluded.origin, definition = excluded.definition, created_by = excluded.created_by, seal = excluded.seal,
    updated_at = CASE WHEN kept.definition = excluded.definition THEN kept.updated_at ELSE now() END

-- name: delete
DELETE FROM maintenance_policies WHERE name = $1

-- name: starts
-- When executions started since then, for what limits their rate; by the index on time.
SELECT task_name, started_at FROM maintenance_executions
WHERE started_at >= $1 AND scheduled_for >= $1 - interval '8 days' ORDER BY started_at

-- name: forget
-- Of one task, what ended before then; neither what can still be undone, nor the newest, on which its calendar and what
-- depends on it are built. In small transactions.
WITH old AS (
    SELECT run.id FROM maintenance_executions AS run
    WHERE run.task_name = $1 AND run.completed_at < $2
      AND run.status IN ('completed', 'failed', 'cancelled', 'rolled_back')
      AND run.scheduled_for < (SELECT max(scheduled_for) FROM maintenance_executions
          WHERE task_name = $1 AND trigger = run.trigger)
      AND run.id IS DISTINCT FROM (SELECT id FROM maintenance_executions
          WHERE task_name = $1 AND started_at IS NOT NULL ORDER BY scheduled_for DESC LIMIT 1)
      AND NOT EXISTS (SELECT FROM rollback_points AS point
          WHERE point.execution_id = run.id AND point.status NOT IN ('undone', 'purged'))
    LIMIT 500)
DELETE FROM maintenance_executions USING old WHERE maintenance_executions.id = old.id
RETURNING maintenance_executions.id

-- name: approve
INSERT INTO approvals (id, task_name, execution_id, plan, occurrences, reason, approved_by, principals, approved_at,
    expires_at, seal, definition)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING

-- name: use_approval
INSERT INTO approval_uses (approval_id, execution_id) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: approvals
SELECT approvals.*, ARRAY (SELECT execution_id FROM approval_uses WHERE approval_id = approvals.id) AS used_by
FROM approvals WHERE expires_at > $1 ORDER BY approved_at

-- name: overrides
SELECT * FROM emergency_overrides
WHERE ($1::timestamptz IS NULL OR given_at >= $1) AND ($2::timestamptz IS NULL OR (given_at, id) < ($2, $3::uuid))
ORDER BY given_at DESC, id DESC LIMIT $4

-- name: override
INSERT INTO emergency_overrides (id, execution_id, task_name, window_name, given_by, uid, reason, given_at, until, lifts,
    lifted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING
