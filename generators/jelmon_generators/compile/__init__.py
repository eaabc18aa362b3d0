"""Checked definitions to rules, groups and routes: pure functions from data to data."""
