"""What the sums of a window say about a stage: severity, impact, cascade risk, state, cause, episodes."""
