-- An approval is for the task as it was defined then: who edits it afterwards has to have it approved again.

ALTER TABLE approvals ADD COLUMN definition text;
COMMENT ON COLUMN approvals.definition IS 'Digest of the task''s definition; without it the approval lets nothing start.';
