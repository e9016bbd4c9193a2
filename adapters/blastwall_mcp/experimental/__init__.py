"""What follows drafts that may still change, and is kept apart so that it can change with them."""
