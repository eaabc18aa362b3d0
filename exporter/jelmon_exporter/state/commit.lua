-- Write one batch and its stream position, or refuse.
-- KEYS: meta, series, entries, declared, ids, touched
-- ARGV: epoch, token, version, sequence, stream, time, whole (0 or 1), batches of ids to forget, ids ('' for none),
--       then five counts of what follows: series set (field and value), series gone, entries set, entries gone,
--       declared set
-- Returns 'done', 'already' (the reply to the same commit was lost), 'fenced' or 'behind' (the store fell back, or
-- keys were evicted or overwritten).
local meta = KEYS[1]
for key, kind in pairs({ [1] = 'hash', [2] = 'hash', [3] = 'hash', [4] = 'hash', [5] = 'list', [6] = 'zset' }) do
  set_aside(KEYS[key], kind)
end
local stored = redis.call('HMGET', meta, 'epoch', 'token', 'version', 'sizes')
local epoch = whole_number(stored[1]) or 0
local version = whole_number(stored[3]) or -1
local mine, next_version, whole = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[7] == '1'

local ours = epoch == mine and stored[2] == ARGV[2]
if epoch > mine or (epoch == mine and not ours and not precedes(ARGV[2], stored[2])) then
  return 'fenced'
end
if ours and version == next_version then
  return 'already'
end
local sizes = string.match(stored[4] or '', '^' .. version .. ':(.*)$') -- of a commit by another version: unknown
local intact = not sizes or sizes == sizes_of(KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
if not whole and (not ours or version ~= next_version - 1 or not intact) then
  return 'behind'
end

local at = 15
local function each_chunk(count, call)
  local last = at + count - 1
  while at <= last do
    local to = math.min(at + 3999, last) -- even, so that fields keep their values; Lua's stack holds 8000
    call(at, to)
    at = to + 1
  end
end
local function set(key)
  return function(from, to) redis.call('HSET', key, unpack(ARGV, from, to)) end
end
local function remove(key)
  return function(from, to) redis.call('HDEL', key, unpack(ARGV, from, to)) end
end

if whole then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
  redis.call('HSET', meta, 'epoch', mine, 'token', ARGV[2], 'whole', next_version)
else
  local from = at
  local touched = {}
  for index = from, from + 2 * tonumber(ARGV[10]) - 1, 2 do
    touched[#touched + 1] = next_version
    touched[#touched + 1] = ARGV[index]
  end
  for index = from + 2 * tonumber(ARGV[10]), from + 2 * tonumber(ARGV[10]) + tonumber(ARGV[11]) - 1 do
    touched[#touched + 1] = next_version
    touched[#touched + 1] = ARGV[index]
  end
  for index = 1, #touched, 4000 do
    redis.call('ZADD', KEYS[6], unpack(touched, index, math.min(index + 3999, #touched)))
  end
end
if redis.call('ZCARD', KEYS[6]) > 2 * redis.call('HLEN', KEYS[2]) + 1000 then
  -- mostly deleted series: make readers read everything once, and start the list again
  redis.call('DEL', KEYS[6])
  redis.call('HSET', meta, 'whole', next_version)
end
each_chunk(2 * tonumber(ARGV[10]), set(KEYS[2]))
each_chunk(tonumber(ARGV[11]), remove(KEYS[2]))
each_chunk(2 * tonumber(ARGV[12]), set(KEYS[3]))
each_chunk(tonumber(ARGV[13]), remove(KEYS[3]))
each_chunk(2 * tonumber(ARGV[14]), set(KEYS[4]))
if ARGV[9] ~= '' then
  redis.call('RPUSH', KEYS[5], ARGV[9])
end
if ARGV[8] ~= '0' then
  redis.call('LTRIM', KEYS[5], tonumber(ARGV[8]), -1)
end
sizes = next_version .. ':' .. sizes_of(KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('HSET', meta, 'version', next_version, 'sequence', ARGV[4], 'stream', ARGV[5], 'time', ARGV[6], 'sizes', sizes)
return 'done'
