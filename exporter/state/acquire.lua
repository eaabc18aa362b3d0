-- Become the owner of a partition: the epoch goes up by one.
-- KEYS: meta. ARGV: token. Returns the epoch.
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return epoch
