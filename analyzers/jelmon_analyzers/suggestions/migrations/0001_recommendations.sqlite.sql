-- IF NOT EXISTS: earlier releases created the table without recording a version. Times are Unix seconds.
CREATE TABLE IF NOT EXISTS recommendations (
    id                text PRIMARY KEY,
    pipeline          text NOT NULL,
    stage             text NOT NULL,
    strategy          text NOT NULL,
    advice            text NOT NULL,
    action            text,
    severity          double precision,
    expected_seconds  double precision,
    opened_at         double precision NOT NULL,
    closed_at         double precision,
    applied_at        double precision,
    before_seconds    double precision,
    after_seconds     double precision
);
