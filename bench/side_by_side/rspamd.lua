-- The policy of the comparison, as rspamd's only rule.
rspamd_config:register_symbol({
  name = "POLICY",
  type = "postfilter",
  callback = function(task)
    local from, to, subject = task:get_header("From"), task:get_header("To"), task:get_header("Subject")
    local seen = from and to and string.find(subject, "[Ff]ree%s+money") and "money" or "none"
    task:set_milter_reply({ add_headers = { ["X-Policy"] = seen } })
  end,
})
