-- name: put
-- The same plan made again lives on for its whole time; an approval of it stays. What the guard says is of today: a
-- share can have grown without an item of the plan.
INSERT INTO plans (hash, task_name, header, created_at, created_by, expires_at, steps, warnings, refusals, items, bytes,
    itemised)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at, steps = excluded.steps,
    warnings = excluded.warnings, refusals = excluded.refusals
RETURNING *

-- name: by_prefix
SELECT * FROM plans WHERE hash >= $1 AND hash < $1 || 'g' AND expires_at > $2 LIMIT 2

-- name: page
SELECT * FROM plans
WHERE expires_at > $1 AND ($2::timestamptz IS NULL OR (created_at, hash) < ($2, $3))
ORDER BY created_at DESC, hash DESC LIMIT $4

-- name: approve
UPDATE plans SET approved_by = $2, approved_at = $3, approval_seal = $4 WHERE hash = $1 RETURNING *

-- name: expire
DELETE FROM plans WHERE expires_at <= $1

-- name: hashes
SELECT hash FROM plans

-- name: roots
SELECT task_name, sighting FROM task_roots

-- name: put_root
INSERT INTO task_roots (task_name, path, sighting) VALUES ($1, $2, $3)
ON CONFLICT (task_name, path) DO UPDATE SET sighting = excluded.sighting
