-- Keep announcements that were taken for a consumer that has room for their task.
--
-- KEYS[1] aside     sorted set: announcement -> the score it gets when it waits again
-- KEYS[2] flying    see publish.lua
-- KEYS[3] wake      list of at most 8 tokens, for consumers that have room for this task
-- KEYS[4] asides    set of such tasks
-- ARGV[1] the task
-- ARGV    then score in flight and announcement of each
local kept = 0
for n = 2, #ARGV, 2 do
    if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[n + 1]) or -1) == tonumber(ARGV[n]) then
        redis.call('ZREM', KEYS[2], ARGV[n + 1])
        redis.call('ZADD', KEYS[1], 'NX', ARGV[n] % 256 * 2 ^ 44, ARGV[n + 1])
        kept = kept + 1
    end
end
if kept > 0 then
    redis.call('SADD', KEYS[4], ARGV[1])
end
for _ = redis.call('LLEN', KEYS[3]) + 1, math.min(kept, 8) do
    redis.call('RPUSH', KEYS[3], '')
end
return kept
