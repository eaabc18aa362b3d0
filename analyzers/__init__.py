"""The analyzers: history in; regression, bottleneck and health gauges out. Not built yet: their metrics stand in the catalogue."""
