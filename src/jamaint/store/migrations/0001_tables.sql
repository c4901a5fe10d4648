-- The tables of the specification, and what they need to be true: times with a zone, big integers, logs in a table of
-- their own, rollback points that exist, occurrences unique on task and time, an audit log that only grows.

CREATE TABLE daemon_lock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    holder text NOT NULL,
    since timestamptz NOT NULL
);
COMMENT ON TABLE daemon_lock IS
    'Who holds the advisory lock, for a message only: what counts is the lock, and every change of state is written on '
    'the very session that holds it.';

CREATE TABLE maintenance_tasks (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT '',
    type text NOT NULL,
    category text NOT NULL,
    priority text NOT NULL DEFAULT 'medium',
    schedule jsonb,
    enabled boolean NOT NULL DEFAULT true,
    config jsonb NOT NULL,
    dependencies jsonb NOT NULL DEFAULT '[]',
    conditions jsonb NOT NULL DEFAULT '[]',
    rollback jsonb NOT NULL,
    notifications jsonb NOT NULL DEFAULT '{}',
    executor text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('file', 'api')),
    definition jsonb NOT NULL,
    due_from timestamptz NOT NULL,
    paused_until timestamptz,
    switched_off boolean NOT NULL DEFAULT false,
    created_by text,
    seal text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN maintenance_tasks.seal IS 'Made by root, who may name anything; without it the grants bind.';
COMMENT ON COLUMN maintenance_tasks.definition IS 'The object as it was given; the other columns are read from it.';
COMMENT ON COLUMN maintenance_tasks.due_from IS 'Occurrences count from here: a changed schedule makes none of the past.';
COMMENT ON COLUMN maintenance_tasks.switched_off IS 'Disabled by an operator, whatever the definition says.';

CREATE TABLE maintenance_windows (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT '',
    schedule jsonb NOT NULL,
    duration integer NOT NULL CHECK (duration > 0),
    timezone text NOT NULL,
    allowed_tasks jsonb NOT NULL,
    max_concurrent_tasks integer NOT NULL DEFAULT 3 CHECK (max_concurrent_tasks > 0),
    emergency_override boolean NOT NULL DEFAULT false,
    notifications jsonb NOT NULL DEFAULT '{}',
    conditions jsonb NOT NULL DEFAULT '[]',
    origin text NOT NULL CHECK (origin IN ('file', 'api')),
    definition jsonb NOT NULL,
    created_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN maintenance_windows.duration IS 'elapsed minutes';

CREATE TABLE maintenance_executions (
    id uuid PRIMARY KEY,
    task_id uuid REFERENCES maintenance_tasks (id) ON DELETE SET NULL,
    task_name text NOT NULL,
    window_id uuid REFERENCES maintenance_windows (id) ON DELETE SET NULL,
    window_name text,
    status text NOT NULL
        CHECK (status IN ('scheduled', 'running', 'completed', 'failed', 'cancelled', 'rolled_back')),
    trigger text NOT NULL CHECK (trigger IN ('schedule', 'request')),
    scheduled_for timestamptz NOT NULL,
    deadline timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    duration bigint,
    steps jsonb NOT NULL DEFAULT '[]',
    metrics jsonb NOT NULL DEFAULT '{}',
    rollback_point uuid,
    error jsonb,
    reasons jsonb NOT NULL DEFAULT '[]',
    requested_by text,
    options jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT an_ended_execution_has_its_time
        CHECK (status IN ('scheduled', 'running') OR completed_at IS NOT NULL)
) WITH (fillfactor = 70);
COMMENT ON COLUMN maintenance_executions.duration IS 'milliseconds';

CREATE UNIQUE INDEX one_execution_per_occurrence ON maintenance_executions (task_id, scheduled_for)
    WHERE trigger = 'schedule';
CREATE INDEX maintenance_executions_by_time ON maintenance_executions (scheduled_for DESC, id);
CREATE INDEX maintenance_executions_by_task ON maintenance_executions (task_name, scheduled_for DESC);
-- No index on status: what is unfinished is asked for once, at start, and with one each change of status would have to
-- write every index anew.

CREATE TABLE maintenance_execution_logs (
    execution_id uuid NOT NULL REFERENCES maintenance_executions (id) ON DELETE CASCADE,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    level text NOT NULL CHECK (level IN ('debug', 'info', 'warning', 'error')),
    step text,
    message text NOT NULL,
    PRIMARY KEY (execution_id, seq)
);

CREATE TABLE rollback_points (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL UNIQUE REFERENCES maintenance_executions (id) ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('open', 'undoing', 'undone', 'incomplete', 'purging', 'purged')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    opening jsonb NOT NULL,
    steps jsonb NOT NULL,
    seal text NOT NULL,
    begun integer NOT NULL DEFAULT 0,
    undoing text[] NOT NULL DEFAULT '{}',
    bytes bigint NOT NULL DEFAULT 0,
    result jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON COLUMN rollback_points.opening IS 'What the worker was given: the undo runs with that, not with a later task.';
COMMENT ON COLUMN rollback_points.seal IS 'Over opening and steps: an undo runs commands, and a row must not name them.';
COMMENT ON COLUMN rollback_points.undoing IS 'Steps whose undo has been begun: written before, for those that must not run twice.';
COMMENT ON COLUMN rollback_points.begun IS 'How many of the steps have been begun: written before each one begins.';
CREATE INDEX rollback_points_to_purge ON rollback_points (expires_at) WHERE status IN ('open', 'incomplete');

CREATE TABLE cleanup_history (
    id uuid PRIMARY KEY,
    cleanup_type text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    duration bigint,
    operations jsonb NOT NULL,
    total_freed_space bigint NOT NULL DEFAULT 0,
    total_processed_items bigint NOT NULL DEFAULT 0,
    success boolean NOT NULL DEFAULT false,
    error_message text
);
CREATE INDEX cleanup_history_by_type ON cleanup_history (cleanup_type, started_at DESC);

CREATE TABLE maintenance_policies (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT '',
    scope jsonb NOT NULL,
    rules jsonb NOT NULL,
    actions jsonb NOT NULL,
    conditions jsonb NOT NULL DEFAULT '[]',
    enabled boolean NOT NULL DEFAULT true,
    priority integer NOT NULL DEFAULT 100,
    origin text NOT NULL CHECK (origin IN ('file', 'api')),
    definition jsonb NOT NULL,
    created_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE maintenance_metrics (
    id uuid PRIMARY KEY,
    timestamp timestamptz NOT NULL DEFAULT now(),
    metric_type text NOT NULL,
    metric_name text NOT NULL,
    value numeric NOT NULL,
    unit text,
    tags jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX maintenance_metrics_by_name ON maintenance_metrics (metric_type, metric_name, timestamp DESC);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    uid bigint NOT NULL,
    pid integer NOT NULL,
    user_name text NOT NULL,
    role text NOT NULL,
    method text NOT NULL,
    object text,
    outcome text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_by_time ON audit_log (at DESC);

CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows();
