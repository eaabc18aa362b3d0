"""What keeps the tables in shape: partitions, indexes or column store, rollups, retention. One receiver does it."""
