-- Keep the lease of a partition, also one that ran out while nobody else took the partition.
-- KEYS: meta, lease. ARGV: epoch, token, time to live in milliseconds. Returns 1 if it is kept, else 0.
set_aside(KEYS[2], 'string')
set_aside(KEYS[1], 'hash')
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] then
  return 0
end
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'token')
local epoch = whole_number(stored[1]) or 0
if epoch > tonumber(ARGV[1]) or (epoch == tonumber(ARGV[1]) and stored[2] ~= ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
