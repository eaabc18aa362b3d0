"""What Prometheus' rules would have recorded, and which alerts about pipelines would have fired."""
