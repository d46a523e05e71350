"""Recordings behind a URL: what an address may be, reaching what lies there, fetching a copy."""
