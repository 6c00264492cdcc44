-- wrk script: send each signed delivery of a pool exactly once, then print one line of JSON.
-- Environment: BENCH_POOL (header, tab, body a line), BENCH_PATH.
local requests, sent = {}, 0

function init(args)
  local head = "POST " .. os.getenv("BENCH_PATH") .. " HTTP/1.1\r\nHost: localhost\r\n" ..
    "Content-Type: application/json\r\nStripe-Signature: "
  for line in io.lines(os.getenv("BENCH_POOL")) do
    local tab = string.find(line, "\t", 1, true)
    requests[#requests + 1] = head .. string.sub(line, 1, tab - 1) .. "\r\nContent-Length: " .. (#line - tab) ..
      "\r\n\r\n" .. string.sub(line, tab + 1)
  end
end

function request()
  sent = sent + 1
  if sent > #requests then wrk.thread:stop() return requests[#requests] end
  return requests[sent]
end

function done(summary, latency, all)
  local e = summary.errors
  io.write(string.format(
    'JSON {"answered":%d,"seconds":%.4f,"p50_ms":%.4f,"p90_ms":%.4f,"p99_ms":%.4f,"max_ms":%.4f,' ..
    '"bad_status":%d,"broken":%d,"late":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, e.status, e.connect + e.read + e.write, e.timeout))
end
