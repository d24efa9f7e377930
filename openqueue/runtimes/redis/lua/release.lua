-- Put announcements that were taken back at the head of their priority.
--
-- KEYS[1] waiting   see publish.lua
-- KEYS[2] flying
-- KEYS[3] wake
-- ARGV    score in flight and announcement of each; one that has come back and was taken again is left alone
local released = 0
for n = 1, #ARGV, 2 do
    if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[n + 1]) or -1) == tonumber(ARGV[n]) then
        redis.call('ZREM', KEYS[2], ARGV[n + 1])
        redis.call('ZADD', KEYS[1], 'NX', ARGV[n] % 256 * 2 ^ 44, ARGV[n + 1])
        released = released + 1
    end
end
for _ = redis.call('LLEN', KEYS[3]) + 1, math.min(released, 8) do
    redis.call('RPUSH', KEYS[3], '')
end
return released
