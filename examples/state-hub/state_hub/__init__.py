"""State Hub, a sample service on PostgreSQL: topics, tasks, and an append-only log of progress."""
