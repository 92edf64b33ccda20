"""One adapter a Python SDK: the same few verbs in each SDK's own words. Checks nothing; knows nothing of quotas.

Each adapter is made for one key. `headers` are sent along, so that a case can steer the stub.
"""

import base64
import json
import os

# litellm fetches a price list from the network at import unless it is told not to.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from harness import GATEWAY

PIXEL_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAACklEQVR4nGMAAQAABQABDQottAAAAABJRU5ErkJggg=="
)
PIXEL_URL = "data:image/png;base64," + base64.b64encode(PIXEL_PNG).decode()
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class OpenAI:
    name = "openai"
    retries = True
    ordinary = "gpt-4o-mini"

    def __init__(self, key):
        import openai

        self.errors = {
            401: openai.AuthenticationError, 403: openai.PermissionDeniedError, 429: openai.RateLimitError
        }
        self.client = openai.OpenAI(api_key=key, base_url=f"{GATEWAY}/v1")

    def is_right(self, status, error):
        return type(error) is self.errors[status] and error.status_code == status

    def create(self, model, content, headers=None, **more):
        messages = [{"role": "user", "content": content}]
        return self.client.chat.completions.create(model=model, messages=messages, extra_headers=headers, **more)

    def call(self, model, text, headers=None):
        answer = self.create(model, text, headers)
        return answer.choices[0].message.content, answer.usage.completion_tokens

    def stream(self, model, text, headers=None):
        stream = self.create(model, text, headers, stream=True)
        with stream:
            for chunk in stream:
                if chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content

    def tool(self, headers):
        tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
        call = self.create(self.ordinary, "Sun?", headers, tools=tools).choices[0].message.tool_calls[0].function
        return call.name, json.loads(call.arguments)

    def image(self):
        parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PIXEL_URL}}]
        return self.create(self.ordinary, parts).choices[0].message.content

    def models(self):
        return [model.id for model in self.client.models.list()]


class Anthropic:
    name = "anthropic"
    retries = True
    ordinary = "gpt-4o-mini"

    def __init__(self, key):
        import anthropic

        self.errors = {
            401: anthropic.AuthenticationError, 403: anthropic.PermissionDeniedError, 429: anthropic.RateLimitError
        }
        self.client = anthropic.Anthropic(api_key=key, base_url=GATEWAY)

    def is_right(self, status, error):
        return type(error) is self.errors[status] and error.status_code == status

    def create(self, model, content, headers=None, **more):
        messages = [{"role": "user", "content": content}]
        return self.client.messages.create(
            model=model, max_tokens=99, messages=messages, extra_headers=headers, **more
        )

    def call(self, model, text, headers=None):
        answer = self.create(model, text, headers)
        return answer.content[0].text, answer.usage.output_tokens

    def stream(self, model, text, headers=None):
        messages = [{"role": "user", "content": text}]
        with self.client.messages.stream(
            model=model, max_tokens=99, messages=messages, extra_headers=headers
        ) as stream:
            yield from stream.text_stream

    def tool(self, headers):
        tools = [{"name": "weather", "input_schema": WEATHER}]
        block = self.create(self.ordinary, "Sun?", headers, tools=tools).content[0]
        return block.name, block.input

    def image(self):
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PIXEL_PNG).decode()}
        parts = [{"type": "image", "source": source}, {"type": "text", "text": "See"}]
        return self.create(self.ordinary, parts).content[0].text

    def models(self):
        return [model.id for model in self.client.models.list()]


class GoogleGenai:
    name = "google-genai"
    retries = False
    ordinary = "gemini-2.0-flash"
    statuses = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED"}

    def __init__(self, key):
        from google import genai
        from google.genai import errors, types

        self.error, self.types = errors.ClientError, types
        self.client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=GATEWAY))

    def is_right(self, status, error):
        return type(error) is self.error and (error.code, error.status) == (status, self.statuses[status])

    def config(self, headers, **more):
        return self.types.GenerateContentConfig(
            http_options=self.types.HttpOptions(headers=headers or {}), **more
        )

    def call(self, model, text, headers=None):
        answer = self.client.models.generate_content(model=model, contents=text, config=self.config(headers))
        return answer.text, answer.usage_metadata.candidates_token_count

    def stream(self, model, text, headers=None):
        stream = self.client.models.generate_content_stream(
            model=model, contents=text, config=self.config(headers)
        )
        try:
            for chunk in stream:
                yield chunk.text
        finally:
            stream.close()

    def tool(self, headers):
        declaration = {"name": "weather", "description": "Weather", "parameters_json_schema": WEATHER}
        config = self.config(headers, tools=[{"function_declarations": [declaration]}])
        answer = self.client.models.generate_content(model=self.ordinary, contents="Sun?", config=config)
        return answer.function_calls[0].name, answer.function_calls[0].args

    def image(self):
        part = self.types.Part.from_bytes(data=PIXEL_PNG, mime_type="image/png")
        return self.client.models.generate_content(model=self.ordinary, contents=[part, "See"]).text

    def models(self):
        return [model.name.removeprefix("models/") for model in self.client.models.list()]


class LangChain:
    name = "langchain-openai"
    retries = True
    ordinary = "gpt-4o-mini"

    def __init__(self, key):
        import openai

        self.key = key
        self.errors = {
            401: openai.AuthenticationError, 403: openai.PermissionDeniedError, 429: openai.RateLimitError
        }

    def is_right(self, status, error):
        return isinstance(error, self.errors[status]) and error.status_code == status

    def chat(self, model, headers=None):
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=model, api_key=self.key, base_url=f"{GATEWAY}/v1", default_headers=headers)

    def call(self, model, text, headers=None):
        answer = self.chat(model, headers).invoke(text)
        return answer.content, answer.usage_metadata["output_tokens"]

    def stream(self, model, text, headers=None):
        stream = self.chat(model, headers).stream(text)
        try:
            for chunk in stream:
                if chunk.content:
                    yield chunk.content
        finally:
            stream.close()

    def tool(self, headers):
        tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
        call = self.chat(self.ordinary, headers).bind_tools([tool]).invoke("Sun?").tool_calls[0]
        return call["name"], call["args"]

    def image(self):
        parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PIXEL_URL}}]
        return self.chat(self.ordinary).invoke([{"role": "user", "content": parts}]).content


class LiteLlm:
    name = "litellm"
    retries = True
    ordinary = "gpt-4o-mini"

    def __init__(self, key):
        import litellm

        litellm.suppress_debug_info = True
        self.key, self.litellm = key, litellm

    def is_right(self, status, error):
        # It maps by the body's `type`; a 403 has no class of its own there.
        expected = {
            401: self.litellm.AuthenticationError, 403: self.litellm.APIError, 429: self.litellm.RateLimitError
        }
        return isinstance(error, expected[status]) and error.status_code == status

    def create(self, model, content, headers=None, **more):
        return self.litellm.completion(
            model=f"openai/{model}", api_base=f"{GATEWAY}/v1", api_key=self.key, extra_headers=headers,
            messages=[{"role": "user", "content": content}], **more,
        )

    def call(self, model, text, headers=None):
        answer = self.create(model, text, headers)
        return answer.choices[0].message.content, answer.usage.completion_tokens

    def stream(self, model, text, headers=None):
        for chunk in self.create(model, text, headers, stream=True):
            if chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    def tool(self, headers):
        tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
        call = self.create(self.ordinary, "Sun?", headers, tools=tools).choices[0].message.tool_calls[0].function
        return call.name, json.loads(call.arguments)

    def image(self):
        parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PIXEL_URL}}]
        return self.create(self.ordinary, parts).choices[0].message.content


BASIC = [OpenAI, Anthropic, GoogleGenai]
ALL = [*BASIC, LangChain, LiteLlm]
