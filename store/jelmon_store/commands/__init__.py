"""Subcommands of ``jelmon store`` that do one thing and exit."""
