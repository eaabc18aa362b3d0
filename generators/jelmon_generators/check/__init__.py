"""What refuses to compile: one module for each family of checks, whose ids are in `jelmon_generators.checks`."""
