-- Settle announcements for good.
--
-- KEYS[1] flying    see publish.lua
-- ARGV    the announcements
for n = 1, #ARGV do
    redis.call('ZREM', KEYS[1], ARGV[n])
end
return #ARGV
