"""Process event logs (CSV) as events of cards and stages."""
