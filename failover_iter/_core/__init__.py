"""The decisions: pure, with no clock, thread, loop or log."""
