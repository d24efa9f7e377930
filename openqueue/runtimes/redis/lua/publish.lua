-- Add announcements to a queue, each unless it waits there already. One that is in flight comes again whatever becomes of
-- that flight: its run was put back meanwhile, and whoever has it is about to settle it.
--
-- KEYS[1] waiting   sorted set: announcement -> rank * 2^44 + stamp; rank 0 is priority 100, rank 200 is -100
-- KEYS[2] flying    sorted set: announcement -> deadline in ms * 256 + rank
-- KEYS[3] stamp     the last stamp given: eighths of a millisecond since 2020, never the same twice
-- KEYS[4] wake      list of at most 8 tokens; each ends the wait of one idle consumer
-- KEYS[5] asides    set: tasks of which some are set aside; they are in the sorted set `asides:task`
-- ARGV    a rank and an announcement for each
--
-- Answers the stamp of the last one. Announcements are opaque bytes: nothing here looks into them.
local count = #ARGV / 2
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), (now - 1577836800000) * 8)
redis.call('SET', KEYS[3], string.format('%.0f', stamp + count))
local asides = redis.call('SMEMBERS', KEYS[5])
local function is_aside(announcement)
    for _, task in ipairs(asides) do
        if redis.call('ZSCORE', KEYS[5] .. ':' .. task, announcement) then
            return true
        end
    end
    return false
end
local added = 0
for n = 1, count do
    local rank, announcement = ARGV[2 * n - 1], ARGV[2 * n]
    local flight = redis.call('ZSCORE', KEYS[2], announcement)
    if flight then
        redis.call('ZADD', KEYS[2], now * 256 + flight % 256, announcement)
        added = added + 1
    elseif not is_aside(announcement) then
        added = added + redis.call('ZADD', KEYS[1], 'NX', rank * 2 ^ 44 + stamp + n, announcement)
    end
end
for _ = redis.call('LLEN', KEYS[4]) + 1, math.min(added, 8) do
    redis.call('RPUSH', KEYS[4], '')
end
return string.format('%.0f', stamp + count)
