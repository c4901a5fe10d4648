-- name: database
-- Needs no more than the right to connect.
SELECT pg_catalog.pg_database_size(pg_catalog.current_database())
