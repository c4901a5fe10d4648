-- name: newest
SELECT DISTINCT ON (path) path, rotated_at, is_told, execution_id
FROM log_rotations WHERE task_name = $1 ORDER BY path, rotated_at DESC

-- name: open
SELECT execution_id, begun_at FROM log_rotation_runs WHERE task_name = $1 ORDER BY begun_at

-- name: begin
-- Written before the first log gets another name.
INSERT INTO log_rotation_runs (execution_id, task_name, begun_at) VALUES ($1, $2, $3)
ON CONFLICT (execution_id) DO NOTHING

-- name: put
INSERT INTO log_rotations (execution_id, task_name, path, rotated_at, is_told)
SELECT one.execution_id, $1, one.path, one.rotated_at, one.is_told
FROM unnest($2::uuid[], $3::bytea[], $4::timestamptz[], $5::boolean[])
    AS one (execution_id, path, rotated_at, is_told)
ON CONFLICT (execution_id, path) DO UPDATE SET rotated_at = excluded.rotated_at, is_told = excluded.is_told

-- name: close
-- Whoever reports has looked after those that were cut short before.
DELETE FROM log_rotation_runs WHERE task_name = $1

-- name: forget
-- The newest of each log stays for as long as anything may depend on it; an older one only while it can be gone back to.
DELETE FROM log_rotations AS old WHERE old.task_name = $1 AND old.rotated_at < $2 AND (
    old.rotated_at < $2 - interval '1000 days' OR EXISTS (
        SELECT FROM log_rotations AS newer
        WHERE newer.task_name = $1 AND newer.path = old.path AND newer.rotated_at > old.rotated_at))

-- name: reopen
-- A rollback that left something: which logs have their names back, the disk has to tell.
INSERT INTO log_rotation_runs (execution_id, task_name, begun_at)
SELECT execution_id, task_name, min(rotated_at) FROM log_rotations WHERE execution_id = $1
GROUP BY execution_id, task_name
ON CONFLICT (execution_id) DO NOTHING

-- name: take_back
DELETE FROM log_rotations WHERE execution_id = $1

-- name: close_one
DELETE FROM log_rotation_runs WHERE execution_id = $1
