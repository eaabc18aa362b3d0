CREATE TABLE jelmore.alert_history (
    fingerprint       text        NOT NULL,
    starts_at         timestamptz NOT NULL,
    ends_at           timestamptz,
    status            text        NOT NULL CHECK (status IN ('firing', 'resolved')),
    closed_by         text        CHECK (closed_by IN ('resolved', 'reconciled', 'superseded')),
    alertname         text        NOT NULL,
    severity          text        NOT NULL,
    pipeline          text        NOT NULL,
    stage             text        NOT NULL,
    escalation_level  smallint    NOT NULL,
    receiver          text        NOT NULL,
    labels            jsonb       NOT NULL,
    annotations       jsonb       NOT NULL,
    first_seen        timestamptz NOT NULL,
    last_seen         timestamptz NOT NULL,
    fired_at          timestamptz,
    notifications     bigint      NOT NULL,
    PRIMARY KEY (fingerprint, starts_at),
    CHECK ((status = 'firing') = (ends_at IS NULL)),
    CHECK ((status = 'firing') = (closed_by IS NULL))
);

CREATE INDEX alert_history_newest ON jelmore.alert_history (starts_at DESC);
CREATE INDEX alert_history_by_name ON jelmore.alert_history (alertname, starts_at DESC);
CREATE INDEX alert_history_firing ON jelmore.alert_history (fingerprint) WHERE status = 'firing';

COMMENT ON TABLE jelmore.alert_history IS 'One row for each time an alert fired, from its start to its end.';
COMMENT ON COLUMN jelmore.alert_history.closed_by IS
    'How the end became known: resolved (Alertmanager told it), reconciled (Alertmanager no longer had it), superseded (it began again later).';
COMMENT ON COLUMN jelmore.alert_history.fired_at IS 'When it was first heard to fire; null if only its end was heard.';
COMMENT ON COLUMN jelmore.alert_history.notifications IS 'Webhook calls that told of it, repeats included.';

CREATE TABLE jelmore.action_log (
    id            text        PRIMARY KEY,
    action        text        NOT NULL,
    requested_by  text        NOT NULL,
    fingerprint   text        NOT NULL,
    starts_at     timestamptz NOT NULL,
    pipeline      text        NOT NULL,
    stage         text        NOT NULL,
    requested_at  timestamptz NOT NULL,
    outcome       text,
    finished_at   timestamptz,
    detail        text        NOT NULL
);

CREATE INDEX action_log_newest ON jelmore.action_log (requested_at DESC);
CREATE INDEX action_log_pending ON jelmore.action_log (requested_at) WHERE outcome IS NULL;

COMMENT ON TABLE jelmore.action_log IS 'Automated actions that alerts asked for. outcome is null until the action was published, refused or given up.';
