-- Keep the lease of a partition, also one that ran out while nobody else took the partition.
-- KEYS: meta, lease. ARGV: epoch, token, time to live in milliseconds. Returns 1 if it is kept, else 0.
set_aside(KEYS[2], 'string')
set_aside(KEYS[1], 'hash')
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'token')
local epoch, mine = whole_number(stored[1]) or 0, tonumber(ARGV[1])
if epoch > mine or (epoch == mine and stored[2] ~= ARGV[2] and not precedes(ARGV[2], stored[2])) then
  return 0
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] and stored[2] ~= ARGV[2] then
  -- Redis lost its data, and a replica took the partition as if it were new: only the owner before knows its counts,
  -- and without a version it has to write them all
  redis.call('HSET', KEYS[1], 'epoch', mine, 'token', ARGV[2])
  redis.call('HDEL', KEYS[1], 'version')
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
