"""English, as far as a request needs it: word forms, the grammar of asking, what is asked and how often."""
