#!lua
-- Says that a gateway lives and asks who else does. KEYS: [1] the registry, a sorted set by ms of the server.
-- ARGV: [1] the gateway, or empty to only ask, [2] ms after which one counts as gone. Answers the live gateways.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
