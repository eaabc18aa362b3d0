"""Where events of the past come from: JSON Lines, event logs, a JetStream stream. Each yields arrivals in order."""
