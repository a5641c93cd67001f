"""Far ends that check as the real ones do: Alibaba Cloud, Tencent Cloud, WeChat, and a hospital's own webhook receiver.

Each is written from the provider's documentation, apart from our senders, and keeps what it took in `taken`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

STALE_SECONDS = 300


class FarEnd:
    """A small HTTP server on a free port. `mode`: ok, a status number, drop (reads, then hangs up), odd (200, no JSON), or what
    the provider itself can answer (`code`)."""

    def __init__(self) -> None:
        self.mode, self.code = "ok", ""
        self.retry_after = ""
        self.asked: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        far_end = self

        class Line(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with far_end.lock:
                    far_end.asked.append({"path": self.path, "headers": headers, "body": body})
                    status, said = far_end.answer(self.path, headers, body)
                if far_end.mode == "drop":
                    self.close_connection = True
                    return
                if far_end.mode.isdigit():
                    status, said = int(far_end.mode), {}
                written = b"thanks" if far_end.mode == "odd" else json.dumps(said).encode()
                self.send_response(status)
                if far_end.retry_after:
                    self.send_header("Retry-After", far_end.retry_after)
                if status in (301, 302, 307):
                    self.send_header("Location", said.get("Location", "http://127.0.0.1:9/"))
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Line)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        raise NotImplementedError


class Alibaba(FarEnd):
    """SendSms 2017-05-25 with signature V3. `templates`: id → text with ${name} places."""

    def __init__(self, templates: dict[str, str], signature: str = "青梧就医") -> None:
        super().__init__()
        self.key_id, self.secret = "LTAI-test", secrets.token_hex(8)
        self.templates, self.signature = templates, signature
        self.message = ""
        self.nonces: set[str] = set()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if not self._is_signed(path, headers, body):
            return 400, {"Code": "SignatureDoesNotMatch", "Message": "Specified signature is not matched"}
        asked = dict(parse_qsl(urlsplit(path).query))
        if headers["x-acs-action"] != "SendSms" or headers["x-acs-version"] != "2017-05-25":
            return 404, {"Code": "InvalidAction.NotFound"}
        if headers["x-acs-signature-nonce"] in self.nonces:
            return 400, {"Code": "SignatureNonceUsed"}
        self.nonces.add(headers["x-acs-signature-nonce"])
        code = self.code or self._verdict(asked)
        if code == "OK":
            self.taken.append(asked)
            return 200, {"Code": "OK", "Message": "OK", "BizId": f"9006-{len(self.taken)}", "RequestId": "R"}
        return 200, {"Code": code, "Message": self.message or code, "RequestId": "R"}

    def _verdict(self, asked: dict[str, str]) -> str:
        if not re.fullmatch(r"\+?(86)?1\d{10}", asked["PhoneNumbers"]):
            return "isv.MOBILE_NUMBER_ILLEGAL"
        if asked["SignName"] != self.signature:
            return "isv.SMS_SIGNATURE_ILLEGAL"
        text = self.templates.get(asked["TemplateCode"])
        if text is None:
            return "isv.SMS_TEMPLATE_ILLEGAL"
        values = json.loads(asked["TemplateParam"])
        if set(values) != set(re.findall(r"\$\{(\w+)\}", text)) or not all(values.values()):
            return "isv.TEMPLATE_MISSING_PARAMETERS"
        if any(len(value) > 35 for value in values.values()):
            return "isv.PARAM_LENGTH_LIMIT"
        asked["text"] = f"【{self.signature}】" + re.sub(r"\$\{(\w+)\}", lambda at: values[at[1]], text)
        return "OK"

    def _is_signed(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        if found is None or found[1] != self.key_id:
            return False
        names = found[2].split(";")
        needed = {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"}
        if not needed | {"x-acs-version"} <= set(names) or names != sorted(names):
            return False
        at = time.mktime(time.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        if abs(time.time() - at) > 900 or headers["x-acs-content-sha256"] != hashlib.sha256(body).hexdigest():
            return False
        url = urlsplit(path)
        pairs = sorted(parse_qsl(url.query, keep_blank_values=True))
        query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
        lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
        request = "\n".join(["POST", url.path, query, lines, found[2], headers["x-acs-content-sha256"]])
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
        mac = hmac.new(self.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(mac, found[3])


class Tencent(FarEnd):
    """SendSms 2021-01-11 with signature v3. `templates`: id → text with {1} places."""

    def __init__(self, templates: dict[str, str], signature: str = "青梧就医") -> None:
        super().__init__()
        self.key_id, self.secret, self.app = "AKID-test", secrets.token_hex(8), "1400000001"
        self.templates, self.signature = templates, signature
        self.error = ""

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if not self._is_signed(headers, body):
            return 200, {
                "Response": {
                    "Error": {"Code": "AuthFailure.SignatureFailure", "Message": "no"},
                    "RequestId": "R",
                }
            }
        if self.error:
            return 200, {"Response": {"Error": {"Code": self.error, "Message": "no"}, "RequestId": "R"}}
        if (headers["x-tc-action"], headers["x-tc-version"]) != ("SendSms", "2021-01-11"):
            return 200, {"Response": {"Error": {"Code": "InvalidAction", "Message": "no"}, "RequestId": "R"}}
        asked = json.loads(body)
        assert headers["x-tc-region"]
        code = self.code or self._verdict(asked)
        said = {"SerialNo": "", "PhoneNumber": asked["PhoneNumberSet"][0], "Fee": 0, "Code": code}
        said |= {"SessionContext": asked["SessionContext"], "Message": code}
        if code == "Ok":
            self.taken.append(asked)
            said |= {"SerialNo": f"5000:{len(self.taken)}", "Fee": -(-len(asked["text"]) // 67)}
        return 200, {"Response": {"SendStatusSet": [said], "RequestId": "R"}}

    def _verdict(self, asked: dict[str, Any]) -> str:
        (phone,) = asked["PhoneNumberSet"]
        if not re.fullmatch(r"\+861\d{10}", phone):
            return "InvalidParameterValue.IncorrectPhoneNumber"
        if asked["SmsSdkAppId"] != self.app:
            return "InvalidParameterValue.SdkAppIdNotExist"
        if asked["SignName"] != self.signature:
            return "FailedOperation.SignatureIncorrectOrUnapproved"
        text, values = self.templates.get(asked["TemplateId"]), asked["TemplateParamSet"]
        if text is None or len(values) != len(re.findall(r"\{\d+\}", text)):
            return "FailedOperation.TemplateIncorrectOrUnapproved"
        asked["text"] = f"【{self.signature}】" + re.sub(
            r"\{(\d+)\}", lambda at: values[int(at[1]) - 1], text
        )
        return "Ok"

    def _is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        found = re.fullmatch(
            r"TC3-HMAC-SHA256 Credential=([^/]+)/(\d{4}-\d\d-\d\d)/sms/tc3_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        at = int(headers.get("x-tc-timestamp", "0"))
        if found is None or found[1] != self.key_id or abs(time.time() - at) > STALE_SECONDS:
            return False
        if time.strftime("%Y-%m-%d", time.gmtime(at)) != found[2]:
            return False
        names = found[3].split(";")
        if not {"content-type", "host"} <= set(names) or names != sorted(names):
            return False
        lines = "".join(f"{name}:{headers[name].strip().lower()}\n" for name in names)
        request = "\n".join(["POST", "/", "", lines, found[3], hashlib.sha256(body).hexdigest()])
        scope = f"{found[2]}/sms/tc3_request"
        to_sign = "\n".join(["TC3-HMAC-SHA256", str(at), scope, hashlib.sha256(request.encode()).hexdigest()])
        key = ("TC3" + self.secret).encode()
        for part in (found[2], "sms", "tc3_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        mac = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(mac, found[4])


class Wechat(FarEnd):
    """getStableAccessToken, subscribe and template messages, and asking who somebody is (snsapi_base).

    `refused` are people who said no; `forget()` ends the token. `person` is whoever has WeChat open now, `back_at` the one
    domain people are led back to; `who` is added to what is said of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.app, self.secret = "wx-test", secrets.token_hex(8)
        self.token = ""
        self.handed_out = 0
        self.refused: set[str] = set()
        self.stuck = False
        self.errcode = 0
        self.person, self.back_at = "o-nobody", ""
        self.who: dict[str, Any] = {}
        self.codes: dict[str, str] = {}

    def forget(self) -> None:
        """End the token, as when somebody else asked for a new one with force."""
        self.token = f"T{secrets.token_hex(40)}"

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        url = urlsplit(path)
        if url.path == "/connect/oauth2/authorize":
            return self._authorize(url.query)
        if url.path == "/sns/oauth2/access_token":
            return 200, self._exchange(dict(parse_qsl(url.query)))
        asked = json.loads(body)
        if url.path == "/cgi-bin/stable_token":
            if (asked["appid"], asked["secret"]) != (self.app, self.secret):
                return 200, {"errcode": 40125, "errmsg": "invalid appsecret"}
            self.handed_out += 1
            if not self.token or asked.get("force_refresh"):
                self.forget()
            return 200, {"access_token": self.token, "expires_in": 7200}
        token = dict(parse_qsl(url.query)).get("access_token")
        if token != self.token or not token or self.stuck:
            return 200, {"errcode": 40001, "errmsg": "invalid credential, access_token is invalid"}
        if self.errcode:
            return 200, {"errcode": self.errcode, "errmsg": "no"}
        if asked["touser"] in self.refused:
            return 200, {"errcode": 43101, "errmsg": "user refuse to accept the msg"}
        for name, field in asked["data"].items():
            longest = {"thing": 20, "name": 10, "character_string": 32}.get(name.rstrip("0123456789"), 99)
            if not field["value"] or len(field["value"]) > longest:
                return 200, {"errcode": 47003, "errmsg": f"argument invalid! data.{name}.value invalid"}
        self.taken.append({"path": url.path, **asked})
        return 200, {"errcode": 0, "errmsg": "ok", "msgid": 1700 + len(self.taken)}

    def _authorize(self, query: str) -> tuple[int, Any]:
        """Lead back with a code; the order of the parameters is fixed, as the real one's is."""
        in_order = r"appid=([^&]+)&redirect_uri=([^&]+)&response_type=code&scope=snsapi_base&state=([A-Za-z0-9]{1,128})"
        found = re.fullmatch(in_order, query)
        back_to = unquote(found[2]) if found else ""
        if found is None or found[1] != self.app or not back_to.startswith(f"{self.back_at}/"):
            return 400, {"errcode": 10003, "errmsg": "redirect_uri, appid or the order of the parameters"}
        code = secrets.token_hex(16)
        self.codes[code] = self.person
        return 302, {"Location": f"{back_to}?code={code}&state={found[3]}"}

    def _exchange(self, asked: dict[str, str]) -> dict[str, Any]:
        if (asked.get("appid"), asked.get("secret")) != (self.app, self.secret):
            return {"errcode": 40125, "errmsg": "invalid appsecret"}
        if self.errcode:
            return {"errcode": self.errcode, "errmsg": "no"}
        if asked.get("grant_type") != "authorization_code" or asked.get("code") not in self.codes:
            return {"errcode": 40029, "errmsg": "invalid code"}
        openid = self.codes[asked["code"]]
        if not openid:
            return {"errcode": 40163, "errmsg": "code been used"}
        self.codes[asked["code"]] = ""
        said = {
            "access_token": secrets.token_hex(40),
            "expires_in": 7200,
            "refresh_token": secrets.token_hex(40),
        }
        return {**said, "openid": openid, "scope": "snsapi_base"} | self.who


class Receiver(FarEnd):
    """A hospital's own system, checking as Standard Webhooks says: signature, time, and that it has not had the id."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = ""
        self.had: set[str] = set()
        self.refused: list[str] = []

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        why = self.why_not(headers, body)
        if why:
            self.refused.append(why)
            return (200 if why == "had before" else 401), {}
        if self.mode == "ok":
            self.had.add(headers["webhook-id"])
            self.taken.append(json.loads(body))
        return 200, {}

    def why_not(self, headers: dict[str, str], body: bytes) -> str:
        """Return why a call is refused, or ""."""
        name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not name or not at.isdigit() or abs(time.time() - int(at)) > STALE_SECONDS:
            return "stale"
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
        expected = f"v1,{base64.b64encode(mac).decode()}"
        if expected not in headers.get("webhook-signature", "").split(" "):
            return "signature"
        return "had before" if name in self.had else ""


@contextlib.contextmanager
def running(far_end: FarEnd) -> Iterator[Any]:
    """Run a far end until the block ends."""
    thread = threading.Thread(
        target=far_end.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield far_end
    finally:
        far_end.server.shutdown()
        far_end.server.server_close()
        thread.join()
