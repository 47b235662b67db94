"""The two scripts that run in Redis, each in one step: a question, and a report.

They follow the rules of `failover_iter.health`, on the clock of Redis, in whole milliseconds: a
test compares the two. A key of which nothing bad is known does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from failover_iter.health import Admission, Outcome, Rules, SourceHealth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BEGIN = """
local names = {'failures', 'generation', 'level', 'is_out', 'until', 'lease'}
local known = redis.call('HMGET', KEYS[1], 'rules', unpack(names))
local cell = {}
for i, name in ipairs(names) do cell[name] = tonumber(known[i + 1] or 0) end
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local memory, rules = tonumber(ARGV[2]), ARGV[3]
local function keep()
  local values = {'rules', rules}
  for _, name in ipairs(names) do
    values[#values + 1] = name
    values[#values + 1] = string.format('%.0f', cell[name])
  end
  redis.call('HSET', KEYS[1], unpack(values))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(now, cell['until']) - now + memory))
end
"""

_ADMIT = (
    _BEGIN
    + """
local rest, wait = tonumber(ARGV[4]), math.max(cell['until'], cell.lease) - now
local others = (known[1] and known[1] ~= rules) and known[1] or ''
local clean = (cell.failures == 0 and cell.level == 0 and cell.is_out == 0) and 1 or 0
if cell.is_out == 0 then return {'yes', cell.generation, 0, 0, clean, others} end
if wait > 0 then return {'no', cell.generation, 0, wait, 0, others} end
cell.lease = now + rest
keep()
return {'probe', cell.generation, cell.lease, 0, 0, others}
"""
)

_REPORT = (
    _BEGIN
    + """
local outcome, generation, lease = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local after, failures = tonumber(ARGV[7]), tonumber(ARGV[8])
local cooldown, maximum = tonumber(ARGV[9]), tonumber(ARGV[10])
if not known[1] and outcome ~= 'failed' then return 0 end
local current, probe, out = generation == cell.generation, lease > 0, cell.is_out == 1
if outcome == 'failed' and current and (probe or not out) then
  cell.failures = cell.failures + 1
  if out or after > 0 or cell.failures >= failures then
    local pause = math.min(maximum, cooldown * 2 ^ math.min(cell.level, 32))
    cell.failures, cell.level, cell.is_out, cell.lease = 0, cell.level + 1, 1, 0
    cell.generation = math.max(cell.generation + 1, now)
    cell['until'] = math.max(cell['until'], now + math.max(pause, after))
  end
elseif outcome == 'failed' and out and after > 0 then
  cell['until'] = math.max(cell['until'], now + after)
elseif outcome == 'committed' and current then
  if cell.level > 0 then cell.failures = math.max(cell.failures, failures - 1) end
  cell.is_out, cell.lease = 0, 0
elseif outcome == 'good' and current then
  cell.is_out, cell.lease, cell.failures, cell.level = 0, 0, 0, 0
elseif outcome == 'nothing' and probe and lease == cell.lease then
  cell.lease = 0
else
  return 0
end
keep()
return 1
"""
)


class Script:
    """A script, and the digest by which Redis knows it once it has seen it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


ADMIT: Final = Script(_ADMIT)
REPORT: Final = Script(_REPORT)


class Told(NamedTuple):
    """What became of an attempt, as a stream reports it."""

    admission: Admission
    outcome: Outcome
    retry_after: int
    rules: Rules


@dataclass(frozen=True, slots=True)
class Call:
    """A script with its key and arguments."""

    script: Script
    key: str
    arguments: tuple[Any, ...]


def question(name: str, rules: Rules, now: int) -> Call:
    """Ask for an admission."""
    return Call(ADMIT, name, (now, rules.memory, written(rules), rules.lease))


def report(prefix: str, told: Told, now: int) -> Call:
    """Tell what became of an attempt."""
    admission, rules = told.admission, told.rules
    ticket = (admission.generation, admission.lease)
    arguments = (told.outcome, *ticket, told.retry_after, *rules[:3])
    return Call(REPORT, prefix + admission.key, (now, rules.memory, written(rules), *arguments))


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
