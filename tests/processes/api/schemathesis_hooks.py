"""What schemathesis cannot know.

A key names one request, and it asks many with the same one. A write names one revision, and it names two that it made up.
"""

import re
import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers or {}
    if headers.get("If-Match") and headers.get("If-None-Match") == "*":
        del headers["If-None-Match"]
    if re.fullmatch(r'"[0-9]+"', str(headers.get("If-Match"))):
        headers["If-Match"] = "*"
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r'([A-Za-z0-9._:-]{1,128}|"[A-Za-z0-9._:-]{1,128}")', key):
        headers["Idempotency-Key"] = str(uuid.uuid4())
