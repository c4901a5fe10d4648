-- name: settings
-- For the session, and not as startup parameters, which a pooler may refuse or forget. search_path: nothing but the
-- server's own is found by an unqualified name. row_security off: a policy that would hide rows is an error instead.
SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false),
    set_config('search_path', 'pg_catalog, pg_temp', false), set_config('row_security', 'off', false),
    set_config('idle_in_transaction_session_timeout', '60s', false), set_config('tcp_keepalives_idle', '60', false),
    set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '6', false),
    set_config('client_connection_check_interval', '2s', false), set_config('DateStyle', 'ISO, YMD', false),
    set_config('IntervalStyle', 'iso_8601', false), set_config('extra_float_digits', '1', false),
    set_config('bytea_output', 'hex', false), set_config('jit', 'off', false),
    set_config('vacuum_cost_delay', '2ms', false), set_config('max_parallel_maintenance_workers', '0', false)

-- name: unlimited
-- Limits of a role or a database on its sessions, which would end ours in a rest or in the midst; some are of newer servers.
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')

-- name: identity
-- Who answers, asked before anything is set: the schemas are those that a name without one is looked for in.
SELECT pg_backend_pid() AS pid, current_user::text AS role, current_database()::text AS database,
    current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
    pg_is_in_recovery() AS in_recovery, current_schemas(false)::text[] AS schemas, clock_timestamp() AS now,
    current_setting('TimeZone') AS timezone, current_setting('session_replication_role') AS replication_role,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser

-- name: in_recovery
SELECT pg_is_in_recovery()

-- name: set_timeouts
SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false)
