"""What a policy is worth: an agent that obeys every order is replayed against it, without a model."""
