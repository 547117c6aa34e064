-- The policy of the comparison, as OpenDKIM's script at the end of a message.
local from, to = odkim.get_header(ctx, "From", 0), odkim.get_header(ctx, "To", 0)
local subject = odkim.get_header(ctx, "Subject", 0)
local seen = from and to and string.find(subject, "[Ff]ree%s+money") and "money" or "none"
odkim.add_header(ctx, "X-Policy", seen)
