-- A change that is written again because its answer was lost has to know itself again: by an id of its own.

ALTER TABLE rollback_points ADD COLUMN claim uuid;
COMMENT ON COLUMN rollback_points.claim IS 'The last move from one status to another: its second try finds it done.';

ALTER TABLE audit_log ADD COLUMN entry uuid;
COMMENT ON COLUMN audit_log.entry IS 'Given by the daemon before it is written, so that it is written once.';
CREATE UNIQUE INDEX audit_log_once ON audit_log (entry);
