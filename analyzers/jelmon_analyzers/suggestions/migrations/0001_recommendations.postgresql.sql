-- IF NOT EXISTS: earlier releases created the table without recording a version.
CREATE TABLE IF NOT EXISTS jelmore.recommendations (
    id                text PRIMARY KEY,
    pipeline          text NOT NULL,
    stage             text NOT NULL,
    strategy          text NOT NULL,
    advice            text NOT NULL,
    action            text,
    severity          double precision,
    expected_seconds  double precision,
    opened_at         timestamptz NOT NULL,
    closed_at         timestamptz,
    applied_at        timestamptz,
    before_seconds    double precision,
    after_seconds     double precision
);
