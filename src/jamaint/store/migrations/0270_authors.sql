-- Four eyes: who has changed a task since root last defined it may not approve it, also when another edited it after.

ALTER TABLE maintenance_tasks ADD COLUMN authors text[] NOT NULL DEFAULT '{}';
UPDATE maintenance_tasks SET authors = ARRAY[created_by]
WHERE origin <> 'file' AND seal IS NULL AND created_by IS NOT NULL;
COMMENT ON COLUMN maintenance_tasks.authors IS 'Who has defined or changed it since root, or a file, last defined it.';
