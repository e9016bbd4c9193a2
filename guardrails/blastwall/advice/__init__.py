"""What to do about a policy: what its author can not mean, what a change does, what it could allow."""
