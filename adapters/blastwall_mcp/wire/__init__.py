"""JSON-RPC and what carries it: pipes, and small fetches."""
