-- An approval carries a seal: a row of the database must not be able to approve anything.

ALTER TABLE approvals ADD COLUMN seal text;
COMMENT ON COLUMN approvals.seal IS 'Over all that it allows; without it, it is none.';
