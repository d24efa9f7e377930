-- Settle announcements for good.
--
-- KEYS[1] flying    see publish.lua
-- ARGV    score in flight and announcement of each; one that has come back or is to come again is left alone
local settled = 0
for n = 1, #ARGV, 2 do
    if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[n + 1]) or -1) == tonumber(ARGV[n]) then
        settled = settled + redis.call('ZREM', KEYS[1], ARGV[n + 1])
    end
end
return settled
