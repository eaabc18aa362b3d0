"""The spool on disk, which accepts requests while the database is down."""
