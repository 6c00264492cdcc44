"""DBOS on SQLite making the same provider calls for each tenant, in the same order, with `requests`.

usage: provision.py --tenants N --threads N --steps call|effect --api http://127.0.0.1:PORT --database FILE
The backlog is enqueued first and not timed; the clock runs from the first call to the last workflow's end. Prints one
line of JSON. --steps call: every call is a DBOS step, as DBOS asks for work that must not be repeated after a crash;
--steps effect: three steps a tenant (buy, import, assign), each with its looks.
Idempotent by nature here, so that DBOS is spared the protocol's own commits.
"""

import argparse
import json
import os
import resource
import threading
import time

import requests
from dbos import DBOS, DBOSClient

ACCOUNT = "AC" + "0" * 32
LOCAL = threading.local()
DONE = []
STATE = {}
FINISHED = threading.Event()


def call(method, path, **more):
    if "first" not in STATE:
        STATE["first"], STATE["cpu"] = time.perf_counter(), cpu()
    session = getattr(LOCAL, "session", None)
    if session is None:
        session = LOCAL.session = requests.Session()
        session.trust_env = False
    answer = session.request(method, ARGS.api + path, timeout=15, allow_redirects=False, **more)
    answer.raise_for_status()
    return answer.json()


def twilio(method, path, **more):
    return call(method, f"/2010-04-01/Accounts/{ACCOUNT}{path}", auth=(ACCOUNT, "0" * 32), **more)


def vapi(method, path, **more):
    return call(method, path, headers={"Authorization": "Bearer bench"}, **more)


def read_assistant():
    return vapi("GET", "/assistant/bench")["id"]


def search():
    query = {"AreaCode": "415", "PageSize": "20", "VoiceEnabled": "true"}
    found = twilio("GET", "/AvailablePhoneNumbers/US/Local.json", params=query)
    return found["available_phone_numbers"][0]["phone_number"]


def look_by_tag(tag):
    return len(twilio("GET", "/IncomingPhoneNumbers.json", params={"FriendlyName": tag})["incoming_phone_numbers"])


def look_by_number(number):
    return len(twilio("GET", "/IncomingPhoneNumbers.json", params={"PhoneNumber": number})["incoming_phone_numbers"])


def buy(number, tag):
    return twilio("POST", "/IncomingPhoneNumbers.json", data={"PhoneNumber": number, "FriendlyName": tag})["sid"]


def fetch(sid):
    held = twilio("GET", f"/IncomingPhoneNumbers/{sid}.json")
    return {"tag": held["friendly_name"], "voice_url": held["voice_url"]}


def find_entry(number):
    return len(vapi("GET", "/v2/phone-number", params={"search": number})["results"])


def import_number(number, tag):
    body = {"provider": "twilio", "number": number, "name": tag, "twilioAccountSid": ACCOUNT, "twilioAuthToken": "x"}
    return vapi("POST", "/phone-number", json=body)["id"]


def get_entry(entry):
    return vapi("GET", f"/phone-number/{entry}").get("assistantId")


def assign(entry):
    body = {"provider": "twilio", "assistantId": "bench", "hooks": []}
    return vapi("PATCH", f"/phone-number/{entry}", json=body)["assistantId"]


def finished(tenant):
    DONE.append(tenant)
    if len(DONE) == ARGS.tenants:
        STATE["last"], STATE["cpu_end"] = time.perf_counter(), cpu()
        FINISHED.set()


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def workflows():
    """Register the workflow in the shape asked for."""
    if ARGS.steps == "call":
        step = {
            f.__name__: DBOS.step()(f)
            for f in (
                read_assistant, search, look_by_tag, look_by_number, buy, fetch, find_entry, import_number, get_entry,
                assign,
            )
        }  # fmt: skip

        @DBOS.workflow()
        def provision(tenant):
            tag = f"rf:bench:{tenant:016x}:1"
            step["read_assistant"]()
            number = step["search"]()
            step["look_by_tag"](tag)
            step["look_by_number"](number)
            sid = step["buy"](number, tag)
            step["fetch"](sid)
            step["find_entry"](number)
            entry = step["import_number"](number, tag)
            step["fetch"](sid)
            step["get_entry"](entry)
            step["assign"](entry)
            finished(tenant)

        return provision

    @DBOS.step()
    def buy_step(tag):
        read_assistant()
        number = search()
        look_by_tag(tag)
        look_by_number(number)
        return [number, buy(number, tag)]

    @DBOS.step()
    def import_step(number, sid, tag):
        fetch(sid)
        find_entry(number)
        entry = import_number(number, tag)
        fetch(sid)
        return entry

    @DBOS.step()
    def assign_step(entry):
        get_entry(entry)
        return assign(entry)

    @DBOS.workflow()
    def provision(tenant):
        tag = f"rf:bench:{tenant:016x}:1"
        number, sid = buy_step(tag)
        assign_step(import_step(number, sid, tag))
        finished(tenant)

    return provision


def main():
    url = f"sqlite:///{ARGS.database}"
    DBOS(
        config={
            "name": "bench", "system_database_url": url, "run_admin_server": False, "log_level": "WARNING",
            "max_executor_threads": ARGS.threads, "sys_db_pool_size": 20,
        }
    )  # fmt: skip
    provision = workflows()
    DBOS.launch()
    client = DBOSClient(system_database_url=url)
    for tenant in range(ARGS.tenants):
        client.enqueue(
            {"queue_name": "q", "workflow_name": provision.__qualname__, "workflow_id": f"t{tenant}"}, tenant
        )
    DBOS.register_queue("q", worker_concurrency=ARGS.threads, polling_interval_sec=0.05)
    FINISHED.wait(ARGS.limit)
    end = STATE.get("last", time.perf_counter())
    told = {
        "active": len(DONE),
        "seconds": end - STATE.get("first", end),
        "cpu_s": STATE.get("cpu_end", cpu()) - STATE.get("cpu", 0),
    }
    print("JSON " + json.dumps(told), flush=True)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, required=True)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--steps", choices=["call", "effect"], default="call")
    parser.add_argument("--api", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--limit", type=float, default=90)
    ARGS = parser.parse_args()
    main()
