"""Numbers at Vapi: importing one, and saying who answers it. Number, entry and client stay tied in the tables."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from gateway.domain import keys
from gateway.domain.model import Extent, Step, Tenant
from gateway.domain.options import as_phone_number
from gateway.errors import InHand, OperatorError, ProviderError
from gateway.flow import give, operate, stock
from gateway.flow.at_once import Ended, Standing, Worked, standing_of, work_at_once
from gateway.ports import Entry, OwnedNumber
from gateway.provisioning.desk import Answer, Desk
from gateway.steps.context import in_flight
from gateway.store import holdings, intents, tenants
from gateway.store.database import Transaction

NO_NUMBER = "Nothing was imported or bought."


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be so of a number. client_id: None leaves it whose it is, or makes it spare stock."""

    number: str
    assistant_id: str | None
    client_id: str | None

    @property
    def extent(self) -> Extent:
        return Extent.FULL if self.assistant_id else Extent.ENTRY


def import_to_vapi(
    desk: Desk, number: str, assistant_id: str | None, client_id: str | None, name: str | None
) -> Answer:
    """Import a number of the account. Raises OperatorError, OptionsInvalid or a ProviderError; asked again goes on."""
    wish = Wish(as_phone_number("number", str(number)), assistant_id, client_id)
    worked = settle(desk, wish)
    standing = worked.standing
    if worked.ended is Ended.DONE:
        return {
            "success": True,
            "vapi_id": standing.entry_id,
            "phone_number": standing.number,
            "client_id": client_of(standing.tenant),
            "name": name or tag_of(desk, standing.tenant),
        }
    held = {"vapi_id": standing.entry_id} if standing.has(Step.IMPORT_NUMBER) else {}
    return desk.refuse("import_to_vapi", worked.why, phone_number=wish.number, **held)


def assign(desk: Desk, vapi_id: str, assistant_id: str, client_id: str | None) -> Answer:
    """Have an assistant answer the number of this entry. Raises as `import_to_vapi`."""
    number = number_of(desk, str(vapi_id))
    if number is None:
        return desk.refuse("assign_vapi_assistant", f"Vapi has no entry {vapi_id}. Nothing was changed.")
    worked = settle(desk, Wish(number, assistant_id, client_id))
    if worked.ended is not Ended.DONE:
        return desk.refuse("assign_vapi_assistant", worked.why, phone_number=number)
    standing = worked.standing
    if standing.entry_id != vapi_id:
        why = f"{number} is answered by assistant {assistant_id}, at Vapi's entry {standing.entry_id}, not {vapi_id}."
        return desk.refuse("assign_vapi_assistant", why, phone_number=number, vapi_id=standing.entry_id)
    return {"success": True, "data": data_of(desk, standing, assistant_id)}


def settle(desk: Desk, wish: Wish) -> Worked:
    """Make it so that the number is held, imported and answered as wished, or wait for who does."""
    tenant = stock.when_free(desk.steps, desk.patience, lambda: tie(desk, wish))
    return work_at_once(desk.steps, tenant.id, "provisioner", desk.patience)


def tie(desk: Desk, wish: Wish) -> Tenant:
    """The number's tenant, with the wish written down. Raises InHand while somebody works for it."""
    steps, who = desk.steps, desk.operator("imported by a script")
    words = desk.words(assistant_id=wish.assistant_id)
    if not is_owned(desk, wish.number):
        adopt_foreign(desk, wish)

    def write(tx: Transaction) -> Tenant:
        standing = owner_of(tx, wish.number)
        owner = standing.tenant if standing else None
        client = tenants.by_key(tx, wish.client_id) if wish.client_id is not None else owner
        if wish.client_id is not None and owner is not None and (client is None or client.id != owner.id):
            if not keys.is_spare(owner.tenant_key):
                raise OperatorError(f"{wish.number} is {owner.tenant_key}'s. Nothing was changed.")
            client = give.give(tx, steps, wish.number, wish.client_id, who, wish.extent)
        key = client.tenant_key if client else wish.client_id or keys.spare_key(wish.number)
        return stock.want(tx, steps, key, words, who, wish.extent)

    return steps.commit(write)


def is_owned(desk: Desk, number: str) -> bool:
    with desk.steps.database.read() as tx:
        return owner_of(tx, number) is not None


def owner_of(tx: Transaction, number: str) -> Standing | None:
    """Who holds the number, or may have bought it; a number that is only chosen is nobody's yet."""
    owner_id = intents.owner_of(tx, number)
    standing = standing_of(tx, owner_id) if owner_id is not None else None
    return None if standing is None or standing.has_sent_nothing else standing


def adopt_foreign(desk: Desk, wish: Wish) -> None:
    """A number that was bought by other means becomes the client's, or spare stock. Raises OperatorError, InHand."""
    steps = desk.steps
    there = find(desk, wish.number)
    if there is None:
        raise OperatorError(f"{wish.number} is not in the Twilio account. {NO_NUMBER} Buy it first.")
    key = wish.client_id or keys.spare_key(wish.number)
    try:
        operate.adopt(steps, key, there.sid, desk.operator("taken over by a script"), wish.extent)
    except InHand:
        raise
    except OperatorError:
        # Somebody beside us was faster: whose it is then, is looked at next.
        if not is_owned(desk, wish.number):
            raise


def find(desk: Desk, number: str) -> OwnedNumber | None:
    steps = desk.steps
    with in_flight(steps, steps.telephony.provider) as deadline:
        return steps.telephony.find_by_number(number, deadline())


def number_of(desk: Desk, vapi_id: str) -> str | None:
    """The number of an entry, by our tables, else by what Vapi says."""
    steps = desk.steps
    with steps.database.read() as tx:
        owner_id = holdings.tenants_by_ref(tx, Step.IMPORT_NUMBER).get(vapi_id)
        standing = standing_of(tx, owner_id) if owner_id is not None else None
    if standing is not None and standing.number is not None:
        return standing.number
    entry = get_entry(desk, vapi_id)
    return entry.number if entry else None


def get_entry(desk: Desk, vapi_id: str) -> Entry | None:
    steps = desk.steps
    with in_flight(steps, steps.assistants.provider) as deadline:
        return steps.assistants.get(vapi_id, deadline())


def data_of(desk: Desk, standing: Standing, assistant_id: str) -> Answer:
    """The entry as Vapi has it now; what we have set where it does not say so just now."""
    entry = None
    with suppress(ProviderError):
        entry = get_entry(desk, standing.entry_id or "")
    answering = entry.answering if entry else None
    server_url = answering.server_url if answering else None
    return {
        "id": standing.entry_id,
        "number": standing.number,
        "name": tag_of(desk, standing.tenant),
        "assistantId": answering.assistant_id if answering else assistant_id,
        "server": {"url": server_url} if server_url else None,
    }


def client_of(tenant: Tenant) -> str | None:
    return None if keys.is_spare(tenant.tenant_key) else tenant.tenant_key


def tag_of(desk: Desk, tenant: Tenant) -> str:
    return keys.tag(desk.steps.rules.env, tenant.tenant_key, tenant.generation)
