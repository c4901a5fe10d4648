-- Policies made by root carry a seal, as tasks do; approvals, what has started on them, and emergency overrides.

ALTER TABLE maintenance_policies ADD COLUMN seal text;
COMMENT ON COLUMN maintenance_policies.seal IS 'Made by root, who may name anything; without it the grants bind.';

CREATE TABLE approvals (
    id uuid PRIMARY KEY,
    task_name text NOT NULL,
    execution_id uuid,
    plan text,
    occurrences integer NOT NULL CHECK (occurrences > 0),
    reason text,
    approved_by text NOT NULL,
    principals text[] NOT NULL,
    approved_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON COLUMN approvals.plan IS 'The hash of the only plan that it is for; null: any.';
COMMENT ON COLUMN approvals.principals IS 'As whom the one who approved may stand in a policy: user:NAME, group:NAME, root, admin.';
CREATE INDEX approvals_by_end ON approvals (expires_at);

CREATE TABLE approval_uses (
    approval_id uuid NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    execution_id uuid NOT NULL,
    PRIMARY KEY (approval_id, execution_id)
);

CREATE TABLE emergency_overrides (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL,
    task_name text NOT NULL,
    window_name text,
    given_by text NOT NULL,
    uid bigint NOT NULL,
    reason text NOT NULL,
    given_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    lifts text[] NOT NULL,
    lifted jsonb NOT NULL DEFAULT '[]'
);
COMMENT ON COLUMN emergency_overrides.lifts IS 'The guards that it lifts, whatever they say.';
COMMENT ON COLUMN emergency_overrides.lifted IS 'Those that stood against the start when it was given, with what they said.';
CREATE INDEX emergency_overrides_by_time ON emergency_overrides (given_at DESC);
