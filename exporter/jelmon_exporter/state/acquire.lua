-- Become the owner of a partition if nobody holds its lease: the epoch goes up by one.
-- KEYS: meta, lease. ARGV: token, time to live of the lease in milliseconds.
-- Returns the epoch, or 0 while somebody else holds the lease.
set_aside(KEYS[2], 'string')
set_aside(KEYS[1], 'hash')
local left = redis.call('PTTL', KEYS[2])
if left == -1 or left > math.max(60000, 10 * tonumber(ARGV[2])) then
  redis.call('DEL', KEYS[2]) -- nobody takes a lease for so long: the clock of the host was wrong when it was taken
end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 0
end
if not whole_number(redis.call('HGET', KEYS[1], 'epoch')) then
  redis.call('HDEL', KEYS[1], 'epoch', 'version')
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return epoch
