-- Become the owner of a partition if nobody holds its lease: the epoch goes up by one.
-- KEYS: meta, lease. ARGV: a unique name, time to live of the lease in milliseconds.
-- Returns the epoch and the token, which begins with the time; or nothing while somebody else holds the lease.
set_aside(KEYS[2], 'string')
set_aside(KEYS[1], 'hash')
local left = redis.call('PTTL', KEYS[2])
if left == -1 or left > math.max(60000, 10 * tonumber(ARGV[2])) then
  redis.call('DEL', KEYS[2]) -- nobody takes a lease for so long: the clock of the host was wrong when it was taken
end
local now = redis.call('TIME')
local token = string.format('%d%06d-%s', now[1], now[2], ARGV[1])
if not redis.call('SET', KEYS[2], token, 'NX', 'PX', ARGV[2]) then
  return {}
end
if not whole_number(redis.call('HGET', KEYS[1], 'epoch')) then
  redis.call('HDEL', KEYS[1], 'epoch', 'version')
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'token', token)
return { epoch, token }
