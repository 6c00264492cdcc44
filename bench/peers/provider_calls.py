"""Every call to the providers that one signup costs, in the order in which the gateway makes them, with `requests`.

For the jobs of all peers, so that nobody makes fewer calls or cheaper ones. What a call must be told it is given, so
that a job can be taken up again between any two of them.
"""

import resource
import threading
import time

import requests

ACCOUNT = "AC" + "0" * 32
LOCAL = threading.local()


class Clock:
    """From the first call of all to the last tenant done: what it took, and what this process spent on it."""

    def __init__(self, tenants):
        self.tenants, self.done, self.lock = tenants, 0, threading.Lock()
        self.first = self.last = None
        self.finished = threading.Event()

    def started(self):
        if self.first is None:
            self.first = time.perf_counter(), cpu_seconds()

    def tenant_done(self):
        with self.lock:
            self.done += 1
            if self.done == self.tenants:
                self.last = time.perf_counter(), cpu_seconds()
                self.finished.set()

    def told(self):
        first = self.first or (time.perf_counter(), cpu_seconds())
        last = self.last or (time.perf_counter(), cpu_seconds())
        return {"active": self.done, "seconds": last[0] - first[0], "cpu_s": last[1] - first[1]}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def tag_of(tenant, generation=1):
    return f"rf:bench:{tenant:016x}:{generation}"


class Providers:
    """Twilio and Vapi at one address. started: told before each call."""

    def __init__(self, url, started):
        self.url, self.started = url, started

    def call(self, method, path, **more):
        self.started()
        session = getattr(LOCAL, "session", None)
        if session is None:
            session = LOCAL.session = requests.Session()
            session.trust_env = False
        answer = session.request(method, self.url + path, timeout=15, allow_redirects=False, **more)
        answer.raise_for_status()
        return answer.json()

    def twilio(self, method, path, **more):
        return self.call(method, f"/2010-04-01/Accounts/{ACCOUNT}{path}", auth=(ACCOUNT, "0" * 32), **more)

    def vapi(self, method, path, **more):
        return self.call(method, path, headers={"Authorization": "Bearer bench"}, **more)

    # --- buy: five looks, and the purchase ---

    def read_assistant(self):
        return self.vapi("GET", "/assistant/bench")["id"]

    def search(self):
        query = {"AreaCode": "415", "PageSize": "20", "VoiceEnabled": "true"}
        found = self.twilio("GET", "/AvailablePhoneNumbers/US/Local.json", params=query)
        return found["available_phone_numbers"][0]["phone_number"]

    def look_by_tag(self, tag):
        query = {"FriendlyName": tag}
        return len(self.twilio("GET", "/IncomingPhoneNumbers.json", params=query)["incoming_phone_numbers"])

    def look_by_number(self, number):
        query = {"PhoneNumber": number}
        return len(self.twilio("GET", "/IncomingPhoneNumbers.json", params=query)["incoming_phone_numbers"])

    def buy(self, number, tag):
        form = {"PhoneNumber": number, "FriendlyName": tag}
        return self.twilio("POST", "/IncomingPhoneNumbers.json", data=form)["sid"]

    # --- import: two looks, the import, and its proof ---

    def fetch(self, sid):
        held = self.twilio("GET", f"/IncomingPhoneNumbers/{sid}.json")
        return {"tag": held["friendly_name"], "voice_url": held["voice_url"]}

    def find_entry(self, number):
        return len(self.vapi("GET", "/v2/phone-number", params={"search": number})["results"])

    def import_number(self, number, tag):
        body = {
            "provider": "twilio", "number": number, "name": tag, "twilioAccountSid": ACCOUNT, "twilioAuthToken": "x",
        }  # fmt: skip
        return self.vapi("POST", "/phone-number", json=body)["id"]

    # --- assign: a look, and the change ---

    def get_entry(self, entry):
        return self.vapi("GET", f"/phone-number/{entry}").get("assistantId")

    def assign(self, entry):
        body = {"provider": "twilio", "assistantId": "bench", "hooks": []}
        return self.vapi("PATCH", f"/phone-number/{entry}", json=body)["assistantId"]


CALLS = (
    "read_assistant", "search", "look_by_tag", "look_by_number", "buy", "fetch", "find_entry", "import_number",
    "get_entry", "assign",
)  # fmt: skip


def buy_step(do, tenant):
    """`do` has one function a call. The tags looked for: this one, the next, and that of the subscription."""
    tag = tag_of(tenant)
    do.read_assistant()
    number = do.search()
    for looked_for in (tag, tag_of(tenant, 2), tag_of(tenant + 2**40)):
        do.look_by_tag(looked_for)
    do.look_by_number(number)
    return [number, do.buy(number, tag)]


def import_step(do, tenant, number, sid):
    do.fetch(sid)
    do.find_entry(number)
    entry = do.import_number(number, tag_of(tenant))
    do.fetch(sid)
    return entry


def assign_step(do, entry):
    do.get_entry(entry)
    return do.assign(entry)
