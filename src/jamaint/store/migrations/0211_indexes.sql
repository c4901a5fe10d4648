-- The specification's indexes, as far as something asks by them. Of executions: a task or window that is deleted looks
-- for those that name it. Both columns never change, so that these indexes cost a write nothing after the first.
-- Not made: by status and by start, which each change of state would have to write anew (see 0001_tables.sql); of tasks
-- and policies by type or enabled, and of windows by schedule: all of them are in the daemon's memory, and read whole.

CREATE INDEX maintenance_executions_by_task_id ON maintenance_executions (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX maintenance_executions_by_window_id ON maintenance_executions (window_id) WHERE window_id IS NOT NULL;
