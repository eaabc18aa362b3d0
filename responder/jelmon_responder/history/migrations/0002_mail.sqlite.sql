-- What people are to be told, written together with the alert, and the letters in which it went out.
CREATE TABLE notice (
    id          TEXT PRIMARY KEY,
    created_at  TEXT NOT NULL,
    urgent      INTEGER NOT NULL CHECK (urgent IN (0, 1)),
    subject     TEXT NOT NULL,
    body        TEXT NOT NULL,
    letter      TEXT
);

CREATE INDEX notice_waiting ON notice (created_at) WHERE letter IS NULL;
CREATE INDEX notice_by_letter ON notice (letter);

CREATE TABLE letter (
    id       TEXT PRIMARY KEY,
    left_at  TEXT NOT NULL,
    outcome  TEXT CHECK (outcome IN ('sent', 'failed', 'unknown'))
);

CREATE INDEX letter_newest ON letter (left_at DESC);
