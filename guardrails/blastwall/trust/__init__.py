"""What may be read, started and used before anybody trusted it: projects, launches, what servers show."""
