"""The script that runs in Redis: each question and each report is one step.

It follows the rules of `failover_iter.health`, on the clock of Redis, in whole milliseconds: a test
compares the two. A key of which nothing bad is known does not exist. It is one script, so that
Redis knows it for both or for neither, and calls stay in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from failover_iter.health import Admission, Outcome, Rules, SourceHealth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEXT: Final = """
local names = {'failures', 'generation', 'level', 'is_out', 'until', 'lease'}
local known = redis.call('HMGET', KEYS[1], 'rules', unpack(names))
local cell = {}
for i, name in ipairs(names) do cell[name] = tonumber(known[i + 1] or 0) end
local what, now, memory, rules = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function keep()
  local values = {'rules', rules}
  for _, name in ipairs(names) do
    values[#values + 1] = name
    values[#values + 1] = string.format('%.0f', cell[name])
  end
  redis.call('HSET', KEYS[1], unpack(values))
  local left = math.max(now, cell['until']) - now + memory
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left))
end
local out, generation, lease = cell.is_out == 1, tonumber(ARGV[5]), tonumber(ARGV[6])

if what == 'admit' then
  local others = (known[1] and known[1] ~= rules) and known[1] or ''
  local clean = (cell.failures == 0 and cell.level == 0 and not out) and 1 or 0
  if not out then return {'yes', cell.generation, 0, 0, clean, others} end
  local wait = math.max(cell['until'], cell.lease) - now
  if wait > 0 then return {'no', cell.generation, 0, wait, 0, others} end
  cell.lease = now + lease
  keep()
  return {'probe', cell.generation, cell.lease, 0, 0, others}
end

local after, failures = tonumber(ARGV[7]), tonumber(ARGV[8])
local cooldown, maximum = tonumber(ARGV[9]), tonumber(ARGV[10])
if not known[1] and what ~= 'failed' then return 0 end
local current, probe = generation == cell.generation, lease > 0
if what == 'failed' and current and (probe or not out) then
  cell.failures = cell.failures + 1
  if out or after > 0 or cell.failures >= failures then
    local pause = math.min(maximum, cooldown * 2 ^ math.min(cell.level, 32))
    cell.failures, cell.level, cell.is_out, cell.lease = 0, cell.level + 1, 1, 0
    cell.generation = math.max(cell.generation + 1, now)
    cell['until'] = math.max(cell['until'], now + math.max(pause, after))
  end
elseif what == 'failed' and out and after > 0 then
  cell['until'] = math.max(cell['until'], now + after)
elseif what == 'committed' and current then
  if cell.level > 0 then cell.failures = math.max(cell.failures, failures - 1) end
  cell.is_out, cell.lease = 0, 0
elseif what == 'good' and current then
  cell.is_out, cell.lease, cell.failures, cell.level = 0, 0, 0, 0
elseif what == 'nothing' and probe and lease == cell.lease then
  cell.lease = 0
else
  return 0
end
keep()
return 1
"""
#: By which Redis knows it once it has seen it.
DIGEST: Final = sha1(TEXT.encode(), usedforsecurity=False).hexdigest()


class Told(NamedTuple):
    """What became of an attempt, as a stream reports it."""

    admission: Admission
    outcome: Outcome
    retry_after: int
    rules: Rules


class Call(NamedTuple):
    """A call of the script: its key and its arguments."""

    key: str
    arguments: tuple[Any, ...]


def question(name: str, rules: Rules, now: int) -> Call:
    """Ask for an admission."""
    return Call(name, ("admit", now, rules.memory, written(rules), 0, rules.lease))


def report(prefix: str, told: Told, now: int) -> Call:
    """Report the outcome of an attempt."""
    admission, rules = told.admission, told.rules
    ticket = (admission.generation, admission.lease, told.retry_after)
    what = (told.outcome, now, rules.memory, written(rules))
    return Call(prefix + admission.key, (*what, *ticket, *rules[:3]))


def written(rules: Rules) -> str:
    """The rules as processes compare them."""
    return " ".join(f"{name}={value}" for name, value in zip(rules._fields, rules, strict=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """What Redis answers to a question."""

    admission: Admission
    is_clean: bool
    """Whether nothing speaks against the source."""
    others: str
    """The rules of another process, if they differ."""


def answer(key: str, values: Sequence[Any]) -> Answer:
    """Read an answer."""
    verdict: Any = text(values[0])
    generation, lease, wait, clean = map(int, values[1:5])
    admission = Admission(key, verdict, generation, lease, wait / 1000)
    return Answer(admission, bool(clean), text(values[5]))


def health(values: Mapping[Any, Any], now: int) -> SourceHealth:
    """Read the hash of a key."""
    cell = {text(name): text(value) for name, value in values.items()}
    failures, level, until, lease = (
        int(cell.get(name, 0)) for name in ("failures", "level", "until", "lease")
    )
    if cell.get("is_out") != "1":
        return SourceHealth("ok", failures, 0.0, level)
    state: Any = "probing" if until <= now < lease else "out"
    return SourceHealth(state, failures, max(0, until - now) / 1000, level)


def text(value: bytes | str) -> str:
    """What Redis returns, whether the client decodes it or not."""
    return value.decode() if isinstance(value, bytes) else value
