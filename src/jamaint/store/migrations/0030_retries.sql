-- Further attempts of what failed, each linked to the one before; tasks that are kept from running because the daemon
-- died each time they ran.

-- Which triggers there are is the code's to say, and grows.
ALTER TABLE maintenance_executions DROP CONSTRAINT IF EXISTS maintenance_executions_trigger_check;
ALTER TABLE maintenance_executions
    ADD COLUMN attempt integer NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    ADD COLUMN retry_of uuid;
COMMENT ON COLUMN maintenance_executions.retry_of IS 'The execution that failed and is tried again by this one.';

ALTER TABLE maintenance_tasks
    ADD COLUMN quarantined_at timestamptz,
    ADD COLUMN released_at timestamptz;
COMMENT ON COLUMN maintenance_tasks.released_at IS 'Interruptions count from here: an administrator let it run again.';
