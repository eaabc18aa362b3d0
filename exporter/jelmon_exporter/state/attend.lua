-- Say that a replica is alive, and ask who else is. Only Redis' own clock counts.
-- KEYS: replicas. ARGV: name, time to live in milliseconds (0: it leaves). Returns the names of the living.
set_aside(KEYS[1], 'zset')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%d', now))
-- nobody registers for so long: the clock of the host was wrong; a replica that lives registers again
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('%d', now + 60000 + 10 * tonumber(ARGV[2])), '+inf')
return redis.call('ZRANGE', KEYS[1], 0, -1)
