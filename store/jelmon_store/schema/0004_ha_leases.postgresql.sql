-- Which replica of a pair of Prometheus servers is kept, by the time of its samples: a lease holds from `start_ms` to the
-- start of the next one; another replica may begin the next one at `until_ms`. Times are in milliseconds.
CREATE TABLE jelmore.ha_leases (
    tenant text NOT NULL,
    cluster text NOT NULL,
    start_ms bigint NOT NULL,
    until_ms bigint NOT NULL,
    replica text NOT NULL,
    PRIMARY KEY (tenant, cluster, start_ms)
);

DO $$
BEGIN
    IF to_regrole('jelmore_writer') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON jelmore.ha_leases TO jelmore_writer;
    END IF;
END
$$;
