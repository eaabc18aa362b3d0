CREATE TABLE jelmore.notice (
    id          text        PRIMARY KEY,
    created_at  timestamptz NOT NULL,
    urgent      boolean     NOT NULL,
    subject     text        NOT NULL,
    body        text        NOT NULL,
    letter      text
);

CREATE INDEX notice_waiting ON jelmore.notice (created_at) WHERE letter IS NULL;
CREATE INDEX notice_by_letter ON jelmore.notice (letter);

COMMENT ON TABLE jelmore.notice IS 'What people are to be told by mail; letter is null while it waits.';

CREATE TABLE jelmore.letter (
    id       text        PRIMARY KEY,
    left_at  timestamptz NOT NULL,
    outcome  text        CHECK (outcome IN ('sent', 'failed', 'unknown'))
);

CREATE INDEX letter_newest ON jelmore.letter (left_at DESC);

COMMENT ON TABLE jelmore.letter IS 'Mails of the responder. unknown: it stopped while sending, so the notices went out again.';
