-- What wrk sends in scripts/bench: chat completions of many users in turn, built once. BENCH_TOKENS names the file of
-- tokens (one a line), BENCH_MODEL the model; `claude-bench-stream` is asked for as a stream.
local requests = {}
local turn = 0

function init(_)
  local model = os.getenv('BENCH_MODEL')
  local stream = model == 'claude-bench-stream'
  -- the same words as in benches/load.rs
  local body = string.format(
    '{"model":"%s","stream":%s,"stream_options":{"include_usage":true},' ..
    '"messages":[{"role":"user","content":"Say something about tollgates, please."}]}', model, tostring(stream))
  for token in io.lines(os.getenv('BENCH_TOKENS')) do
    local headers = { ['authorization'] = 'Bearer ' .. token, ['content-type'] = 'application/json' }
    requests[#requests + 1] = wrk.format('POST', '/v1/chat/completions', headers, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end
