// The Node SDKs against a gateway that has the stub behind it; the Node twin of suite.py.
//
// `suite.mjs [--only TEXT]`: TEXT picks the cases whose name contains it.

import { readFile } from "node:fs/promises";

import {
  BRISK, GATEWAY, PREMIUM, TOTAL, check, eventually, freshToken, outcomes, refused, resetDate, run, stub, usage,
} from "./harness.mjs";
import { CASES as CLAUDE_CODE } from "./claude_code.mjs";
import { ALL, README_NAMES, embedTwo, openAiClient } from "./sdks.mjs";

const PREMIUM_MODEL = "claude-3-opus";
const ANONYMOUS_MODEL = "gemini-2.0-flash";
const spoken = (model, said) => `I am the stub playing \`${model}\`. You said: ${said}`;

async function call(Sdk) {
  const key = freshToken();
  const { text, tokens } = await new Sdk(key).call("hello there");
  check(text === spoken(Sdk.ordinary, "hello there"), `wrong text: ${text}`);
  check(tokens === 10, `output tokens: expected 10, got ${tokens}`);
  const { totalMessages } = await usage(key);
  check(totalMessages === 1, `one call counts as one message, got ${totalMessages}`);
}

async function stream(Sdk) {
  const key = freshToken();
  const pieces = [];
  for await (const piece of new Sdk(key).stream("hello there", { headers: { "x-stub-piece-delay-ms": "300" } })) {
    if (pieces.length === 0) {
      check((await stub()).open === 1, "the first piece came only when the stub had sent all");
    }
    pieces.push(piece);
  }
  check(pieces.join("") === spoken(Sdk.ordinary, "hello there"), `wrong text: ${pieces.join("")}`);
  check(pieces.length > 3, `the pieces were glued together: ${JSON.stringify(pieces)}`);
  await eventually(async () => (await usage(key)).totalMessages, 1, "messages after one stream");
}

async function abort(Sdk) {
  const key = freshToken();
  const before = (await stub()).cancelled;
  const leave = new AbortController();
  const headers = { "x-stub-pieces": "3000", "x-stub-piece-delay-ms": "20" };
  let pieces = 0;
  try {
    for await (const _ of new Sdk(key).stream("hi", { headers, signal: leave.signal })) {
      pieces += 1;
      if (pieces === 2) leave.abort();
      check(pieces < 1_000, "the stream went on after the abort");
    }
  } catch (error) {
    // Some SDKs end the stream in silence, some throw an abort error: both are theirs to choose.
    check(leave.signal.aborted && /abort/i.test(`${error.name} ${error.message}`), `wrong error: ${error}`);
  }
  await eventually(async () => (await stub()).cancelled - before, 1, "answers that the stub saw cancelled");
  await eventually(async () => (await usage(key)).totalMessages, 1, "an aborted stream is charged its message");
}

async function tools(Sdk) {
  const [name, input] = await new Sdk(freshToken()).tool({ "x-stub-tool": "1" });
  check(name === "weather" && input.city === "stub", `wrong tool call: ${name} ${JSON.stringify(input)}`);
}

async function image(Sdk) {
  const text = await new Sdk(freshToken()).image();
  check(text.includes("Images: 1."), `the image did not arrive: ${text}`);
}

async function models(Sdk) {
  const listed = await new Sdk(freshToken()).models();
  check(listed.includes(ANONYMOUS_MODEL), `the list lacks ${ANONYMOUS_MODEL}: ${listed}`);
  const anonymous = await new Sdk("anonymous").models();
  check(String(anonymous) === ANONYMOUS_MODEL, `an anonymous caller sees ${anonymous}`);
}

async function expired_token(Sdk) {
  const client = new Sdk(freshToken({ ttl_s: -3600 }));
  const error = await refused("refused_auth", 1, () => client.call("hi"));
  check(client.isRight(401, error), `wrong class: ${error.name}: ${error.message}`);
}

async function anonymous(Sdk) {
  const client = new Sdk("anonymous");
  const { text } = await client.call("hi", { model: ANONYMOUS_MODEL });
  check(text === spoken(ANONYMOUS_MODEL, "hi"), `wrong text: ${text}`);
  const error = await refused("refused_model", 1, () => client.call("hi", { model: PREMIUM_MODEL }));
  check(client.isRight(403, error), `wrong class: ${error.name}: ${error.message}`);
}

async function premium_limit(Sdk) {
  const key = freshToken();
  const client = new Sdk(key);
  for (let at = 0; at < PREMIUM; at += 1) await client.call("hi", { model: PREMIUM_MODEL });
  const asks = [
    () => client.call("hi", { model: PREMIUM_MODEL }),
    async () => {
      for await (const _ of client.stream("hi", { model: PREMIUM_MODEL }));
    },
  ];
  for (const ask of asks) {
    checkRefusal(client, await refused("refused_quota", Sdk.attempts429 ?? 1, ask));
  }
  await client.call("hi");
  const { premiumMessages, totalMessages, canSendPremiumMessage, canSendMessage } = await usage(key);
  const books = [premiumMessages, totalMessages, canSendPremiumMessage, canSendMessage];
  check(String(books) === String([PREMIUM, PREMIUM + 1, false, true]), `the usage says ${books}`);
}

async function total_limit(Sdk) {
  const key = freshToken();
  const client = new Sdk(key);
  for (let at = 0; at < TOTAL; at += 1) await client.call("hi");
  // The Vercel AI SDK makes one attempt only when its caller says so.
  const options = Sdk.attempts429 ? { maxRetries: 0 } : {};
  checkRefusal(client, await refused("refused_quota", 1, () => client.call("hi", options)));
  const { totalMessages, canSendMessage } = await usage(key);
  check(totalMessages === TOTAL && !canSendMessage, `the usage says ${totalMessages}, ${canSendMessage}`);
}

/** 30 a minute: the message that is one too many comes back by itself after the stated wait, where the SDK retries. */
async function short_window(Sdk) {
  const before = await outcomes("refused_rate");
  const client = new Sdk(freshToken({ plan: "brisk" }));
  let sent = 0;
  while (sent < BRISK * 3 && (await outcomes("refused_rate")) === before) {
    sent += 1;
    try {
      const { text } = await client.call("hi");
      check(text === spoken(Sdk.ordinary, "hi"), `wrong text: ${text}`);
    } catch (error) {
      check(!Sdk.retries && client.isRight(429, error), `wrong error: ${error.name}: ${error.message}`);
      // the answer may be here before it is counted
      await eventually(async () => (await outcomes("refused_rate")) - before, 1, "attempts that were refused");
    }
  }
  check(sent > BRISK, `refused at message ${sent} of ${BRISK}`);
  const attempts = (await outcomes("refused_rate")) - before;
  check(attempts === 1, `${attempts} attempts were refused, not 1`);
}

/** The upstream dies in mid-stream: the SDK throws, and never takes what has come for the whole. */
async function torn_stream(Sdk) {
  const { requests } = await stub();
  const pieces = [];
  let failure;
  try {
    const headers = { "x-stub-pieces": "40", "x-stub-cut-after": "5" };
    for await (const piece of new Sdk(freshToken()).stream("hi", { headers })) pieces.push(piece);
  } catch (error) {
    failure = error;
  }
  check(failure, `the torn text was taken for the whole: ${pieces.join("")}`);
  check(pieces.length <= 5, `pieces: ${pieces}`);
  check((await stub()).requests === requests + 1, "a torn stream is not asked for again");
}

/** The right class, and a sentence that says what happened and when it ends. */
function checkRefusal(client, error) {
  check(client.isRight(429, error), `wrong class: ${error.name}: ${error.message}`);
  const holds = error.message.includes("exhausted") && error.message.includes(resetDate());
  check(holds, `not a sentence for a person: ${error.message}`);
}

async function responses() {
  const client = openAiClient(freshToken());
  const expected = spoken("gpt-4o-mini", "hi");
  const answer = await client.responses.create({ model: "gpt-4o-mini", input: "hi" });
  check(answer.output_text === expected, `wrong text: ${answer.output_text}`);
  const streamed = client.responses.stream({ model: "gpt-4o-mini", input: "hi" });
  let text = "";
  streamed.on("response.output_text.delta", ({ delta }) => (text += delta));
  const final = await streamed.finalResponse();
  check(text === expected && final.usage.output_tokens === 9, `wrong stream: ${text}`);
}

async function embeddings() {
  const model = "text-embedding-3-small";
  const answer = await openAiClient(freshToken()).embeddings.create({ model, input: ["a", "b"] });
  const vectors = [answer.data.map((row) => row.embedding), await embedTwo(freshToken())];
  for (const [a, b] of vectors) {
    check(a.length === 8 && b.length === 8 && String(a) !== String(b), `wrong vectors: ${a} ${b}`);
  }
}

/** What README.md shows under "Clients", run as it stands there. */
async function readme() {
  const section = (await readFile(process.env.TOLLGATE_README, "utf8")).split("\n### Clients\n")[1].split("\n### ")[0];
  const blocks = [...section.matchAll(/^```js\n(.*?)^```$/gms)];
  check(blocks.length === 1, `${blocks.length} blocks of js under \`Clients\` in README.md`);
  const token = freshToken();
  const names = { ...README_NAMES, gateway: GATEWAY, token, messages: [{ role: "user", content: "hi" }] };
  const AsyncFunction = readme.constructor;
  await new AsyncFunction(...Object.keys(names), blocks[0][1])(...Object.values(names));
  const { totalMessages } = await usage(token);
  check(totalMessages === 4, `four clients, ${totalMessages} messages`);
}

const EACH = [
  call, stream, abort, tools, image, models, torn_stream, short_window, expired_token, anonymous, premium_limit, total_limit,
];
const cases = ALL.flatMap((Sdk) =>
  EACH.filter((body) => body !== models || Sdk.prototype.models).map((body) => [
    `${Sdk.title} ${body.name}`,
    () => body(Sdk),
  ]),
);
cases.push(["openai responses", responses], ["openai and ai embeddings", embeddings], ["readme", readme]);
cases.push(...CLAUDE_CODE);

const [option, text, ...rest] = process.argv.slice(2);
if ((option !== undefined && option !== "--only") || (option && !text) || rest.length) {
  console.error("usage: suite.mjs [--only TEXT]");
  process.exit(2);
}
process.exitCode = (await run(cases.filter(([name]) => !text || name.includes(text)))) ? 1 : 0;
