-- attempted_at: an action was about to be requested then, and from then on it is not requested again.
ALTER TABLE action_log ADD COLUMN attempted_at TEXT;

-- refused: the mail server will never accept it, for the reason that it gave.
CREATE TABLE letter_with_reason (
    id       TEXT PRIMARY KEY,
    left_at  TEXT NOT NULL,
    outcome  TEXT CHECK (outcome IN ('sent', 'failed', 'unknown', 'refused')),
    reason   TEXT NOT NULL DEFAULT ''
);
INSERT INTO letter_with_reason (id, left_at, outcome) SELECT id, left_at, outcome FROM letter;
DROP TABLE letter;
ALTER TABLE letter_with_reason RENAME TO letter;
CREATE INDEX letter_newest ON letter (left_at DESC);
CREATE INDEX letter_refused ON letter (left_at DESC) WHERE outcome = 'refused';
