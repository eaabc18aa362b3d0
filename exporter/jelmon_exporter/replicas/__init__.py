"""How several exporters share the work: leases, leadership, and a view of what others committed."""
