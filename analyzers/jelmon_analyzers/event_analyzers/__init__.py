"""The analyzers that share one consumer of the event stream: bottlenecks, attribution, suggestions and health."""
