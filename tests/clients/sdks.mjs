// One adapter a Node SDK: the same few verbs in each SDK's own words. Checks nothing; knows nothing of quotas.
//
// Each adapter is made for one key. `options` may carry `headers` (to steer the stub) and `signal` (to abort).

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import AnthropicSdk from "@anthropic-ai/sdk";
import { ApiError, GoogleGenAI } from "@google/genai";
import { APICallError, RetryError, embedMany, generateText, jsonSchema, streamText, tool } from "ai";
import OpenAiSdk from "openai";

import { GATEWAY } from "./harness.mjs";

const PIXEL_PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAACklEQVR4nGMAAQAABQABDQottAAAAABJRU5ErkJggg==";
const PIXEL_URL = `data:image/png;base64,${PIXEL_PNG}`;
const WEATHER = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

class OpenAI {
  static title = "openai";
  static retries = true;
  static ordinary = "gpt-4o-mini";

  constructor(key) {
    this.client = new OpenAiSdk({ apiKey: key, baseURL: `${GATEWAY}/v1` });
  }

  isRight(status, error) {
    const classes = {
      401: OpenAiSdk.AuthenticationError, 403: OpenAiSdk.PermissionDeniedError, 429: OpenAiSdk.RateLimitError,
    };
    return error.constructor === classes[status] && error.status === status;
  }

  create(content, { model, headers, signal, ...more } = {}) {
    const body = { model: model ?? OpenAI.ordinary, messages: [{ role: "user", content }], ...more };
    return this.client.chat.completions.create(body, { headers, signal });
  }

  async call(text, options) {
    const answer = await this.create(text, options);
    return { text: answer.choices[0].message.content, tokens: answer.usage.completion_tokens };
  }

  async *stream(text, options) {
    for await (const chunk of await this.create(text, { ...options, stream: true })) {
      if (chunk.choices[0].delta.content) yield chunk.choices[0].delta.content;
    }
  }

  async tool(headers) {
    const tools = [{ type: "function", function: { name: "weather", parameters: WEATHER } }];
    const answer = await this.create("Sun?", { headers, tools });
    const call = answer.choices[0].message.tool_calls[0].function;
    return [call.name, JSON.parse(call.arguments)];
  }

  async image() {
    const parts = [{ type: "text", text: "See" }, { type: "image_url", image_url: { url: PIXEL_URL } }];
    return (await this.call(parts)).text;
  }

  async models() {
    return (await this.client.models.list()).data.map((model) => model.id);
  }
}

class Anthropic {
  static title = "@anthropic-ai/sdk";
  static retries = true;
  static ordinary = "gpt-4o-mini";

  constructor(key) {
    this.client = new AnthropicSdk({ apiKey: key, baseURL: GATEWAY });
  }

  isRight(status, error) {
    const classes = {
      401: AnthropicSdk.AuthenticationError, 403: AnthropicSdk.PermissionDeniedError, 429: AnthropicSdk.RateLimitError,
    };
    return error.constructor === classes[status] && error.status === status;
  }

  create(content, { model, headers, signal, ...more } = {}) {
    const messages = [{ role: "user", content }];
    const body = { model: model ?? Anthropic.ordinary, max_tokens: 99, messages, ...more };
    return this.client.messages.create(body, { headers, signal });
  }

  async call(text, options) {
    const answer = await this.create(text, options);
    return { text: answer.content[0].text, tokens: answer.usage.output_tokens };
  }

  async *stream(text, options) {
    for await (const event of await this.create(text, { ...options, stream: true })) {
      if (event.type === "content_block_delta") yield event.delta.text;
    }
  }

  async tool(headers) {
    const answer = await this.create("Sun?", { headers, tools: [{ name: "weather", input_schema: WEATHER }] });
    return [answer.content[0].name, answer.content[0].input];
  }

  async image() {
    const source = { type: "base64", media_type: "image/png", data: PIXEL_PNG };
    return (await this.call([{ type: "image", source }, { type: "text", text: "See" }])).text;
  }

  async models() {
    return (await this.client.models.list()).data.map((model) => model.id);
  }
}

class Google {
  static title = "@google/genai";
  static retries = false;
  static ordinary = "gemini-2.0-flash";

  constructor(key) {
    this.client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: GATEWAY } });
  }

  isRight(status, error) {
    return error instanceof ApiError && error.status === status;
  }

  request(contents, { model, headers, signal, tools } = {}) {
    const config = { httpOptions: { headers: headers ?? {} }, abortSignal: signal, tools };
    return { model: model ?? Google.ordinary, contents, config };
  }

  async call(text, options) {
    const answer = await this.client.models.generateContent(this.request(text, options));
    return { text: answer.text, tokens: answer.usageMetadata.candidatesTokenCount };
  }

  async *stream(text, options) {
    for await (const chunk of await this.client.models.generateContentStream(this.request(text, options))) {
      yield chunk.text;
    }
  }

  async tool(headers) {
    const tools = [{ functionDeclarations: [{ name: "weather", parametersJsonSchema: WEATHER }] }];
    const answer = await this.client.models.generateContent(this.request("Sun?", { headers, tools }));
    return [answer.functionCalls[0].name, answer.functionCalls[0].args];
  }

  async image() {
    return (await this.call([{ inlineData: { mimeType: "image/png", data: PIXEL_PNG } }, { text: "See" }])).text;
  }

  async models() {
    const listed = [];
    for await (const model of await this.client.models.list()) listed.push(model.name.replace(/^models\//, ""));
    return listed;
  }
}

/** The Vercel AI SDK over one of its providers. It retries every 429 twice, whatever the answer's headers say. */
function vercel(title, ordinary, provider) {
  return class {
    static title = title;
    static retries = true;
    static ordinary = ordinary;
    static attempts429 = 3;

    constructor(key) {
      this.provider = provider(key);
    }

    isRight(status, error) {
      const last = status === 429 && RetryError.isInstance(error) ? error.lastError : error;
      return APICallError.isInstance(last) && last.statusCode === status;
    }

    request(prompt, { model, signal, ...more } = {}) {
      const options = { prompt, abortSignal: signal, maxOutputTokens: 99, ...more };
      return { model: this.provider(model ?? ordinary), ...options };
    }

    async call(text, options) {
      const answer = await generateText(this.request(text, options));
      return { text: answer.text, tokens: answer.usage.outputTokens };
    }

    async *stream(text, options) {
      let failure;
      const onError = ({ error }) => (failure = error);
      for await (const piece of streamText(this.request(text, { ...options, onError })).textStream) yield piece;
      if (failure) throw failure;
    }

    async tool(headers) {
      const tools = { weather: tool({ inputSchema: jsonSchema(WEATHER) }) };
      const answer = await generateText(this.request("Sun?", { headers, tools }));
      return [answer.toolCalls[0].toolName, answer.toolCalls[0].input];
    }

    async image() {
      const content = [{ type: "image", image: PIXEL_URL }, { type: "text", text: "See" }];
      return (await this.call([{ role: "user", content }])).text;
    }
  };
}

const v1 = `${GATEWAY}/v1`;
const openai = (apiKey) => createOpenAI({ apiKey, baseURL: v1 });

export const ALL = [
  OpenAI,
  Anthropic,
  Google,
  vercel("ai openai.chat", "gpt-4o-mini", (key) => openai(key).chat),
  vercel("ai openai.responses", "gpt-4o-mini", (key) => openai(key).responses),
  vercel("ai anthropic", "gpt-4o-mini", (apiKey) => createAnthropic({ apiKey, baseURL: v1 })),
  vercel("ai google", "gemini-2.0-flash", (apiKey) =>
    createGoogleGenerativeAI({ apiKey, baseURL: `${GATEWAY}/v1beta` })),
  vercel("ai openai-compatible", "gpt-4o-mini", (apiKey) =>
    createOpenAICompatible({ name: "tollgate", apiKey, baseURL: v1, includeUsage: true })),
];

/** Vectors of two texts by the Vercel AI SDK, which asks for plain numbers. */
export async function embedTwo(key) {
  const model = openai(key).textEmbeddingModel("text-embedding-3-small");
  return (await embedMany({ model, values: ["a", "b"] })).embeddings;
}

/** The OpenAI SDK's client itself, for calls that only it has. */
export const openAiClient = (key) => new OpenAI(key).client;

/** What the README's block takes as imported. */
export const README_NAMES = { OpenAI: OpenAiSdk, Anthropic: AnthropicSdk, GoogleGenAI, createOpenAI, generateText };
