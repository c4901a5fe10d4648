-- name: append
INSERT INTO audit_log (at, uid, pid, user_name, role, method, object, outcome, detail, entry)
SELECT * FROM unnest($1::timestamptz[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::jsonb[], $10::uuid[])
ON CONFLICT (entry) DO NOTHING

-- name: page
SELECT * FROM audit_log
WHERE ($1::timestamptz IS NULL OR at >= $1) AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
