"""The drivers, blocking and async, and what they need of the machine they run on."""
