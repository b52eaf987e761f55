"""What schemathesis cannot know: a key names one request, and it asks many with the same one."""

import re
import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r'([A-Za-z0-9._:-]{1,128}|"[A-Za-z0-9._:-]{1,128}")', key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
