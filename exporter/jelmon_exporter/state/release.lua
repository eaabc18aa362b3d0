-- Give up the lease of a partition, if it is ours.
-- KEYS: lease. ARGV: token.
set_aside(KEYS[1], 'string')
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
