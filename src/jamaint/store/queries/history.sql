-- name: forget_undefined
-- Ended executions of tasks that are not defined any more; what can still be undone stays. In small transactions.
WITH old AS (
    SELECT run.id FROM maintenance_executions AS run
    WHERE run.completed_at < $2 AND run.scheduled_for < $2 AND run.task_name <> ALL ($1::text[])
      AND run.status IN ('completed', 'failed', 'cancelled', 'rolled_back')
      AND NOT EXISTS (SELECT FROM rollback_points AS point
          WHERE point.execution_id = run.id AND point.status NOT IN ('undone', 'purged'))
    LIMIT 500)
DELETE FROM maintenance_executions USING old WHERE maintenance_executions.id = old.id
RETURNING maintenance_executions.id

-- name: forget_audit
-- No later than 30 days ago, whatever is asked for: see the table's trigger.
DELETE FROM audit_log WHERE id IN (
    SELECT id FROM audit_log WHERE at < least($1, now() - interval '31 days') ORDER BY id LIMIT 5000)
RETURNING id

-- name: forget_cleanups
DELETE FROM cleanup_history WHERE started_at < $1

-- name: forget_approvals
DELETE FROM approvals WHERE expires_at < $1

-- name: forget_overrides
DELETE FROM emergency_overrides WHERE given_at < $1

-- name: forget_skips
DELETE FROM window_skips WHERE starts_at < $1
