"""The command `failover-iter`."""
