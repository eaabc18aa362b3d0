"""SQL databases of the services: numbered migrations, and connections to SQLite and PostgreSQL."""
