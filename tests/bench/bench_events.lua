-- Events for wrk, one a request. Every third starts a new call of a new caller: it is queued,
-- answered and ended. Each event has an id of its own, each call a reference and a number.

local types = { "call.queued", "call.answered", "call.ended" }
local run = "r"
local first = 0
local sent = 0
local now = ""
local head = ""

function init(args)
  run = args[1] or run
  first = tonumber(args[2] or first)
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
    "\r\nContent-Type: application/json\r\nContent-Length: "
end

function request()
  if sent % 300 == 0 then
    now = os.date("!%Y-%m-%dT%H:%M:%S")
  end
  local call = math.floor(sent / 3)
  local place = sent % 3
  sent = sent + 1
  local reference = string.format("%s-%07d", run, call)
  local body = string.format(
    '{"eventId":"%s-%d","eventType":"%s","occurredAt":"%s.%d00+00:00","referenceId":"%s",' ..
    '"callerNumber":"+4670%07d","callerName":"Anna Berg %07d","deviceId":1000,' ..
    '"extensionId":1001,"destNumber":"+60374571234","queueName":"EHS","queueNumber":"123"}',
    reference, place, types[place + 1], now, place * 2, reference, first + call, first + call)
  return head .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
