"""What the services would expose: the exporter's page and the analyzers' page, as columns of numbers."""
