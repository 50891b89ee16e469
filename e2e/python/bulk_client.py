"""BulkClient and AsyncBulkClient of trustgraph-base against Tollgate."""

import asyncio

from trustgraph.api import Api, Triple

from checks import TOKENS, URL, WRONG, tell, told

MADE = [Triple(s=f"http://s/{n}", p="http://p", o=f"o {n}") for n in range(250)]
LOADED = {"graph_embeddings": [{"entity": "e", "vector": [0.5]}] * 3,
          "document_embeddings": [{"chunk_id": "c", "vector": [0.5]}] * 3}


async def each(items):
    for item in items:
        yield item


async def all_of(stream):
    return [item async for item in stream]


def use(name, token):
    bulk = Api(URL, token=token, workspace="acme").bulk()
    bulk.import_triples(flow="default", triples=iter(MADE))
    for kind, items in LOADED.items():
        getattr(bulk, f"import_{kind}")(flow="default", **{"embeddings": iter(items)})
    contexts = [{"entity": {"t": "i", "i": "http://e"}, "context": "about e"}]
    bulk.import_entity_contexts(flow="default", contexts=iter(contexts))
    bulk.import_rows(flow="default", rows=iter([{"schema_name": "s", "values": {"a": "b"}}]))
    tell(f"{name}: triples", [triple.s for triple in bulk.export_triples(flow="default")])
    for kind in ["graph_embeddings", "document_embeddings", "entity_contexts"]:
        tell(f"{name}: {kind}", list(getattr(bulk, f"export_{kind}")(flow="default")))


async def use_async(name, token):
    bulk = Api(URL, token=token, workspace="acme").async_bulk()
    await bulk.import_triples(flow="default", triples=each(MADE))
    for kind, items in LOADED.items():
        await getattr(bulk, f"import_{kind}")(flow="default", embeddings=each(items))
    triples = await all_of(bulk.export_triples(flow="default"))
    tell(f"{name}: async triples", [triple.s for triple in triples])
    tell(f"{name}: async contexts", await all_of(bulk.export_entity_contexts(flow="default")))


for name, token in TOKENS.items():
    use(name, token)
    asyncio.run(use_async(name, token))
for why, token, workspace in [("wrong token", WRONG, "acme"), ("foreign", TOKENS["jwt"], "default")]:
    bulk = Api(URL, token=token, workspace=workspace).bulk()
    try:
        bulk.import_triples(flow="default", triples=iter(MADE))
    except Exception as error:
        tell(f"{why}: import", told(error))
    try:
        list(bulk.export_triples(flow="default"))
    except Exception as error:
        tell(f"{why}: export", told(error))
