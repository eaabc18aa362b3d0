"""Remote read: answers the queries of a Prometheus from the tables of the store."""
