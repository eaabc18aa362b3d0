"""What the exporter knows: series, cards in flight, and where it is kept."""
