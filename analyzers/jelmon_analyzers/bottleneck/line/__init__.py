"""The state of one pipeline, rebuilt from its events: stages, cards, workers, queue capacities."""
