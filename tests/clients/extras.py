"""Calls that only one Python SDK has: responses, embeddings, sound, pictures, token counts, async clients, error bodies."""

import asyncio
import http.server
import io
import os
import queue
import re
import subprocess
import threading

from harness import GATEWAY, check, fresh_token, usage
from sdks import PIXEL_PNG, Anthropic, GoogleGenai, OpenAI

TEXT = "I am the stub playing `gpt-4o-mini`. You said: hi"


def openai_responses():
    client = OpenAI(fresh_token()).client
    answer = client.responses.create(model="gpt-4o-mini", input="hi")
    check((answer.output_text, answer.usage.output_tokens) == (TEXT, 9), f"wrong answer: {answer}")
    with client.responses.stream(model="gpt-4o-mini", input="hi") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    check((text, final.output_text, final.usage.output_tokens) == (TEXT, TEXT, 9), f"wrong stream: {final}")


def openai_stream_usage():
    """A usage chunk comes if and only if the caller asked for it."""
    client = OpenAI(fresh_token())
    plain = list(client.create("gpt-4o-mini", "hi", stream=True))
    check(all(chunk.choices and chunk.usage is None for chunk in plain), "a usage chunk nobody asked for")
    asked = list(client.create("gpt-4o-mini", "hi", stream=True, stream_options={"include_usage": True}))
    check(not asked[-1].choices and asked[-1].usage.completion_tokens == 9, f"no usage at the end: {asked[-1]}")


def openai_completion():
    client = OpenAI(fresh_token()).client
    answer = client.completions.create(model="gpt-4o-mini", prompt="hi")
    check(answer.choices[0].text == TEXT, f"wrong text: {answer}")


def openai_embeddings():
    """The SDK asks for base64 and decodes it."""
    client = OpenAI(fresh_token()).client
    answer = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    lengths = [len(row.embedding) for row in answer.data]
    check(lengths == [8, 8] and answer.data[0].embedding != answer.data[1].embedding, f"wrong vectors: {answer}")


def openai_audio():
    key = fresh_token()
    client = OpenAI(key).client
    sound = io.BytesIO(bytes(range(256)) * 64)
    sound.name = "sound.wav"
    text = client.audio.transcriptions.create(model="whisper-1", file=sound).text
    check(text.startswith("I am the stub playing `whisper-1`"), f"wrong text: {text}")
    sound.seek(0)
    text = client.audio.translations.create(model="whisper-1", file=sound).text
    check(text.startswith("I am the stub playing `whisper-1`"), f"wrong text: {text}")
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input="hi").read()
    check(len(speech) == 9 * 1024, f"speech of {len(speech)} bytes")
    check(usage(key)["totalMessages"] == 3, "three calls are three messages")


def openai_images():
    import base64

    client = OpenAI(fresh_token()).client
    answer = client.images.generate(model="gpt-image-1", prompt="a cat")
    check(base64.b64decode(answer.data[0].b64_json) == PIXEL_PNG, f"wrong picture: {answer}")


def openai_async():
    import openai

    async def ask():
        async with openai.AsyncOpenAI(api_key=fresh_token(), base_url=f"{GATEWAY}/v1") as client:
            messages = [{"role": "user", "content": "hi"}]
            stream = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    text = asyncio.run(ask())
    check(text == TEXT, f"wrong text: {text}")


def anthropic_count_tokens():
    key = fresh_token()
    messages = [{"role": "user", "content": "12345"}]
    answer = Anthropic(key).client.messages.count_tokens(model="claude-3-opus", messages=messages)
    check(answer.input_tokens == 2, f"wrong count: {answer}")
    check(usage(key)["totalMessages"] == 0, "counting tokens is free")


def anthropic_stream_usage():
    messages = [{"role": "user", "content": "hi"}]
    client = Anthropic(fresh_token()).client
    with client.messages.stream(model="gpt-4o-mini", max_tokens=9, messages=messages) as stream:
        final = stream.get_final_message()
    seen = (final.content[0].text, final.usage.input_tokens, final.usage.output_tokens, final.stop_reason)
    check(seen == (TEXT, 1, 9, "end_turn"), f"wrong final message: {seen}")


def anthropic_bearer():
    """`auth_token` is what Claude Code's settings give the SDK."""
    import anthropic

    client = anthropic.Anthropic(auth_token=fresh_token(), base_url=GATEWAY)
    messages = [{"role": "user", "content": "hi"}]
    answer = client.messages.create(model="gpt-4o-mini", max_tokens=9, messages=messages)
    check(answer.content[0].text == TEXT, f"wrong text: {answer}")


# google-genai closes its connections when the client object is collected: so it is kept in a name.
def genai_count_tokens():
    key = fresh_token()
    sdk = GoogleGenai(key)
    answer = sdk.client.models.count_tokens(model="gemini-2.0-flash", contents="12345")
    check(answer.total_tokens == 2, f"wrong count: {answer}")
    check(usage(key)["totalMessages"] == 0, "counting tokens is free")


def genai_embed():
    sdk = GoogleGenai(fresh_token())
    answer = sdk.client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    lengths = [len(row.values) for row in answer.embeddings]
    check(lengths == [8, 8], f"wrong vectors: {answer}")


def genai_chat():
    sdk = GoogleGenai(fresh_token())
    chat = sdk.client.chats.create(model="gemini-2.0-flash")
    chat.send_message("one")
    text = chat.send_message("two").text
    check(text.endswith("You said: two"), f"wrong text: {text}")


def readme_block(language):
    """What README.md shows in this language under "Clients"."""
    with open(os.environ["TOLLGATE_README"], encoding="utf-8") as file:
        section = file.read().split("\n### Clients\n")[1].split("\n### ")[0]
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)
    check(len(blocks) == 1, f"{len(blocks)} blocks of {language} under `Clients` in README.md")
    return blocks[0]


def readme_python():
    import google.genai
    import litellm
    import openai
    import anthropic
    from langchain_openai import ChatOpenAI

    key = fresh_token()
    names = {
        "openai": openai, "anthropic": anthropic, "google": google, "litellm": litellm, "ChatOpenAI": ChatOpenAI,
        "gateway": GATEWAY, "token": key, "messages": [{"role": "user", "content": "hi"}],
    }
    exec(compile(readme_block("python"), "README.md", "exec"), names)
    check(usage(key)["totalMessages"] == 5, f"five clients, five messages: {usage(key)}")


def readme_curl():
    key = fresh_token()
    environment = {"PATH": os.environ["PATH"], "gateway": GATEWAY, "token": key}
    done = subprocess.run(
        ["bash", "-euc", readme_block("bash")], env=environment, capture_output=True, text=True, timeout=60
    )
    check(done.returncode == 0 and "I am the stub" in done.stdout, f"{done.returncode}: {done.stdout}{done.stderr}")
    check(usage(key)["totalMessages"] == 1, "one message")


def standardwebhooks_alert():
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    got = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.put((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["WEBHOOK_PORT"])), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        key, told = fresh_token(plan="alerting"), set()
        for _ in range(5):
            OpenAI(key).call("gpt-4o-mini", "hi")
        for _ in range(2):
            headers, body = got.get(timeout=30)
            message = Webhook(os.environ["WEBHOOK_SECRET"]).verify(body, headers)
            # the total is that of the batch of rows that passed the threshold
            check(message["data"]["used"] >= message["data"]["threshold"] * 5, f"told too early: {message}")
            told.add((message["type"], message["data"]["threshold"]))
            try:
                Webhook(os.environ["WEBHOOK_SECRET"]).verify(body.replace(b"messages", b"massages"), headers)
            except WebhookVerificationError:
                continue
            raise AssertionError("a changed body passes the library's check")
        server.shutdown()
    check(told == {("limit.threshold_reached", 0.8), ("limit.threshold_reached", 1.0)}, f"told: {told}")


CASES = [
    (function.__name__.replace("_", " ", 1), function)
    for function in [
        openai_responses, openai_stream_usage, openai_completion, openai_embeddings, openai_audio, openai_images,
        openai_async, anthropic_count_tokens, anthropic_stream_usage, anthropic_bearer, genai_count_tokens, genai_embed,
        genai_chat, readme_python, readme_curl,
        standardwebhooks_alert,
    ]
]
