"""Commands that produce events or projects: simulate, replay, emit, init."""
