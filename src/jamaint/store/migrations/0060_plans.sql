-- Plans that were stored, and what was seen of each task's roots at its last run.

CREATE TABLE plans (
    hash text PRIMARY KEY,
    task_name text NOT NULL,
    header jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    steps jsonb NOT NULL,
    warnings jsonb NOT NULL,
    refusals jsonb NOT NULL,
    items bigint NOT NULL,
    bytes bigint NOT NULL,
    itemised boolean NOT NULL,
    approved_by text,
    approved_at timestamptz,
    approval_seal text
);
COMMENT ON COLUMN plans.hash IS 'Over the header and the items, which are in a file of that name below the state directory.';
COMMENT ON COLUMN plans.bytes IS 'What the files of its items hold.';
COMMENT ON COLUMN plans.approval_seal IS 'Over hash and approver: a row must not approve itself.';
CREATE INDEX plans_by_time ON plans (created_at DESC);

CREATE TABLE task_roots (
    task_name text NOT NULL,
    path text NOT NULL,
    sighting jsonb NOT NULL,
    PRIMARY KEY (task_name, path)
);
