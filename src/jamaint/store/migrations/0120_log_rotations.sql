-- When logs were rotated, and whether their writers were told.

CREATE TABLE log_rotations (
    execution_id uuid NOT NULL,
    task_name text NOT NULL,
    path bytea NOT NULL,
    rotated_at timestamptz NOT NULL,
    is_told boolean NOT NULL,
    PRIMARY KEY (execution_id, path)
);
COMMENT ON COLUMN log_rotations.path IS 'The bytes of its name: they need not be text.';
CREATE INDEX log_rotations_of_task ON log_rotations (task_name, path, rotated_at DESC);

CREATE TABLE log_rotation_runs (
    execution_id uuid PRIMARY KEY,
    task_name text NOT NULL,
    begun_at timestamptz NOT NULL
);
COMMENT ON TABLE log_rotation_runs IS 'Executions whose rotation was begun and has not been reported yet.';
