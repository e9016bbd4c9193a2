"""Where clients meet the proxy: stdin and stdout, or HTTP."""
