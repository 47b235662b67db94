"""The adapters: one file for each provider's SDK."""
