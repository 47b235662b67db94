"""The adapters: one module for each provider's SDK."""
