"""Programs that tests run as processes: a server whose application does what a test asks."""
