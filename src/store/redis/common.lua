-- Before the script text stands `local RUN = "<term>"`: the process, and its term as a primary, that these counters must
-- have been loaded in.
-- The hash of a domain, KEYS[1], has these fields (B is `scope|owner|limit|period`, E the owner's epoch):
--   m        RUN:<µs of loading>: which process, which loading; tombstones carry the same text
--   d        no hold expires before this (ms); absent: no hold
--   w, a     not admitting before this (ms), and the gateways that have not announced yet, blank-separated
--   e|owner  E:<ms when it was opened>
--   u|B|E h|B|E p|B|E   used, held, and `start:end` of the period (ms); open requests have only h|B|0
--   g|B      when the next unit of a rate is due (µs)
--   r|<rid>  cmsgpack of {expires ms, then for each hold: B, E, E of its fields, amount}; also, where they apply,
--            `m`: the message it is a charged attempt of, `a`: when it was admitted (ms), `n`: which repeat it is
--   c|<key>  a charged message that may be repeated: `<ms of its admission>:<repeats so far>`
local key = KEYS[1]
local WEEK_MS = 604800000

local function warm(meta)
  return meta and string.sub(meta, 1, #RUN) == RUN
end

local function now_us(shift_ms)
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2] + shift_ms * 1000
end

-- Of a charged message: when it was admitted, and its repeats, as long as another repeat may go uncharged.
local function repeatable(charged, now)
  local at, repeats = string.match(charged or '', '^(%d+):(%d+)$')
  if at and now < at + REPEAT_WITHIN_MS and tonumber(repeats) < REPEATS_MAX then
    return at, tonumber(repeats)
  end
end

-- Keeps the key until a week after `end_ms`. The key's expiry only cleans up; a key that is gone is a cold domain.
local function keep(end_ms)
  redis.call('PEXPIREAT', key, end_ms + WEEK_MS, 'GT')
end
