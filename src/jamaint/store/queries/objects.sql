-- name: tasks
SELECT * FROM maintenance_tasks

-- name: put_task
INSERT INTO maintenance_tasks AS kept (id, name, description, type, category, priority, schedule, enabled, config,
    dependencies, conditions, rollback, notifications, executor, origin, definition, due_from, created_by, seal, authors)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    CASE WHEN $15 = 'file' OR $19::text IS NOT NULL OR $18::text IS NULL THEN '{}' ELSE ARRAY[$18::text] END)
ON CONFLICT (name) DO UPDATE SET
    description = excluded.description, type = excluded.type, category = excluded.category,
    priority = excluded.priority, enabled = excluded.enabled, config = excluded.config,
    dependencies = excluded.dependencies, conditions = excluded.conditions, rollback = excluded.rollback,
    notifications = excluded.notifications, executor = excluded.executor, origin = excluded.origin,
    definition = excluded.definition, schedule = excluded.schedule, seal = excluded.seal,
    created_by = excluded.created_by,
    authors = CASE WHEN excluded.authors = '{}' THEN '{}' WHEN kept.authors @> excluded.authors THEN kept.authors
        ELSE kept.authors || excluded.authors END,
    due_from = CASE WHEN kept.schedule IS NOT DISTINCT FROM excluded.schedule AND kept.enabled
        THEN kept.due_from ELSE excluded.due_from END,
    updated_at = CASE WHEN kept.definition = excluded.definition THEN kept.updated_at ELSE now() END
RETURNING *

-- name: delete_task
DELETE FROM maintenance_tasks WHERE name = $1

-- name: switch_task
UPDATE maintenance_tasks SET switched_off = $2, due_from = CASE WHEN $2 THEN due_from ELSE $3 END WHERE name = $1

-- name: pause_task
UPDATE maintenance_tasks SET paused_until = $2 WHERE name = $1

-- name: quarantine_task
UPDATE maintenance_tasks SET quarantined_at = $2, released_at = CASE WHEN $2::timestamptz IS NULL THEN $3 ELSE released_at END
WHERE name = $1

-- name: windows
SELECT * FROM maintenance_windows

-- name: put_window
INSERT INTO maintenance_windows AS kept (id, name, description, schedule, duration, timezone, allowed_tasks,
    max_concurrent_tasks, emergency_override, notifications, conditions, origin, definition, created_by, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (name) DO UPDATE SET
    description = excluded.description, schedule = excluded.schedule,
    duration = excluded.duration, timezone = excluded.timezone, allowed_tasks = excluded.allowed_tasks,
    max_concurrent_tasks = excluded.max_concurrent_tasks, emergency_override = excluded.emergency_override,
    notifications = excluded.notifications, conditions = excluded.conditions, origin = excluded.origin,
    definition = excluded.definition, seal = excluded.seal,
    updated_at = CASE WHEN kept.definition = excluded.definition THEN kept.updated_at ELSE now() END

-- name: delete_window
DELETE FROM maintenance_windows WHERE name = $1
