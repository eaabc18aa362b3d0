"""Panel types: functions that return a panel with our defaults."""
