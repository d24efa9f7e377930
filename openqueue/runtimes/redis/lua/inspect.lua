-- Count a queue.
--
-- KEYS[1] waiting   see publish.lua
-- KEYS[2] flying
-- KEYS[3] asides
--
-- Answers: how many wait (set aside or not), how many fly, milliseconds since the oldest was published (-1: none).
local depth = redis.call('ZCARD', KEYS[1])
for _, task in ipairs(redis.call('SMEMBERS', KEYS[3])) do
    depth = depth + redis.call('ZCARD', KEYS[3] .. ':' .. task)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) - 1577836800000
local oldest = -1
local from = '-inf'
while true do -- once for each priority in use
    local first = redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if #first == 0 then
        break
    end
    local stamp = first[2] % 2 ^ 44
    if stamp == 0 then -- one that came back: it no longer knows when it was published
        from = string.format('(%.0f', first[2])
    else
        oldest = math.max(oldest, now - math.floor(stamp / 8))
        from = string.format('%.0f', (math.floor(first[2] / 2 ^ 44) + 1) * 2 ^ 44)
    end
end
return { depth, redis.call('ZCARD', KEYS[2]), oldest }
