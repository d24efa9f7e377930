-- Move poison aside.
--
-- KEYS[1] flying    see publish.lua
-- KEYS[2] rejected  list, newest first, at most 1,000
-- ARGV    the bodies
for n = 1, #ARGV do
    redis.call('ZREM', KEYS[1], ARGV[n])
    redis.call('LPUSH', KEYS[2], ARGV[n])
end
redis.call('LTRIM', KEYS[2], 0, 999)
return #ARGV
