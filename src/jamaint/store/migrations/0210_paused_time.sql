-- A pause is no work: without it, what was paused over a day would seem to take a day.

ALTER TABLE maintenance_executions ADD COLUMN paused bigint NOT NULL DEFAULT 0 CHECK (paused >= 0);
COMMENT ON COLUMN maintenance_executions.paused IS 'milliseconds that it stood still, which are not in duration';
