-- Which receiver wrote the series of a group last. A receiver locks the rows of the groups that it writes until its
-- transaction ends; where another receiver was the last, it compares its samples with those in the table.
CREATE TABLE jelmore.write_groups (
    group_id int PRIMARY KEY,
    receiver bigint NOT NULL
) WITH (fillfactor = 50);

DO $$
BEGIN
    IF to_regrole('jelmore_writer') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON jelmore.write_groups TO jelmore_writer;
    END IF;
END
$$;
