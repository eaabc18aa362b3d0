"""What people run beside the services: a simulated pipeline, a replay of recorded logs, single events."""
