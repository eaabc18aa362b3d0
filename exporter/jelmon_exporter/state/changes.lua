-- What was committed of a partition since a version, for replicas that do not own it.
-- KEYS: meta, series, touched, declared, entries, ids. ARGV: epoch and version that the reader knows (0 for none).
-- Returns epoch, version, and unless both are known already: 1 if all series follow, else 0; fields and values in
-- turn, with an empty value for a series that is gone; and all declarations. Returns -1 if keys were evicted or
-- overwritten: the owner repairs that with its next commit.
for key, kind in pairs({ [1] = 'hash', [2] = 'hash', [3] = 'zset', [4] = 'hash', [5] = 'hash', [6] = 'list' }) do
  local found = redis.call('TYPE', KEYS[key])['ok']
  if found ~= 'none' and found ~= kind then
    return -1
  end
end
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'whole', 'sizes')
local epoch, version = whole_number(meta[1]), whole_number(meta[2])
if not epoch or not version then
  return -1
end
local known_sizes = string.match(meta[4] or '', '^' .. version .. ':(.*)$')
if known_sizes and known_sizes ~= sizes_of(KEYS[2], KEYS[5], KEYS[4], KEYS[6], KEYS[3]) then
  return -1
end
local known_epoch, known = tonumber(ARGV[1]), tonumber(ARGV[2])
if epoch == known_epoch and version == known then
  return { epoch, version }
end
local declared = redis.call('HGETALL', KEYS[4])
if known == 0 or epoch ~= known_epoch or version < known or (whole_number(meta[3]) or 0) > known then
  return { epoch, version, 1, redis.call('HGETALL', KEYS[2]), declared }
end
local fields = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. known, '+inf')
local found = {}
for index = 1, #fields, 4000 do
  local last = math.min(index + 3999, #fields)
  local values = redis.call('HMGET', KEYS[2], unpack(fields, index, last))
  for offset = 0, last - index do
    found[#found + 1] = fields[index + offset]
    found[#found + 1] = values[offset + 1] or ''
  end
end
return { epoch, version, 0, found, declared }
