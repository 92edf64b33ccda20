"""The description of the usage API: a public validator accepts it, and the gateway answers what it says."""

import json
import urllib.error
import urllib.request

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from harness import GATEWAY, check, get, token
from sdks import OpenAI

ADMIN_KEY = token("openapi-admin", role="admin")
USER = "openapi-user"
# How each operation with a JSON answer is called: its query, and its body.
CALLS = {
    ("get", "/api/usage"): ("", None),
    ("delete", "/api/usage"): (f"?userId={USER}", {"reason": "a try"}),
    ("get", "/api/usage/history"): (f"?userId={USER}&months=2", None),
    ("get", "/api/analytics"): ("?days=3", None),
    ("get", "/api/users"): (f"?prefix={USER}", None),
    ("get", "/api/audit"): ("?limit=5", None),
    ("get", "/api/explain"): (f"?userId={USER}&model=gpt-4o-mini", None),
    ("post", "/api/verify"): ("?repair=false", None),
    ("get", "/api/webhooks"): ("?limit=5", None),
    ("post", "/api/webhooks/retry"): ("", {"all": True}),
    ("get", "/api/openapi.json"): ("", None),
}
# What everybody may ask, for oneself only.
OWN = {"/api/usage/stream"}


def description():
    return json.loads(get(f"{GATEWAY}/api/openapi.json"))


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def closed(schema):
    """The schema, in which a field that is not described is a mistake."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return {name: closed(part) for name, part in schema.items()} | more


def call(method, url, key=None, body=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(GATEWAY + url, data, headers, method=method.upper())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def is_described(document, operation, method, path, status, body):
    """The status is named in the description, and the body has the form that it gives."""
    where = f"{method} {path}: {status} {body[:300]}"
    response = operation["responses"].get(str(status))
    check(response is not None, f"the status is not described: {where}")
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    schema = response["content"]["application/json"]["schema"]
    whole = closed(schema) | {"components": closed(document["components"])}
    faults = [f"{list(error.path)}: {error.message}" for error in OAS31Validator(whole).iter_errors(json.loads(body))]
    check(not faults, f"not as described: {where}: {faults[:5]}")


def openapi_validator():
    validate(description())


def openapi_answers():
    OpenAI(token(USER)).call("gpt-4o-mini", "hi")
    document = description()
    for method, path, operation in operations(document):
        if "application/json" not in operation["responses"]["200"]["content"]:
            continue
        query, body = CALLS[method, path]
        status, answer = call(method, path + query, ADMIN_KEY, body)
        check(status == 200, f"{method} {path}: {status} {answer}")
        is_described(document, operation, method, path, status, answer)


def openapi_refusals():
    document = description()
    for method, path, operation in operations(document):
        query, _ = CALLS.get((method, path), ("", None))
        asked = [(401, call(method, path + query))] if operation.get("security") != [] else []
        if "400" in operation["responses"]:
            asked.append((400, call(method, path + "?months=x&limit=x&days=x&repair=x&unknown=x", ADMIN_KEY)))
        if "403" in operation["responses"] and path not in OWN:
            asked.append((403, call(method, path + (query or "?userId=another"), token("openapi-other"), {})))
        for wanted, (status, answer) in asked:
            check(status == wanted, f"{method} {path}: {status} instead of {wanted}: {answer}")
            is_described(document, operation, method, path, status, answer)


CASES = [
    (function.__name__.replace("_", " ", 1), function)
    for function in [openapi_validator, openapi_answers, openapi_refusals]
]
