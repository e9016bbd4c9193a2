"""Ways out of a sandbox, tried by `blastwall doctor --escape` and by the tests, there beside a control."""
