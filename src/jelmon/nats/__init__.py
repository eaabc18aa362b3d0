"""Everything that talks to NATS directly: connection, streams, subjects, partitions, consumers and leases."""
