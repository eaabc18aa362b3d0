-- Precedes the other scripts: what they need against keys that another program, or a fault, has written.

-- Rename a key of another type, so that the key can be used. Returns whether it was.
local function set_aside(key, expected)
  local kind = redis.call('TYPE', key)['ok']
  if kind == 'none' or kind == expected then
    return false
  end
  redis.call('RENAME', key, key .. ':unreadable')
  redis.call('EXPIRE', key .. ':unreadable', 604800)
  return true
end

-- Return a stored whole number; nil if the text is something else, 0 if there is none.
local function whole_number(text)
  local number = tonumber(text or '0')
  if number and number == math.floor(number) and number >= 0 and number < 9007199254740992 then
    return number
  end
  return nil
end

-- Return whether a claim with this token is older than one with the other: tokens begin with the time of Redis.
local function precedes(token, other)
  local mine, theirs = string.match(token, '^(%d+)-'), string.match(other or '', '^(%d+)-')
  return mine and theirs and tonumber(mine) < tonumber(theirs)
end

-- Return how much the keys of a partition hold, as one text. KEYS: series, entries, declared, ids, touched.
local function sizes_of(series, entries, declared, ids, touched)
  return table.concat({
    redis.call('HLEN', series), redis.call('HLEN', entries), redis.call('HLEN', declared),
    redis.call('LLEN', ids), redis.call('ZCARD', touched),
  }, ' ')
end
