"""The types that the signatures of the public functions name."""

from failover_iter._mid_stream import MidStream
from failover_iter._types import Mode, RetryOn

__all__ = ["MidStream", "Mode", "RetryOn"]
