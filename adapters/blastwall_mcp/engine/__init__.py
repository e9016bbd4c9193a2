"""What the proxy does with each message: who may, in whose name, and what comes back."""
