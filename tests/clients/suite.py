"""The Python SDKs against a gateway that has the stub behind it. What is asked of each SDK, and of the gateway's books.

`suite.py [--only basic | --only TEXT]`: `basic` is call, stream and limits of openai, anthropic and google-genai; any
other text picks the cases whose name contains it.
"""

import sys
import time

import extras
import openapi
from harness import (
    BRISK, PREMIUM, TOTAL, Attempts, check, eventually, fresh_token, outcomes, refused, reset_date, run, stub, usage
)
from sdks import ALL, BASIC

PREMIUM_MODEL = "claude-3-opus"
ANONYMOUS_MODEL = "gemini-2.0-flash"


def call(sdk):
    key = fresh_token()
    text, tokens = sdk(key).call(sdk.ordinary, "hello there")
    check(text == f"I am the stub playing `{sdk.ordinary}`. You said: hello there", f"wrong text: {text}")
    check(tokens == 10, f"output tokens: expected 10, got {tokens}")
    counted = usage(key)["totalMessages"]
    check(counted == 1, f"one call counts as one message, got {counted}")


def stream(sdk):
    key = fresh_token()
    pieces = []
    for piece in sdk(key).stream(sdk.ordinary, "hello there", {"x-stub-piece-delay-ms": "300"}):
        if not pieces:
            check(stub()["open"] == 1, "the first piece came only when the stub had sent all")
        pieces.append(piece)
    text = "".join(pieces)
    check(text == f"I am the stub playing `{sdk.ordinary}`. You said: hello there", f"wrong text: {text}")
    check(len(pieces) > 3, f"the pieces were glued together: {pieces}")
    eventually(lambda: usage(key)["totalMessages"], 1, "messages after one stream")


def abort(sdk):
    key, before = fresh_token(), stub()["cancelled"]
    pieces = sdk(key).stream(
        sdk.ordinary, "hi", {"x-stub-pieces": "3000", "x-stub-piece-delay-ms": "20"}
    )
    next(pieces), next(pieces)
    pieces.close()
    eventually(lambda: stub()["cancelled"] - before, 1, "answers that the stub saw cancelled")
    eventually(lambda: usage(key)["totalMessages"], 1, "an aborted stream is charged its message")


def tools(sdk):
    seen = sdk(fresh_token()).tool({"x-stub-tool": "1"})
    check(seen == ("weather", {"city": "stub"}), f"wrong tool call: {seen}")


def image(sdk):
    text = sdk(fresh_token()).image()
    check("Images: 1." in text, f"the image did not arrive: {text}")


def models(sdk):
    listed = sdk(fresh_token()).models()
    check(ANONYMOUS_MODEL in listed, f"the list lacks {ANONYMOUS_MODEL}: {listed}")
    anonymous = sdk("anonymous").models()
    check(anonymous == [ANONYMOUS_MODEL], f"an anonymous caller sees {anonymous}")


def expired_token(sdk):
    client = sdk(fresh_token(ttl_s=-3600))
    with Attempts("refused_auth", 1):
        refused(lambda: client.call(sdk.ordinary, "hi"), lambda e: client.is_right(401, e), "expired token")


def anonymous(sdk):
    client = sdk("anonymous")
    text, _ = client.call(ANONYMOUS_MODEL, "hi")
    check(ANONYMOUS_MODEL in text, f"wrong text: {text}")
    with Attempts("refused_model", 1):
        refused(lambda: client.call(PREMIUM_MODEL, "hi"), lambda e: client.is_right(403, e), "anonymous premium")


def premium_limit(sdk):
    key = fresh_token()
    client = sdk(key)
    for _ in range(PREMIUM):
        client.call(PREMIUM_MODEL, "hi")
    for ask in (lambda: client.call(PREMIUM_MODEL, "hi"), lambda: list(client.stream(PREMIUM_MODEL, "hi"))):
        with Attempts("refused_quota", 1):
            error = refused(ask, lambda e: client.is_right(429, e), f"premium message {PREMIUM + 1}")
        check_sentence(error)
    client.call(sdk.ordinary, "hi")
    seen = usage(key)
    books = (seen["premiumMessages"], seen["totalMessages"], seen["canSendPremiumMessage"], seen["canSendMessage"])
    check(books == (PREMIUM, PREMIUM + 1, False, True), f"the usage says {books}")


def total_limit(sdk):
    key = fresh_token()
    client = sdk(key)
    for _ in range(TOTAL):
        client.call(sdk.ordinary, "hi")
    with Attempts("refused_quota", 1):
        error = refused(
            lambda: client.call(sdk.ordinary, "hi"), lambda e: client.is_right(429, e), f"message {TOTAL + 1}"
        )
    check_sentence(error)
    seen = usage(key)
    books = (seen["totalMessages"], seen["canSendMessage"])
    check(books == (TOTAL, False), f"the usage says {books}")


def check_sentence(error):
    """What the user reads says what happened and when it ends."""
    text = str(error)
    check("exhausted" in text and reset_date() in text, f"not a sentence for a person: {text}")


def short_window(sdk):
    """30 a minute: the message that is one too many comes back by itself after the stated wait, where the SDK retries."""
    before, began = outcomes("refused_rate"), time.monotonic()
    client = sdk(fresh_token(plan="brisk"))
    for sent in range(BRISK * 3):
        if client.retries:
            text, _ = client.call(sdk.ordinary, "hi")
            check(text.endswith("You said: hi"), f"wrong text: {text}")
        else:
            try:
                client.call(sdk.ordinary, "hi")
            except Exception as error:
                check(client.is_right(429, error), f"wrong class: {type(error)}: {error}")
                # the answer may be here before it is counted
                eventually(lambda: outcomes("refused_rate") - before, 1, "attempts that were refused")
        if outcomes("refused_rate") > before:
            break
    check(sent >= BRISK, f"refused at message {sent + 1} of {BRISK}")
    attempts = outcomes("refused_rate") - before
    check(attempts == 1, f"after {time.monotonic() - began:.1f} s: {attempts} attempts were refused, not 1")


def torn_stream(sdk):
    """The upstream dies in mid-stream: the SDK raises, and never takes what has come for the whole."""
    pieces, before = [], stub()["requests"]
    try:
        for piece in sdk(fresh_token()).stream(
            sdk.ordinary, "hi", {"x-stub-pieces": "40", "x-stub-cut-after": "5"}
        ):
            pieces.append(piece)
    except Exception as error:
        check(not isinstance(error, StopIteration), "it ended")
    else:
        check(False, f"the torn text was taken for the whole: {''.join(pieces)}")
    check(0 < len(pieces) <= 5, f"pieces: {pieces}")
    check(stub()["requests"] == before + 1, "a torn stream is not asked for again")


LIMITS = [expired_token, anonymous, premium_limit, total_limit]
BASIC_CASES = [call, stream, *LIMITS]
# litellm gives no way to close a stream; langchain and litellm have no model list.
ALL_CASES = [call, stream, abort, tools, image, models, torn_stream, short_window, *LIMITS]
MISSING = {("litellm", abort), ("litellm", models), ("langchain-openai", models)}


def select(arguments):
    pairs = [(sdk, case) for sdk in ALL for case in ALL_CASES if (sdk.name, case) not in MISSING]
    if arguments == ["--only", "basic"]:
        pairs = [(sdk, case) for sdk, case in pairs if sdk in BASIC and case in BASIC_CASES]
        return [named(sdk, case) for sdk, case in pairs]
    cases = [named(sdk, case) for sdk, case in pairs] + extras.CASES + openapi.CASES
    if not arguments:
        return cases
    if len(arguments) != 2 or arguments[0] != "--only":
        sys.exit("usage: suite.py [--only basic | --only TEXT]")
    return [(name, case) for name, case in cases if arguments[1] in name]


def named(sdk, case):
    return f"{sdk.name} {case.__name__}", lambda: case(sdk)


if __name__ == "__main__":
    sys.exit(1 if run(select(sys.argv[1:])) else 0)
