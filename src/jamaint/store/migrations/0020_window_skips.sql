-- Openings that an operator has called off: by the window and the start that its schedule gives.

CREATE TABLE window_skips (
    window_name text NOT NULL,
    starts_at timestamptz NOT NULL,
    skipped_by text NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (window_name, starts_at)
);
