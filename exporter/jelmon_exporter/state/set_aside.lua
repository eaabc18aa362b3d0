-- Rename all keys of a partition except meta and lease, whose counts cannot be used; a day later they are gone.
-- KEYS: series, entries, declared, ids, touched.
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('RENAME', key, key .. ':unreadable')
    redis.call('EXPIRE', key .. ':unreadable', 86400)
  end
end
