-- Become the owner of a partition if nobody holds its lease: the epoch goes up by one.
-- KEYS: meta, lease. ARGV: token, time to live of the lease in milliseconds.
-- Returns the epoch, or 0 while somebody else holds the lease.
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 0
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return epoch
