"""The pretend world: Twilio, Vapi and Stripe as one WSGI application, with state, faults and a movable clock.

    world = World(seed="1")                                     in process, nothing to start
    session.mount("http://world", WorldAdapter(world))          requests goes straight into it
    address = ensure_world(Path("var"))                         or as a process of its own, on a loopback port
    python -m gateway.simulator.server --port 0                 the same by hand; prints its address

Every path of the three services lives on one host: `/2010-04-01/…`, `/v1/PhoneNumbers/…`, `/v2/RegulatoryCompliance/…`
(Twilio), `/phone-number`, `/v2/phone-number`, `/assistant` (Vapi), `/v1/subscriptions/…`, `/v1/events` (Stripe).
Credentials it accepts by default are in `defaults.py`; they open nothing else.

Control, JSON in and out, never touched by faults:

    GET    /_world                        {"id", "now_ms", "offset_ms", "calls": {operation: count},
                                           "most_open": {vendor: most calls open at once, when it is a process}}
    POST   /_world/clock                  {"advance_seconds": n} or {"offset_ms": n}
    GET    /_world/state                  everything as it really is, lists lag or not
    GET    /_world/log?after=N            what happened: each effect, each fault; {"entries": [...], "next": N}
    POST   /_world/faults                 a fault or a list of them (`faults.py` has the form); GET shows, DELETE ends
    POST   /_world/hold                   {"operation", "when": "before" | "after", "after_calls": n}: stop one there
    GET    /_world/hold?wait_seconds=N    {"holding", "held", "armed"}; waits until something is held; DELETE ends both
    POST   /_world/hold/release           let it go on; {"drop": true}: as if the request had never arrived
    POST   /_world/numbers                {"friendly_name", "phone_number"?, "country"?, "area_code"?, "count"?}: in
                                          the account without a purchase; DELETE /_world/numbers/PN… as in the console
    POST   /_world/entries                an entry at Vapi; DELETE /_world/entries/<id>
    POST   /_world/assistants             {"name", "id"?, …}; DELETE /_world/assistants/<id>
    POST   /_world/bundles                {"iso_country", "number_type", "status"?, "sid"?, "valid_until"?,
                                           "then": [[seconds, status], …]?}: what becomes of it over the world's time
    POST   /_world/bundles/BU…            {"status"?, "valid_until"?}: what a reviewer decides; DELETE: it is gone
    POST   /_world/addresses/AD…          fields as in the answer: changed at the console; DELETE: it is gone
    POST   /_world/sold_out               {"prefix"}: no number that begins so is for sale any more, as "+1415"
    POST   /_world/taken                  {"phone_number"}: somebody else has bought it
    POST   /_world/account                {"status": "active" | "suspended"}
    POST   /_world/policies               {"buy_owned": "refuse" | "update",
                                           "import_twice": "refuse" | "conflict" | "other_org" | "allow",
                                           "delete_clears_voice_url": bool, "latency_ms": of every answer,
                                           "national_among_local": bool, as with South Africa's 087}
    POST   /_world/stripe/deliveries      {"name", "tenant", "set": {path: value}, "shape": "new" | "old", …}: a signed
                                          event, built and not sent: {"body", "headers", "event_id", "type"}
    GET    /_world/stripe/scenarios       whole stories: {name: [[seconds after the one before, event name, set], …]}
    POST   /_world/stripe/delivered       {"event_id", "success"?}: for `/v1/events?delivery_success=`
    POST   /_world/reset                  as on the first day
    POST   /_world/leave                  the process ends (when it is one)

Fault kinds: what the client sees, and what really happened. With "lag_seconds" lists are late with it, too.

    lost_before      connection dropped; nothing happened
    lost_after       connection dropped; it happened                       ("reset": true for a TCP reset)
    error_before     5xx ("status"); nothing happened
    error_after      5xx ("status"); it happened
    rate_limit       429 with Retry-After ("retry_after", null for none); nothing happened
    hang             no answer for "seconds", then dropped; it happened unless "effect" is false (so for the next five)
    slow             the answer comes after "seconds"
    trickle          the body comes in crumbs over "seconds"
    truncated        the body ends half-way, the connection with it
    html             200 with a page instead of JSON
    empty            the right 2xx with an empty body
    list_lag         it happened; lists do not show it for "seconds" of the world's clock
    late_effect      connection dropped (or "status"); it happens "seconds" later on the world's clock
    twice            the request is processed two times, the client sees the second answer
    taken            the number was sold to somebody else a moment before
    unauthorized     401; nothing happened
    suspended        403, account suspended; nothing happened
    not_found_yet    Vapi does not see the number at Twilio yet
    voice_url_unset  Vapi imports, and leaves the number's URLs as they were
"""
