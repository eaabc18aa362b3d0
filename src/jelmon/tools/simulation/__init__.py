"""The simulation of a pipeline: its scenario, its engine, and what stages and services report."""
