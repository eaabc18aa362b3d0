"""What every service process needs: lifecycle, HTTP server, metrics registry, logging, retries and task handling."""
