"""The servers behind the proxy: started, reached, supervised, spoken to in their own era."""
