-- Times are text in UTC with microseconds (2026-01-31T12:00:00.000000Z): they sort as they read.
CREATE TABLE alert_history (
    fingerprint       TEXT NOT NULL,
    starts_at         TEXT NOT NULL,
    ends_at           TEXT,
    status            TEXT NOT NULL CHECK (status IN ('firing', 'resolved')),
    closed_by         TEXT CHECK (closed_by IN ('resolved', 'reconciled', 'superseded')),
    alertname         TEXT NOT NULL,
    severity          TEXT NOT NULL,
    pipeline          TEXT NOT NULL,
    stage             TEXT NOT NULL,
    escalation_level  INTEGER NOT NULL,
    receiver          TEXT NOT NULL,
    labels            TEXT NOT NULL,
    annotations       TEXT NOT NULL,
    first_seen        TEXT NOT NULL,
    last_seen         TEXT NOT NULL,
    fired_at          TEXT,
    notifications     INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, starts_at),
    CHECK ((status = 'firing') = (ends_at IS NULL)),
    CHECK ((status = 'firing') = (closed_by IS NULL))
) WITHOUT ROWID;

CREATE INDEX alert_history_newest ON alert_history (starts_at DESC);
CREATE INDEX alert_history_by_name ON alert_history (alertname, starts_at DESC);
CREATE INDEX alert_history_firing ON alert_history (fingerprint) WHERE status = 'firing';

CREATE TABLE action_log (
    id            TEXT PRIMARY KEY,
    action        TEXT NOT NULL,
    requested_by  TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    starts_at     TEXT NOT NULL,
    pipeline      TEXT NOT NULL,
    stage         TEXT NOT NULL,
    requested_at  TEXT NOT NULL,
    outcome       TEXT,
    finished_at   TEXT,
    detail        TEXT NOT NULL
);

CREATE INDEX action_log_newest ON action_log (requested_at DESC);
CREATE INDEX action_log_pending ON action_log (requested_at) WHERE outcome IS NULL;
