-- name: all
SELECT window_name, starts_at, skipped_by FROM window_skips ORDER BY starts_at

-- name: add
INSERT INTO window_skips (window_name, starts_at, skipped_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: take_back
DELETE FROM window_skips WHERE window_name = $1 AND starts_at > $2
